"""Garbage collection: what has lost its owners goes, in the order that the deletion asked for."""

from __future__ import annotations

from dataclasses import dataclass

from tests.kubernetes.emulator.actor import Actor
from tests.kubernetes.emulator.deletion import FOREGROUND, ORPHAN
from tests.kubernetes.emulator.objects import Object, deleting, dig, name_of, namespace_of, uid_of
from tests.kubernetes.emulator.store import Change, Kind


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object is."""

    resource: str
    namespace: str
    name: str


class Garbage:
    """Keys are places in text form: ``worker`` needs two strings."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self._places: dict[str, Place] = {}
        self._dependents: dict[str, set[str]] = {}

    def heard(self, change: Change) -> set[str]:
        """Keep the graph of owners; the uids to look at."""
        uid, owners = uid_of(change.object), _owner_uids(change.object)
        before = _owner_uids(change.previous) if change.previous else set()
        for owner in before - owners:
            self._dependents.get(owner, set()).discard(uid)
        if change.kind is Kind.DELETED:
            self._places.pop(uid, None)
            for owner in owners:
                self._dependents.get(owner, set()).discard(uid)
            return {*self._dependents.pop(uid, ()), *(owner for owner in owners if owner in self._places)}
        resource = f"{change.key.resource}.{change.key.group}" if change.key.group else change.key.resource
        self._places[uid] = Place(resource, namespace_of(change.object), name_of(change.object))
        for owner in owners:
            self._dependents.setdefault(owner, set()).add(uid)
        return {uid} if owners or deleting(change.object) else set()

    def sync(self, key: tuple[str, str]) -> float | None:
        uid = key[1]
        thing = self._find(uid)
        if thing is None:
            return None
        place = self._places[uid]
        if deleting(thing):
            self._end(place, thing)
        elif owners := dig(thing, "metadata", "ownerReferences", default=[]):
            self._check_owners(place, thing, owners)
        return None

    def _find(self, uid: str) -> Object | None:
        place = self._places.get(uid)
        if place is None:
            return None
        try:
            found = self._actor.get(place.resource, place.namespace, place.name)
        except KeyError:  # Its definition is gone.
            return None
        return found if found is not None and uid_of(found) == uid else None

    def _check_owners(self, place: Place, thing: Object, owners: list[Object]) -> None:
        solid, waiting = [], False
        for owner in owners:
            found = self._find(owner["uid"])
            # An owner has to be in the same namespace, or in none.
            if found is None or namespace_of(found) not in ("", namespace_of(thing)):
                continue
            solid.append(owner)
            waiting |= deleting(found) and FOREGROUND in found["metadata"].get("finalizers", ())
        if not solid:
            self._actor.delete(place.resource, thing, policy="Background")
        elif waiting and len(solid) == 1:
            dependents = self._dependents.get(uid_of(thing))
            self._actor.delete(place.resource, thing, policy="Foreground" if dependents else "Background")
        elif len(solid) < len(owners):
            meta = thing["metadata"] | {"ownerReferences": solid}
            self._actor.write(place.resource, thing | {"metadata": meta})

    def _end(self, place: Place, thing: Object) -> None:
        finalizers = thing["metadata"].get("finalizers", [])
        dependents = [one for uid in self._dependents.get(uid_of(thing), ()) if (one := self._find(uid))]
        if FOREGROUND in finalizers:
            for one in dependents:
                self.sync(("", uid_of(one)))
            blocking = [uid for uid in self._dependents.get(uid_of(thing), ()) if self._blocks(uid, thing)]
            if not blocking:
                self._let_go(place, thing, FOREGROUND)
        elif ORPHAN in finalizers:
            for one in dependents:
                self._release(one, thing)
            self._let_go(place, thing, ORPHAN)

    def _blocks(self, uid: str, owner: Object) -> bool:
        found = self._find(uid)
        refs = dig(found, "metadata", "ownerReferences", default=[])
        return any(ref["uid"] == uid_of(owner) and ref.get("blockOwnerDeletion") for ref in refs)

    def _release(self, thing: Object, owner: Object) -> None:
        kept = [ref for ref in thing["metadata"]["ownerReferences"] if ref["uid"] != uid_of(owner)]
        meta = {key: value for key, value in thing["metadata"].items() if key != "ownerReferences"}
        place = self._places[uid_of(thing)]
        self._actor.write(place.resource, thing | {"metadata": meta | ({"ownerReferences": kept} if kept else {})})

    def _let_go(self, place: Place, thing: Object, finalizer: str) -> None:
        current = self._find(uid_of(thing))
        if current is None:
            return
        kept = [one for one in current["metadata"].get("finalizers", ()) if one != finalizer]
        self._actor.write(place.resource, current | {"metadata": current["metadata"] | {"finalizers": kept}})


def _owner_uids(thing: Object) -> set[str]:
    return {owner["uid"] for owner in dig(thing, "metadata", "ownerReferences", default=[])}
