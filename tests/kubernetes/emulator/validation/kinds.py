"""Which checks a kind goes through."""

from __future__ import annotations

from collections.abc import Callable

from tests.kubernetes.emulator.objects import Object
from tests.kubernetes.emulator.resources import Resource
from tests.kubernetes.emulator.statuses import Cause
from tests.kubernetes.emulator.validation import autoscaling, content, leases, metadata, network, pods, rbac, workloads

Check = Callable[[Object, Object | None], list[Cause]]

_CHECKS: dict[str, Check] = {
    "pods": pods.pod,
    "deployments": workloads.deployment,
    "replicasets": workloads.replica_set,
    "services": network.service,
    "endpointslices": network.endpoint_slice,
    "horizontalpodautoscalers": autoscaling.autoscaler,
    "secrets": content.secret,
    "configmaps": content.config_map,
    "leases": leases.lease,
    "events": content.event,
    "poddisruptionbudgets": workloads.disruption_budget,
    "roles": rbac.role,
    "clusterroles": rbac.role,
    "rolebindings": rbac.binding,
    "clusterrolebindings": rbac.binding,
}


def causes(resource: Resource, new: Object, old: Object | None) -> list[Cause]:
    """All that is wrong with a new object, or with a change of ``old`` into it."""
    found = metadata.metadata(resource, new, old)
    check = None if resource.custom else _CHECKS.get(resource.plural)
    return found if check is None else [*found, *check(new, old)]
