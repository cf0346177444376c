"""The objects, one version number for all of them, and the history that watches read."""

from __future__ import annotations

import enum
import itertools
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from tests.kubernetes.emulator.objects import Object, clone, name_of, namespace_of
from tests.kubernetes.emulator.resources import StoreKey


class Kind(enum.StrEnum):
    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class Change:
    """One write. ``object`` of a deletion is the last state, with the version of the deletion."""

    version: int
    kind: Kind
    key: StoreKey
    object: Object
    previous: Object | None


Index = tuple[StoreKey, str, str]
"""A kind of objects, and what they have in common: an owner's uid, or a label in a namespace."""


class Compacted(Exception):
    """History does not reach back that far."""


class Store:
    """Objects are never changed in place: a write puts a new one."""

    def __init__(self, history: int) -> None:
        self.version = 1000
        self.compacted = 999
        """The oldest version that a watch may start from."""
        self._objects: dict[StoreKey, dict[tuple[str, str], Object]] = {}
        self._changes: deque[Change] = deque()
        self._most_changes = history
        self._listeners: list[Callable[[Change], None]] = []
        self._indices: dict[Index, dict[tuple[str, str], Object]] = {}

    def __repr__(self) -> str:
        counts = {key.resource: len(kept) for key, kept in self._objects.items() if kept}
        return f"<Store version {self.version} {counts}>"

    def get(self, key: StoreKey, namespace: str, name: str) -> Object | None:
        return self._objects.get(key, {}).get((namespace, name))

    def objects(self, key: StoreKey, namespace: str = "") -> list[Object]:
        """In the order of etcd's keys."""
        kept = self._objects.get(key, {})
        wanted = kept if not namespace else {place: one for place, one in kept.items() if place[0] == namespace}
        return [wanted[place] for place in sorted(wanted)]

    def objects_at(self, key: StoreKey, version: int, namespace: str = "") -> list[Object]:
        """As it was at a version. Raises Compacted."""
        kept = dict(self._objects.get(key, {}))
        for change in reversed(self.since(version)):
            if change.key != key:
                continue
            place = (namespace_of(change.object), name_of(change.object))
            if change.previous is None:
                kept.pop(place, None)
            else:
                kept[place] = change.previous
        return [kept[place] for place in sorted(kept) if not namespace or place[0] == namespace]

    def owned(self, key: StoreKey, uid: str) -> list[Object]:
        """Objects with an owner reference to ``uid``."""
        return self._indexed((key, "owner", uid))

    def labelled(self, key: StoreKey, namespace: str, label: str, value: str) -> list[Object]:
        """Objects of a namespace with this label."""
        return self._indexed((key, namespace, f"{label}={value}"))

    def _indexed(self, index: Index) -> list[Object]:
        kept = self._indices.get(index, {})
        return [kept[place] for place in sorted(kept)]

    def put(self, key: StoreKey, thing: Object) -> Object:
        """Write an object, new or not; returns it as stored, with its version."""
        place = (namespace_of(thing), name_of(thing))
        kept = self._objects.setdefault(key, {})
        previous = kept.get(place)
        self.version += 1
        stored = thing | {"metadata": thing["metadata"] | {"resourceVersion": str(self.version)}}
        kept[place] = stored
        self._reindex(key, place, previous, stored)
        self._tell(Change(self.version, Kind.MODIFIED if previous else Kind.ADDED, key, stored, previous))
        return stored

    def remove(self, key: StoreKey, thing: Object) -> Object:
        place = (namespace_of(thing), name_of(thing))
        previous = self._objects[key].pop(place)
        self._reindex(key, place, previous, None)
        self.version += 1
        last = previous | {"metadata": previous["metadata"] | {"resourceVersion": str(self.version)}}
        self._tell(Change(self.version, Kind.DELETED, key, last, previous))
        return last

    def since(self, version: int) -> list[Change]:
        """All changes after a version. Raises Compacted."""
        if version < self.compacted:
            raise Compacted(f"too old resource version: {version} ({self.compacted})")
        start = bisect_right(self._changes, version, key=lambda change: change.version)
        return list(itertools.islice(self._changes, start, None))

    def compact(self) -> None:
        """Forget all history: from now on only the present is known."""
        self._changes.clear()
        self.compacted = self.version

    def listen(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Hear every change in order; the result ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _reindex(self, key: StoreKey, place: tuple[str, str], old: Object | None, new: Object | None) -> None:
        before, after = _indices(key, old), _indices(key, new)
        for index in before - after:
            self._indices[index].pop(place, None)
            if not self._indices[index]:
                del self._indices[index]
        for index in after:
            assert new is not None
            self._indices.setdefault(index, {})[place] = new

    def _tell(self, change: Change) -> None:
        self._changes.append(change)
        if len(self._changes) > self._most_changes:
            self.compacted = self._changes.popleft().version
        for listener in tuple(self._listeners):
            listener(change)


def _indices(key: StoreKey, thing: Object | None) -> set[Index]:
    if thing is None:
        return set()
    meta, place = thing["metadata"], namespace_of(thing)
    owners = {(key, "owner", owner["uid"]) for owner in meta.get("ownerReferences") or ()}
    return owners | {(key, place, f"{label}={value}") for label, value in (meta.get("labels") or {}).items()}


def edited(thing: Object) -> Object:
    """A copy that may be changed."""
    copy: Object = clone(thing)
    return copy
