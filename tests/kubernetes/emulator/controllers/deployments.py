"""Deployments: a ReplicaSet for each template, moved over as the strategy allows, and the status that tells of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from tests.kubernetes.emulator import conditions
from tests.kubernetes.emulator.actor import Actor
from tests.kubernetes.emulator.controllers import rollout
from tests.kubernetes.emulator.controllers.rollout import Group
from tests.kubernetes.emulator.controllers.worker import Key
from tests.kubernetes.emulator.objects import Object, annotations_of, deleting, dig, name_of, namespace_of, owned_by
from tests.kubernetes.emulator.store import edited

HASH, REVISION = "pod-template-hash", "deployment.kubernetes.io/revision"
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


class Deployments:
    def __init__(self, actor: Actor) -> None:
        self._actor = actor

    def sync(self, key: Key) -> float | None:
        deployment = self._actor.get("deployments", *key)
        if deployment is None or deleting(deployment):
            return None
        sets = self._actor.owned("replicasets", deployment)
        if dig(deployment, "spec", "paused"):
            self._report(deployment, sets, _with_template(deployment, sets))
            return None
        new = _with_template(deployment, sets) or self._new_set(deployment, sets)
        old = [one for one in sets if name_of(one) != name_of(new)]
        deployment = self._revised(deployment, new)
        new, old = self._scaled(deployment, new, old)
        self._forget_old(deployment, old)
        return self._report(deployment, [new, *old], new)

    def _new_set(self, deployment: Object, sets: Sequence[Object]) -> Object:
        template = edited(deployment["spec"]["template"])
        digest = _hash(template)
        template["metadata"]["labels"] = dig(template, "metadata", "labels", default={}) | {HASH: digest}
        selector = edited(deployment["spec"]["selector"])
        selector["matchLabels"] = selector.get("matchLabels", {}) | {HASH: digest}
        revision = 1 + max((int(annotations_of(one).get(REVISION, "0")) for one in sets), default=0)
        spec: Object = {"replicas": 0, "selector": selector, "template": template}
        if least := deployment["spec"].get("minReadySeconds"):
            spec["minReadySeconds"] = least
        name = f"{name_of(deployment)}-{digest}"
        return self._actor.create(
            "replicasets",
            {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "metadata": {
                    "name": name,
                    "namespace": namespace_of(deployment),
                    "labels": template["metadata"]["labels"],
                    "annotations": {**annotations_of(deployment), REVISION: str(revision)},
                    "ownerReferences": [owned_by(deployment)],
                },
                "spec": spec,
            },
        )

    def _revised(self, deployment: Object, new: Object) -> Object:
        revision = annotations_of(new).get(REVISION, "1")
        if annotations_of(deployment).get(REVISION) == revision:
            return deployment
        meta = deployment["metadata"] | {"annotations": {**annotations_of(deployment), REVISION: revision}}
        return self._actor.write("deployments", deployment | {"metadata": meta}, subresource="status")

    def _scaled(self, deployment: Object, new: Object, old: list[Object]) -> tuple[Object, list[Object]]:
        replicas = deployment["spec"]["replicas"]
        active = [one for one in old if one["spec"]["replicas"]]
        if deployment["spec"]["strategy"]["type"] == "Recreate":
            old = [self._resize(deployment, one, 0) for one in old]
            gone = all(not dig(one, "status", "replicas", default=0) for one in old)
            return (self._resize(deployment, new, replicas) if gone else new), old
        if not active:
            return self._resize(deployment, new, replicas), old
        rolling = deployment["spec"]["strategy"]["rollingUpdate"]
        surge, unavailable = rollout.limits(rolling["maxSurge"], rolling["maxUnavailable"], replicas)
        groups = [_group(one) for one in old]
        new = self._resize(deployment, new, rollout.new_size(replicas, surge, _group(new), groups))
        sizes = rollout.old_sizes(replicas, unavailable, _group(new), groups)
        return new, [self._resize(deployment, one, size) for one, size in zip(old, sizes, strict=True)]

    def _resize(self, deployment: Object, one: Object, size: int) -> Object:
        before = one["spec"]["replicas"]
        if before == size:
            return one
        direction = "up" if size > before else "down"
        message = f"Scaled {direction} replica set {name_of(one)} from {before} to {size}"
        self._actor.tell(deployment, "ScalingReplicaSet", message)
        return self._actor.write("replicasets", one | {"spec": one["spec"] | {"replicas": size}})

    def _forget_old(self, deployment: Object, old: list[Object]) -> None:
        kept = deployment["spec"]["revisionHistoryLimit"]
        empty = [one for one in old if not one["spec"]["replicas"] and not dig(one, "status", "replicas", default=0)]
        empty.sort(key=lambda one: int(annotations_of(one).get(REVISION, "0")))
        for one in empty[: max(len(empty) - kept, 0)]:
            self._actor.delete("replicasets", one)

    def _report(self, deployment: Object, sets: Sequence[Object], new: Object | None) -> float | None:
        replicas = deployment["spec"]["replicas"]
        total, ready, available = (_sum(sets, field) for field in ("replicas", "readyReplicas", "availableReplicas"))
        fresh = dig(new, "status", "replicas", default=0) if new else 0
        numbers = {
            "replicas": total,
            "updatedReplicas": fresh,
            "readyReplicas": ready,
            "availableReplicas": available,
            "unavailableReplicas": max(replicas - available, 0),
            "terminatingReplicas": _sum(sets, "terminatingReplicas"),
        }
        status: Object = {"observedGeneration": deployment["metadata"]["generation"]}
        status |= {field: number for field, number in numbers.items() if number}
        found: list[Object] = dig(deployment, "status", "conditions", default=[])
        found = conditions.updated(found, _available(deployment, available), updates=True)
        found, again_s = _progress(deployment, found, new, numbers)
        failure = next((one for one in sets if conditions.is_true(one, "ReplicaFailure")), None)
        found = conditions.without(found, "ReplicaFailure") if failure is None else _failed(found, failure)
        status["conditions"] = found
        self._actor.write_status("deployments", deployment, status)
        return again_s


def _failed(found: list[Object], one: Object) -> list[Object]:
    failure = conditions.condition(one, "ReplicaFailure") or {}
    copy = {key: failure[key] for key in ("type", "status", "reason", "message")}
    return conditions.updated(found, copy, updates=True)


def _available(deployment: Object, available: int) -> Object:
    replicas = deployment["spec"]["replicas"]
    rolling = dig(deployment, "spec", "strategy", "rollingUpdate", default={"maxSurge": 0, "maxUnavailable": 0})
    _, unavailable = rollout.limits(rolling["maxSurge"], rolling["maxUnavailable"], replicas)
    if available >= replicas - min(unavailable, replicas):
        message = "Deployment has minimum availability."
        return {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable", "message": message}
    message = "Deployment does not have minimum availability."
    return {"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable", "message": message}


def _progress(
    deployment: Object, found: list[Object], new: Object | None, numbers: dict[str, int]
) -> tuple[list[Object], float | None]:
    """The condition Progressing, and when its deadline has to be looked at."""
    replicas = deployment["spec"]["replicas"]
    name = name_of(new) if new else name_of(deployment)
    done = numbers["updatedReplicas"] == replicas == numbers["replicas"] == numbers["availableReplicas"]
    if done:
        text = f'ReplicaSet "{name}" has successfully progressed.'
        return _progressing(found, "True", "NewReplicaSetAvailable", text), None
    old = next((one for one in found if one["type"] == "Progressing"), None)
    before = deployment.get("status", {})
    moved = any(
        numbers[field] != before.get(field, 0) for field in ("updatedReplicas", "readyReplicas", "availableReplicas")
    )
    moved |= before.get("observedGeneration") != deployment["metadata"]["generation"]
    deadline_s = deployment["spec"].get("progressDeadlineSeconds", 600)
    if old is not None and not moved and old["reason"] != "NewReplicaSetAvailable":
        waited_s = conditions.age_s(old["lastUpdateTime"])
        if old["status"] == "False" or waited_s > deadline_s:
            text = f'ReplicaSet "{name}" has timed out progressing.'
            return _progressing(found, "False", "ProgressDeadlineExceeded", text), None
        return found, deadline_s - waited_s + 1.0
    text = f'ReplicaSet "{name}" is progressing.'
    if old is not None and moved and old["reason"] == "ReplicaSetUpdated":
        found = conditions.without(found, "Progressing")
    return _progressing(found, "True", "ReplicaSetUpdated", text), deadline_s + 1.0


def _progressing(found: list[Object], status: str, reason: str, message: str) -> list[Object]:
    new = {"type": "Progressing", "status": status, "reason": reason, "message": message}
    return conditions.updated(found, new, updates=True)


def _with_template(deployment: Object, sets: Sequence[Object]) -> Object | None:
    wanted = deployment["spec"]["template"]
    return next((one for one in sets if _without_hash(one["spec"]["template"]) == _without_hash(wanted)), None)


def _without_hash(template: Object) -> Object:
    meta = template.get("metadata", {})
    labels = {key: value for key, value in meta.get("labels", {}).items() if key != HASH}
    return template | {"metadata": meta | {"labels": labels}}


def _hash(template: Object) -> str:
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).digest()
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in digest[:10])


def _group(one: Object) -> Group:
    return Group(one["spec"]["replicas"], dig(one, "status", "availableReplicas", default=0))


def _sum(sets: Sequence[Object], field: str) -> int:
    return sum(dig(one, "status", field, default=0) for one in sets)
