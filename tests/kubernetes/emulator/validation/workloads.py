"""Deployments, ReplicaSets, PodDisruptionBudgets."""

from __future__ import annotations

import re

from tests.kubernetes.emulator.objects import Object, dig
from tests.kubernetes.emulator.statuses import Cause, not_allowed, required, unsupported, wrong
from tests.kubernetes.emulator.validation import metadata, pods

STRATEGIES = ("Recreate", "RollingUpdate")


def deployment(new: Object, old: Object | None) -> list[Cause]:
    spec = new["spec"]
    found = _replicated(spec, old)
    strategy = dig(spec, "strategy", "type", default="RollingUpdate")
    if strategy not in STRATEGIES:
        found.append(unsupported("spec.strategy.type", strategy, STRATEGIES))
    rolling = dig(spec, "strategy", "rollingUpdate")
    if strategy == "Recreate" and rolling is not None:
        why = "may not be specified when strategy `type` is 'Recreate'"
        found.append(not_allowed("spec.strategy.rollingUpdate", why))
    if rolling is not None:
        found += _rolling(rolling, "spec.strategy.rollingUpdate")
    for field in ("revisionHistoryLimit", "minReadySeconds"):
        found += at_least_zero(spec.get(field), f"spec.{field}")
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None and deadline <= spec.get("minReadySeconds", 0):
        found.append(wrong("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds"))
    return found


def replica_set(new: Object, old: Object | None) -> list[Cause]:
    return _replicated(new["spec"], old)


def _replicated(spec: Object, old: Object | None) -> list[Cause]:
    found = at_least_zero(spec.get("replicas"), "spec.replicas")
    selector, template = spec.get("selector"), spec.get("template", {})
    if selector is None or not (selector.get("matchLabels") or selector.get("matchExpressions")):
        found.append(
            required("spec.selector")
            if selector is None
            else wrong("spec.selector", selector, "empty selector is invalid for deployment")
        )
    else:
        found += metadata.selector(selector, "spec.selector")
        labels = dig(template, "metadata", "labels", default={})
        if not metadata.selector_matches(selector, labels):
            why = "`selector` does not match template `labels`"
            found.append(wrong("spec.template.metadata.labels", labels, why))
    if old is not None and selector != old["spec"].get("selector"):
        found.append(wrong("spec.selector", selector, "field is immutable"))
    return found + pods.template(template, "spec.template")


def _rolling(rolling: Object, path: str) -> list[Cause]:
    found = []
    zero = 0
    for field in ("maxUnavailable", "maxSurge"):
        value = rolling.get(field, 0)
        found += count_or_percent(value, f"{path}.{field}")
        zero += value in (0, "0%")
        if (
            field == "maxUnavailable"
            and isinstance(value, str)
            and re.fullmatch(r"\d+%", value)
            and int(value[:-1]) > 100
        ):
            found.append(wrong(f"{path}.{field}", value, "must not be greater than 100%"))
    if zero == 2:
        found.append(wrong(f"{path}.maxUnavailable", 0, "may not be 0 when `maxSurge` is 0"))
    return found


def disruption_budget(new: Object, _old: Object | None) -> list[Cause]:
    spec = new.get("spec", {})
    found = []
    if "minAvailable" in spec and "maxUnavailable" in spec:
        found.append(wrong("spec", spec, "minAvailable and maxUnavailable cannot be both set"))
    for field in ("minAvailable", "maxUnavailable"):
        if field in spec:
            found += count_or_percent(spec[field], f"spec.{field}")
    return found + metadata.selector(spec.get("selector", {}), "spec.selector")


def count_or_percent(value: int | str, path: str) -> list[Cause]:
    if isinstance(value, str):
        if re.fullmatch(r"\d+%", value):
            return []
        why = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%')"
        return [wrong(path, value, why)]
    return at_least_zero(value, path)


def at_least_zero(value: int | None, path: str) -> list[Cause]:
    return [wrong(path, value, "must be greater than or equal to 0")] if value is not None and value < 0 else []
