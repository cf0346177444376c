"""HorizontalPodAutoscalers on CPU: replicas from utilisation, within bounds, as fast as the behaviour allows."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass, field

from tests.kubernetes.emulator import conditions
from tests.kubernetes.emulator.actor import Actor
from tests.kubernetes.emulator.controllers.worker import Key
from tests.kubernetes.emulator.node.node import Node
from tests.kubernetes.emulator.objects import Object, deleting, dig, name_of, namespace_of, timestamp, uid_of
from tests.kubernetes.emulator.operations import Operations
from tests.kubernetes.emulator.options import WriteOptions
from tests.kubernetes.emulator.resources import Resource
from tests.kubernetes.emulator.scale import Scales
from tests.kubernetes.emulator.schemas import shared
from tests.kubernetes.emulator.selectors import label_selector
from tests.kubernetes.emulator.settings import EmulatorSettings
from tests.kubernetes.emulator.statuses import ApiError
from tests.kubernetes.emulator.validation.quantities import amount

TOLERANCE = 0.1
DOWN_WINDOW_S = 300
_MAX_MEMORIES = 10_000


@dataclass(slots=True)
class _Memory:
    """What one autoscaler has recommended, and how it has scaled."""

    advice: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=_MAX_MEMORIES))
    moves: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=_MAX_MEMORIES))
    next_s: float = 0.0


class Autoscaler:
    def __init__(self, actor: Actor, operations: Operations, node: Node, settings: EmulatorSettings) -> None:
        self._actor, self._operations, self._node, self._settings = actor, operations, node, settings
        self._scales = Scales(operations.store, operations.writes, shared(settings.version))
        self._memories: dict[str, _Memory] = {}

    def sync(self, key: Key) -> float | None:
        scaler = self._actor.get("horizontalpodautoscalers", *key)
        if scaler is None or deleting(scaler):
            return None
        memory = self._memories.setdefault(uid_of(scaler), _Memory())
        now = time.monotonic()
        if now < memory.next_s:
            return memory.next_s - now
        memory.next_s = now + self._settings.hpa_period_s
        target, scale, problem = self._target(scaler)
        if target is None or scale is None:
            words = f"the HPA controller was unable to get the target's current scale: {problem}"
            self._report(scaler, [_condition("AbleToScale", "False", "FailedGetScale", words)], {})
            return self._settings.hpa_period_s
        self._look(scaler, target, scale, memory)
        return self._settings.hpa_period_s

    def _target(self, scaler: Object) -> tuple[Resource | None, Object | None, str]:
        """What is scaled and its scale, or why there is none."""
        ref = scaler["spec"]["scaleTargetRef"]
        target = self._operations.resources.of_kind(ref.get("apiVersion", "apps/v1"), ref["kind"])
        if target is None or "scale" not in target.subresources:
            return None, None, f"no matches for kind {ref['kind']}"
        try:
            return target, self._scales.get(target, namespace_of(scaler), ref["name"]), ""
        except ApiError as error:
            return target, None, error.message

    def _look(self, scaler: Object, target: Resource, scale: Object, memory: _Memory) -> None:
        current = dig(scale, "spec", "replicas", default=0)
        able = _condition("AbleToScale", "True", "ReadyForNewScale", "recommended size matches current size")
        numbers = {"currentReplicas": dig(scale, "status", "replicas", default=0)}
        if current == 0:
            text = "scaling is disabled since the replica count of the target is zero"
            off = _condition("ScalingActive", "False", "ScalingDisabled", text)
            self._report(scaler, [able, off], numbers | {"desiredReplicas": 0})
            return
        utilisation = self._utilisation(scaler, scale)
        if utilisation is None:
            text = "the HPA was unable to compute the replica count: no metrics for ready pods with a cpu request"
            bad = _condition("ScalingActive", "False", "FailedGetResourceMetric", text)
            self._report(scaler, [able, bad], numbers | {"desiredReplicas": current})
            return
        wanted, limited = self._wanted(scaler, current, utilisation, memory)
        if wanted != current:
            memory.moves.append((time.monotonic(), wanted - current))
            body = scale | {"spec": {"replicas": wanted}}
            chosen = WriteOptions(manager=self._actor.name, subresource="scale")
            self._scales.update(target, namespace_of(scaler), name_of(scale), body, chosen)
            side = "above" if wanted > current else "below"
            message = f"New size: {wanted}; reason: cpu resource utilization (percentage of request) {side} target"
            self._actor.tell(scaler, "SuccessfulRescale", message)
            able = _condition(
                "AbleToScale",
                "True",
                "SucceededRescale",
                f"the HPA controller was able to update the target scale to {wanted}",
            )
            numbers["lastScaleTime"] = timestamp()
        active = _condition(
            "ScalingActive",
            "True",
            "ValidMetricFound",
            "the HPA was able to successfully calculate a replica count from cpu utilization",
        )
        metric = {
            "type": "Resource",
            "resource": {"name": "cpu", "current": {"averageUtilization": round(utilisation), "averageValue": "0"}},
        }
        self._report(scaler, [able, active, limited], numbers | {"desiredReplicas": wanted, "currentMetrics": [metric]})

    def _utilisation(self, scaler: Object, scale: Object) -> float | None:
        """Percent of what the ready pods have requested; None without one or without requests."""
        matches = label_selector(dig(scale, "status", "selector", default=""))
        used = requested = 0.0
        for pod in self._actor.all("pods", namespace_of(scaler)):
            if not matches(pod) or deleting(pod) or not conditions.is_true(pod, "Ready"):
                continue
            for container in pod["spec"]["containers"]:
                text = dig(container, "resources", "requests", "cpu")
                if text is None:
                    return None
                requested += float(amount(text)) * 1000
            used += self._node.cpu_millis(pod)
        return 100 * used / requested if requested else None

    def _wanted(self, scaler: Object, current: int, utilisation: float, memory: _Memory) -> tuple[int, Object]:
        spec, now = scaler["spec"], time.monotonic()
        target = next((dig(one, "resource", "target", "averageUtilization") for one in spec["metrics"]), None) or 80
        ratio = utilisation / target
        raw = current if abs(ratio - 1) <= TOLERANCE else math.ceil(current * ratio)
        memory.advice.append((now, raw))
        up_s = dig(spec, "behavior", "scaleUp", "stabilizationWindowSeconds", default=0)
        down_s = dig(spec, "behavior", "scaleDown", "stabilizationWindowSeconds", default=DOWN_WINDOW_S)
        lowest = min(value for at, value in memory.advice if now - at <= up_s or value is raw)
        highest = max(value for at, value in memory.advice if now - at <= down_s or value is raw)
        wanted = max(current, lowest) if raw > current else min(current, highest) if raw < current else raw
        wanted = self._paced(spec, current, wanted, memory)
        least, most = spec.get("minReplicas", 1), spec["maxReplicas"]
        bounded = min(max(wanted, least), most)
        if bounded < wanted:
            return bounded, _condition(
                "ScalingLimited",
                "True",
                "TooManyReplicas",
                "the desired replica count is more than the maximum replica count",
            )
        if bounded > wanted or raw < least:
            return bounded, _condition(
                "ScalingLimited",
                "True",
                "TooFewReplicas",
                "the desired replica count is less than the minimum replica count",
            )
        return bounded, _condition(
            "ScalingLimited", "False", "DesiredWithinRange", "the desired count is within the acceptable range"
        )

    def _paced(self, spec: Object, current: int, wanted: int, memory: _Memory) -> int:
        """At most as many pods a period as a policy of the direction lets."""
        up = wanted > current
        if wanted == current:
            return wanted
        rules = dig(spec, "behavior", "scaleUp" if up else "scaleDown", default={})
        if rules.get("selectPolicy") == "Disabled":
            return current
        default = [
            {"type": "Pods", "value": 4, "periodSeconds": 15},
            {"type": "Percent", "value": 100, "periodSeconds": 15},
        ]
        limits = [self._limit(policy, current, memory, up=up) for policy in rules.get("policies") or default]
        widest = (
            (max(limits) if up else min(limits))
            if rules.get("selectPolicy", "Max") == "Max"
            else (min(limits) if up else max(limits))
        )
        return min(wanted, widest) if up else max(wanted, widest)

    def _limit(self, policy: Object, current: int, memory: _Memory, *, up: bool) -> int:
        now = time.monotonic()
        moved = sum(by for at, by in memory.moves if now - at <= policy["periodSeconds"] and (by > 0) is up)
        start = current - moved
        if policy["type"] == "Pods":
            return start + int(policy["value"]) if up else start - int(policy["value"])
        share = policy["value"] / 100
        scaled: float = start * (1 + share) if up else start * (1 - share)
        return math.ceil(scaled) if up else math.floor(scaled)

    def _report(self, scaler: Object, new: list[Object], numbers: Object) -> None:
        found: list[Object] = dig(scaler, "status", "conditions", default=[])
        for one in new:
            found = conditions.updated(found, one)
        before = scaler.get("status", {})
        kept = {key: before[key] for key in ("lastScaleTime", "currentReplicas", "desiredReplicas") if key in before}
        status = {"desiredReplicas": 0, **kept, **numbers, "conditions": found}
        self._actor.write_status("horizontalpodautoscalers", scaler, status)


def _condition(kind: str, status: str, reason: str, message: str) -> Object:
    return {"type": kind, "status": status, "reason": reason, "message": message}
