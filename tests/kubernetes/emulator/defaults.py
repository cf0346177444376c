"""What the server fills in where an object says nothing."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable
from typing import Any

from tests.kubernetes.emulator.objects import Object, dig
from tests.kubernetes.emulator.validation.quantities import canonical

DEFAULT_MODE = 420
"""0644, as JSON has it."""


def pod_spec(spec: Object) -> None:
    defaults: Object = {
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
        "securityContext": {},
    }
    for field, value in defaults.items():
        spec.setdefault(field, value)
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    for container in (*spec.get("initContainers", ()), *spec.get("containers", ())):
        _container(container)
    for volume in spec.get("volumes", ()):
        if set(volume) == {"name"}:
            volume["emptyDir"] = {}
        for place in ("secret", "configMap", "projected", "downwardAPI"):
            if place in volume:
                volume[place].setdefault("defaultMode", DEFAULT_MODE)


def _container(container: Object) -> None:
    tag = container.get("image", "").rpartition("/")[2].partition("@")
    latest = not tag[2] and (":" not in tag[0] or tag[0].endswith(":latest"))
    container.setdefault("imagePullPolicy", "Always" if latest else "IfNotPresent")
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    for amounts in container.setdefault("resources", {}).values():
        _canonical(amounts)
    for port in container.get("ports", ()):
        port.setdefault("protocol", "TCP")
    for variable in container.get("env", ()):
        if "fieldRef" in variable.get("valueFrom", {}):
            variable["valueFrom"]["fieldRef"].setdefault("apiVersion", "v1")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if name in container:
            _probe(container[name])
    for hook in ("preStop", "postStart"):
        _http_get(dig(container, "lifecycle", hook, "httpGet"))


def _canonical(amounts: Any) -> None:
    """What is no quantity is refused later."""
    for name, given in amounts.items() if isinstance(amounts, dict) else ():
        with contextlib.suppress(ValueError):
            amounts[name] = canonical(str(given))


def _probe(probe: Object) -> None:
    numbers = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
    for field, value in numbers.items():
        probe.setdefault(field, value)
    _http_get(probe.get("httpGet"))


def _http_get(action: Object | None) -> None:
    if action is not None:
        action.setdefault("path", "/")
        action.setdefault("scheme", "HTTP")


def deployment(thing: Object) -> None:
    spec = thing.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    strategy = spec.setdefault("strategy", {})
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    _template(spec)


def replica_set(thing: Object) -> None:
    spec = thing.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    _template(spec)


def empty_status(thing: Object) -> None:
    """What a new object shows before anybody has looked at it."""
    statuses: dict[str, Object] = {
        "Deployment": {},
        "ReplicaSet": {"replicas": 0},
        "Service": {"loadBalancer": {}},
        "Pod": {"phase": "Pending"},
        "HorizontalPodAutoscaler": {"desiredReplicas": 0, "currentMetrics": None},
    }
    if thing["kind"] in statuses:
        thing.setdefault("status", statuses[thing["kind"]])


def _template(spec: Object) -> None:
    template = spec.setdefault("template", {})
    template.setdefault("metadata", {})
    pod_spec(template.setdefault("spec", {}))


def pod(thing: Object) -> None:
    spec = thing.setdefault("spec", {})
    pod_spec(spec)
    # Only here: in a template, what is limited and not requested stays so.
    for container in (*spec.get("initContainers", ()), *spec.get("containers", ())):
        for name, limit in container["resources"].get("limits", {}).items():
            container["resources"].setdefault("requests", {}).setdefault(name, limit)
    spec.setdefault("enableServiceLinks", True)
    spec.setdefault("serviceAccountName", "default")
    spec.setdefault("serviceAccount", spec["serviceAccountName"])
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    spec.setdefault("priority", 0)


def service(thing: Object) -> None:
    spec = thing.setdefault("spec", {})
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    if spec["type"] != "ExternalName":
        spec.setdefault("internalTrafficPolicy", "Cluster")
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")
    for port in spec.get("ports", ()):
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))


def secret(thing: Object) -> None:
    thing.setdefault("type", "Opaque")
    plain = thing.pop("stringData", None)
    if plain:
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in plain.items()}
        thing["data"] = {**thing.get("data", {}), **encoded}


def namespace(thing: Object) -> None:
    thing.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
    thing["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = thing["metadata"].get("name", "")
    thing.setdefault("status", {}).setdefault("phase", "Active")


def endpoint_slice(thing: Object) -> None:
    for port in thing.get("ports", ()):
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")


def autoscaler(thing: Object) -> None:
    spec = thing.setdefault("spec", {})
    spec.setdefault("minReplicas", 1)
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    behavior = spec.get("behavior")
    if behavior is None:
        return
    up, down = behavior.setdefault("scaleUp", {}), behavior.setdefault("scaleDown", {})
    up.setdefault("stabilizationWindowSeconds", 0)
    up.setdefault("selectPolicy", "Max")
    pods, percent = (
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    )
    up.setdefault("policies", [pods, percent])
    down.setdefault("selectPolicy", "Max")
    down.setdefault("policies", [dict(percent)])


def cluster_role_binding(thing: Object) -> None:
    thing.setdefault("roleRef", {}).setdefault("apiGroup", "rbac.authorization.k8s.io")
    for subject in thing.get("subjects", ()):
        if subject.get("kind") in ("User", "Group"):
            subject.setdefault("apiGroup", "rbac.authorization.k8s.io")


def network_policy(thing: Object) -> None:
    spec = thing.setdefault("spec", {})
    if "policyTypes" not in spec:
        spec["policyTypes"] = ["Ingress", *(["Egress"] if "egress" in spec else [])]
    for rule in (*spec.get("ingress", ()), *spec.get("egress", ())):
        for port in rule.get("ports", ()):
            port.setdefault("protocol", "TCP")


def definition(thing: Object) -> None:
    spec = thing.setdefault("spec", {})
    spec.setdefault("conversion", {"strategy": "None"})
    names = spec.setdefault("names", {})
    names.setdefault("singular", names.get("kind", "").lower())
    names.setdefault("listKind", names.get("kind", "") + "List")


DEFAULTS: dict[str, Callable[[Object], None]] = {
    "deployments": deployment,
    "replicasets": replica_set,
    "pods": pod,
    "services": service,
    "secrets": secret,
    "namespaces": namespace,
    "endpointslices": endpoint_slice,
    "horizontalpodautoscalers": autoscaler,
    "rolebindings": cluster_role_binding,
    "clusterrolebindings": cluster_role_binding,
    "networkpolicies": network_policy,
    "customresourcedefinitions": definition,
}
