"""ReplicaSets: as many pods as wanted; the ones that are missed least go first."""

from __future__ import annotations

from tests.kubernetes.emulator import conditions
from tests.kubernetes.emulator.actor import Actor
from tests.kubernetes.emulator.controllers.worker import Key
from tests.kubernetes.emulator.objects import Object, annotations_of, deleting, dig, name_of, namespace_of, owned_by
from tests.kubernetes.emulator.statuses import ApiError
from tests.kubernetes.emulator.store import edited
from tests.kubernetes.emulator.writes import random_suffix

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_ENDED = ("Succeeded", "Failed")


class ReplicaSets:
    def __init__(self, actor: Actor) -> None:
        self._actor = actor

    def sync(self, key: Key) -> float | None:
        """Raises ApiError where pods are refused, to be tried again."""
        one = self._actor.get("replicasets", *key)
        if one is None:
            return None
        owned = self._actor.owned("pods", one)
        pods = [pod for pod in owned if not deleting(pod) and dig(pod, "status", "phase") not in _ENDED]
        refused: ApiError | None = None
        if not deleting(one):
            wanted = one["spec"]["replicas"]
            try:
                pods.extend(self._create(one) for _ in range(wanted - len(pods)))
            except ApiError as error:
                refused = error
            if len(pods) > wanted:
                pods = self._shrink(one, pods, wanted)
        again_s = self._report(one, pods, [pod for pod in owned if deleting(pod)], refused)
        if refused is not None:
            raise refused
        return again_s

    def _create(self, one: Object) -> Object:
        template = edited(one["spec"]["template"])
        meta = template.get("metadata", {}) | {
            "name": f"{name_of(one)[:57]}-{random_suffix()}",
            "generateName": f"{name_of(one)}-",
            "namespace": namespace_of(one),
            "ownerReferences": [owned_by(one)],
        }
        pod = self._actor.create(
            "pods", {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": template["spec"]}
        )
        self._actor.tell(one, "SuccessfulCreate", f"Created pod: {name_of(pod)}")
        return pod

    def _shrink(self, one: Object, pods: list[Object], wanted: int) -> list[Object]:
        ranked = sorted(pods, key=_how_much_missed)
        for pod in ranked[: len(pods) - wanted]:
            self._actor.delete("pods", pod)
            self._actor.tell(one, "SuccessfulDelete", f"Deleted pod: {name_of(pod)}")
        return ranked[len(pods) - wanted :]

    def _report(self, one: Object, pods: list[Object], ending: list[Object], refused: ApiError | None) -> float | None:
        least_s = one["spec"].get("minReadySeconds", 0)
        ready = [pod for pod in pods if conditions.is_true(pod, "Ready")]
        waits = [wait_s for pod in ready if (wait_s := least_s - _ready_for_s(pod)) > 0] if least_s else []
        numbers = {
            "fullyLabeledReplicas": len(pods),
            "readyReplicas": len(ready),
            "availableReplicas": len(ready) - len(waits),
            "terminatingReplicas": len(ending),
        }
        status: Object = {"replicas": len(pods), "observedGeneration": one["metadata"]["generation"]}
        status |= {field: number for field, number in numbers.items() if number}
        found = conditions.without(dig(one, "status", "conditions", default=[]), "ReplicaFailure")
        if refused is not None:
            new = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": refused.message}
            found = conditions.updated(dig(one, "status", "conditions", default=[]), new)
            self._actor.tell(one, "FailedCreate", f"Error creating: {refused.message}", kind="Warning")
        if found:
            status["conditions"] = found
        self._actor.write_status("replicasets", one, status)
        return min(waits) + 0.01 if waits else None


def _ready_for_s(pod: Object) -> float:
    ready = conditions.condition(pod, "Ready")
    return conditions.age_s(ready["lastTransitionTime"]) if ready else 0.0


def _how_much_missed(pod: Object) -> tuple[object, ...]:
    """Least first: without a node, not running, not ready, of low cost, ready for a short time, restarted, young."""
    phase = dig(pod, "status", "phase", default="Pending")
    ready = conditions.condition(pod, "Ready")
    is_ready = ready is not None and ready["status"] == "True"
    restarts = sum(one.get("restartCount", 0) for one in dig(pod, "status", "containerStatuses", default=[]))
    return (
        bool(dig(pod, "spec", "nodeName")),
        {"Pending": 0, "Unknown": 1}.get(phase, 2),
        is_ready,
        _cost(pod),
        int(_ready_for_s(pod)) if is_ready else 0,
        -restarts,
        int(conditions.age_s(pod["metadata"]["creationTimestamp"])),
    )


def _cost(pod: Object) -> int:
    text = annotations_of(pod).get(DELETION_COST, "0")
    try:
        return int(text)
    except ValueError:
        return 0
