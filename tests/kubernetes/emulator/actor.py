"""How controllers and the node read and write: straight, but through the same rules as a request."""

from __future__ import annotations

from typing import Any

from tests.kubernetes.emulator.deletion import DeleteOptions, Deletions
from tests.kubernetes.emulator.objects import Object, dig, name_of, namespace_of, timestamp, uid_of
from tests.kubernetes.emulator.operations import Operations
from tests.kubernetes.emulator.options import WriteOptions
from tests.kubernetes.emulator.resources import Resource
from tests.kubernetes.emulator.statuses import ApiError
from tests.kubernetes.emulator.store import edited
from tests.kubernetes.emulator.writes import random_suffix


class Actor:
    """One component of the cluster, under its own manager name."""

    def __init__(self, operations: Operations, name: str) -> None:
        self._operations, self.name = operations, name
        self._deletions = Deletions(operations.store)
        self._told: dict[tuple[str, str, str], str] = {}

    def resource(self, name: str) -> Resource:
        return self._operations.resources.named(name)

    def get(self, resource: str, namespace: str, name: str) -> Object | None:
        return self._operations.store.get(self.resource(resource).key, namespace, name)

    def all(self, resource: str, namespace: str = "") -> list[Object]:
        return self._operations.store.objects(self.resource(resource).key, namespace)

    def owned(self, resource: str, owner: Object) -> list[Object]:
        """The objects whose controller ``owner`` is."""
        uid = uid_of(owner)
        return [
            thing
            for thing in self._operations.store.owned(self.resource(resource).key, uid)
            if any(ref["uid"] == uid and ref.get("controller") for ref in thing["metadata"]["ownerReferences"])
        ]

    def labelled(self, resource: str, namespace: str, label: str, value: str) -> list[Object]:
        return self._operations.store.labelled(self.resource(resource).key, namespace, label, value)

    def create(self, resource: str, thing: Object) -> Object:
        """Raises ApiError."""
        kind = self.resource(resource)
        chosen = WriteOptions(manager=self.name, tracked=False)
        return self._operations.writes.create(kind, namespace_of(thing), thing, chosen)

    def write(self, resource: str, new: Object, *, subresource: str = "") -> Object:
        """Put an edited copy of the stored object. Raises ApiError."""
        kind = self.resource(resource)
        old = self._operations.store.get(kind.key, namespace_of(new), name_of(new))
        if old is None:
            raise ApiError(404, "NotFound", f"{resource} {name_of(new)} is gone")
        chosen = WriteOptions(manager=self.name, subresource=subresource, tracked=False)
        return self._operations.writes.replace(kind, edited(new), old, chosen)

    def write_status(self, resource: str, thing: Object, status: Object) -> Object:
        """Raises ApiError."""
        new = thing | {"status": status}
        return self.write(resource, new, subresource="status") if dig(thing, "status") != status else thing

    def delete(self, resource: str, thing: Object, *, grace_s: int | None = None, policy: str = "") -> None:
        """Nothing happens when it is gone already, or another object has its name."""
        kind = self.resource(resource)
        chosen = DeleteOptions(grace_s=grace_s, policy=policy, uid=uid_of(thing))
        try:
            self._deletions.delete(kind, namespace_of(thing), name_of(thing), chosen)
        except ApiError as error:
            if error.code not in (404, 409):
                raise

    def tell(self, about: Object, reason: str, message: str, *, kind: str = "Normal") -> None:
        """A core/v1 Event; one of the same words counts up instead."""
        place = namespace_of(about) or "default"
        event = self.get("events", place, self._told.get((uid_of(about), reason, message), ""))
        if event is not None:
            counted: dict[str, Any] = {"count": event.get("count", 1) + 1, "lastTimestamp": timestamp()}
            self.write("events", event | counted)
            return
        ref = {
            "apiVersion": about["apiVersion"],
            "kind": about["kind"],
            "namespace": namespace_of(about),
            "name": name_of(about),
            "uid": uid_of(about),
            "resourceVersion": dig(about, "metadata", "resourceVersion", default=""),
        }
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{name_of(about)}.{random_suffix(16)}", "namespace": place},
            "involvedObject": ref,
            "reason": reason,
            "message": message,
            "type": kind,
            "count": 1,
            "firstTimestamp": timestamp(),
            "lastTimestamp": timestamp(),
            "source": {"component": self.name},
            "reportingComponent": self.name,
        }
        try:
            self._told[uid_of(about), reason, message] = name_of(self.create("events", event))
        except ApiError as error:
            if error.code not in (403, 404):
                raise
