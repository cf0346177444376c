"""HorizontalPodAutoscalers."""

from __future__ import annotations

from tests.kubernetes.emulator.objects import Object, dig
from tests.kubernetes.emulator.statuses import Cause, not_allowed, required, unsupported, wrong

SOURCES = {
    "ContainerResource": "containerResource",
    "External": "external",
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
}
TARGETS = {"AverageValue": "averageValue", "Utilization": "averageUtilization", "Value": "value"}
SELECT = ("Disabled", "Max", "Min")
MAX_WINDOW_S, MAX_PERIOD_S = 3600, 1800


def autoscaler(new: Object, _old: Object | None) -> list[Cause]:
    spec = new.get("spec", {})
    found = _target(spec.get("scaleTargetRef", {}))
    least, most = spec.get("minReplicas", 1), spec.get("maxReplicas", 0)
    metrics = spec.get("metrics", [])
    if least < 1:
        # Zero would need the gate HPAScaleToZero, which is off by default.
        found.append(wrong("spec.minReplicas", least, "must be greater than or equal to 1"))
    if most < 1:
        found.append(wrong("spec.maxReplicas", most, "must be greater than 0"))
    elif most < least:
        found.append(wrong("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`"))
    for index, metric in enumerate(metrics):
        found += _metric(metric, f"spec.metrics[{index}]")
    for direction in ("scaleUp", "scaleDown"):
        rules = dig(spec, "behavior", direction)
        if rules is not None:
            found += _rules(rules, f"spec.behavior.{direction}")
    return found


def _target(ref: Object) -> list[Cause]:
    return [required(f"spec.scaleTargetRef.{field}") for field in ("kind", "name") if not ref.get(field)]


def _metric(metric: Object, path: str) -> list[Cause]:
    kind = metric.get("type", "")
    if not kind:
        return [required(f"{path}.type", "must specify a metric source type")]
    if kind not in SOURCES:
        return [unsupported(f"{path}.type", kind, tuple(SOURCES))]
    found = []
    for other, field in SOURCES.items():
        if other != kind and field in metric:
            found.append(not_allowed(f"{path}.{field}", "must populate the given metric source only"))
    source = metric.get(SOURCES[kind])
    if source is None:
        return [*found, required(f"{path}.{SOURCES[kind]}", "must populate information for the given metric source")]
    if kind in ("Resource", "ContainerResource") and not source.get("name"):
        found.append(required(f"{path}.{SOURCES[kind]}.name", "must specify a resource name"))
    if kind == "ContainerResource" and not source.get("container"):
        found.append(required(f"{path}.{SOURCES[kind]}.container", "must specify a container name"))
    return found + _value(source.get("target", {}), f"{path}.{SOURCES[kind]}.target")


def _value(target: Object, path: str) -> list[Cause]:
    kind = target.get("type", "")
    if not kind:
        return [required(f"{path}.type", "must specify a metric target type")]
    if kind not in TARGETS:
        return [wrong(f"{path}.type", kind, "must be either Utilization, Value, or AverageValue")]
    if TARGETS[kind] not in target:
        return [required(f"{path}.{TARGETS[kind]}", f"must be set for target type {kind}")]
    if target.get("averageUtilization", 1) < 1:
        return [wrong(f"{path}.averageUtilization", target["averageUtilization"], "must be greater than 0")]
    return []


def _rules(rules: Object, path: str) -> list[Cause]:
    found = []
    window = rules.get("stabilizationWindowSeconds")
    if window is not None and not 0 <= window <= MAX_WINDOW_S:
        why = f"must be greater than or equal to zero and less than or equal to {MAX_WINDOW_S}"
        found.append(wrong(f"{path}.stabilizationWindowSeconds", window, why))
    if rules.get("selectPolicy", "Max") not in SELECT:
        found.append(unsupported(f"{path}.selectPolicy", rules["selectPolicy"], SELECT))
    if "policies" in rules and not rules["policies"]:
        found.append(required(f"{path}.policies", "must specify at least one Policy"))
    for index, policy in enumerate(rules.get("policies", ())):
        at = f"{path}.policies[{index}]"
        if policy.get("type") not in ("Pods", "Percent"):
            found.append(unsupported(f"{at}.type", policy.get("type", ""), ("Percent", "Pods")))
        if policy.get("value", 0) <= 0:
            found.append(wrong(f"{at}.value", policy.get("value", 0), "must be greater than zero"))
        period = policy.get("periodSeconds", 0)
        if not 0 < period <= MAX_PERIOD_S:
            why = "must be greater than zero" if period <= 0 else f"must be less than or equal to {MAX_PERIOD_S}"
            found.append(wrong(f"{at}.periodSeconds", period, why))
    return found
