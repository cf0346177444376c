"""Everything the provider asks of the API server, and why. Its roles are made of this table, and of nothing else."""

from __future__ import annotations

from springtide.provider.kubernetes.manifests.keys import FUNCTIONS, PROFILES
from springtide.runtime.kubernetes.permissions import Permission, When, Where
from springtide.runtime.kubernetes.resources import (
    AUTOSCALERS,
    CORE_EVENTS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    EVENTS,
    NAMESPACES,
    POD_METRICS,
    PODS,
    SECRETS,
    SERVICES,
)

PERMISSIONS: tuple[Permission, ...] = (
    Permission(resource=DEPLOYMENTS, verbs=("list", "watch"), reason="know the functions without asking each time"),
    Permission(
        resource=DEPLOYMENTS,
        verbs=("get", "create", "patch", "delete"),
        reason="deploy, update and remove functions; server-side apply creates by a patch; learned wakes are noted",
    ),
    Permission(
        resource=DEPLOYMENTS, subresource="scale", verbs=("update",), reason="write replicas by compare-and-set"
    ),
    Permission(
        resource=DEPLOYMENTS, subresource="scale", verbs=("get",), when=When.OPERATOR, reason="the version to compare"
    ),
    Permission(
        resource=SERVICES, verbs=("get", "create", "patch", "delete"), reason="each function's Service comes and goes"
    ),
    Permission(resource=SERVICES, verbs=("list", "watch"), when=When.SERVICES, reason="cluster addresses to call"),
    Permission(resource=SERVICES, verbs=("list", "watch"), when=When.OPERATOR, reason="see Services that were changed"),
    Permission(resource=ENDPOINT_SLICES, verbs=("list", "watch"), reason="which pods take calls"),
    Permission(
        resource=PODS, verbs=("list", "watch"), reason="addresses of starting pods, logs of each, why one fails"
    ),
    Permission(resource=PODS, verbs=("patch",), reason="the deletion cost: which pods go when a function shrinks"),
    Permission(resource=PODS, subresource="log", verbs=("get",), reason="logs of functions"),
    Permission(resource=POD_METRICS, verbs=("list",), reason="processor and memory a function uses, where measured"),
    Permission(
        resource=SECRETS,
        verbs=("get", "list", "create", "patch", "delete"),
        reason="secrets of functions: listed by name, never watched; webhooks are checked with those that they name",
    ),
    Permission(
        resource=AUTOSCALERS,
        verbs=("get", "create", "patch", "delete"),
        reason="the autoscaler of a function that scales by processor use",
    ),
    Permission(
        resource=AUTOSCALERS, verbs=("list", "watch"), when=When.OPERATOR, reason="see autoscalers that were changed"
    ),
    Permission(resource=CORE_EVENTS, verbs=("list",), reason="why the kubelet restarted a container, once a restart"),
    Permission(resource=EVENTS, verbs=("create",), reason="tell each scaling decision where kubectl describe shows it"),
    Permission(resource=PROFILES, verbs=("get",), where=Where.PROFILES, reason="profiles that functions name"),
    Permission(
        resource=FUNCTIONS, verbs=("list", "watch"), when=When.OPERATOR, reason="Function objects are what is wanted"
    ),
    Permission(
        resource=FUNCTIONS,
        verbs=("get", "create", "update", "delete"),
        when=When.OPERATOR,
        reason="deployments through the REST API write Function objects",
    ),
    Permission(
        resource=FUNCTIONS,
        verbs=("patch",),
        when=When.OPERATOR,
        reason="spec.replicas follows the Deployment, for kubectl scale and autoscalers",
    ),
    Permission(
        resource=FUNCTIONS, subresource="status", verbs=("patch",), when=When.OPERATOR, reason="tell each how it is"
    ),
    Permission(
        resource=NAMESPACES,
        verbs=("list", "watch"),
        where=Where.CLUSTER,
        when=When.CLUSTER,
        reason="which namespaces are marked for functions",
    ),
    Permission(
        resource=NAMESPACES,
        verbs=("get", "create", "patch", "delete"),
        where=Where.CLUSTER,
        when=When.CLUSTER,
        reason="the system API's namespaces",
    ),
)
