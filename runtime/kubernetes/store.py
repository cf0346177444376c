"""Objects of one kind as last seen, with indexes and subscribers. Synchronous; whoever hears of an object puts it in.

News comes from three sides, in no order: a list, a watch, and the answers to our own writes. What makes them one
history is the resourceVersion, which the API server guarantees to grow: an object never goes back to an older one, and
an object that was deleted does not come back by news from before that.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any

Json = dict[str, Any]
Key = tuple[str, str]
"""Namespace (empty for kinds without) and name."""

IndexBy = Callable[[Json], Iterable[Hashable]]
Subscriber = Callable[[Json | None, Json | None], None]
"""Called with the object before and after: None before a creation, None after a deletion."""

MAX_TOMBSTONES = 10_000
"""Deletions remembered; news of a deleted object is late by seconds, not by thousands of deletions."""


def slim(value: Json) -> Json:
    """Without what no program of ours reads and what often is half of the object."""
    metadata = value.get("metadata") or {}
    metadata.pop("managedFields", None)
    (metadata.get("annotations") or {}).pop("kubectl.kubernetes.io/last-applied-configuration", None)
    return value


def key_of(value: Json) -> Key:
    metadata = value["metadata"]
    return (metadata.get("namespace", ""), metadata["name"])


def uid_of(value: Json) -> str:
    return str(value["metadata"].get("uid", ""))


class Store:
    """``trim`` makes each object small before it is kept; an index maps an object to the keys it is found under."""

    def __init__(self, *, trim: Callable[[Json], Json] = slim, indexes: Mapping[str, IndexBy] | None = None) -> None:
        self._trim = trim
        self._objects: dict[Key, Json] = {}
        self._indexers = dict(indexes or {})
        self._indexes: dict[str, dict[Hashable, dict[Key, None]]] = {name: {} for name in self._indexers}
        self._tombstones: OrderedDict[tuple[Key, str], str | None] = OrderedDict()  # by uid, too
        self._subscribers: list[Subscriber] = []

    def __repr__(self) -> str:
        return f"<Store {len(self._objects)} objects, {len(self._tombstones)} tombstones>"

    def __len__(self) -> int:
        return len(self._objects)

    def get(self, name: str, *, namespace: str = "") -> Json | None:
        """The object itself, which is shared: read it, do not change it."""
        return self._objects.get((namespace, name))

    def __iter__(self) -> Iterator[Json]:
        return iter(list(self._objects.values()))

    def by(self, index: str, key: Hashable) -> list[Json]:
        """The objects that ``index`` files under ``key``."""
        return [self._objects[found] for found in self._indexes[index].get(key, ())]

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Hear of every change from now on, synchronously; returns what ends it. Must not raise."""
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    def observe(self, value: Json) -> bool:
        """An object as a watch, a list or the answer to a write showed it. False when that was no news."""
        key, known = key_of(value), self._objects.get(key_of(value))
        if self._buried(key, value):
            return False
        if known is not None and not _newer(value, known):
            return False
        self._put(key, known, self._trim(value))
        return True

    def gone(self, value: Json, *, at: str | None) -> bool:
        """``value``, any state of an object, is not there any more. False when that was no news.

        ``at`` is the version of that knowledge: a selector may stop matching an object and match it again later. None
        is for good, as after a delete of our own.
        """
        key = key_of(value)
        known = self._objects.get(key)
        self._bury(key, uid_of(value), at)
        if known is None or uid_of(known) != uid_of(value):
            return False  # there is none, or another of that name since
        if at is not None and _later(_version(known), at):
            return False  # it was seen after that
        self._put(key, known, None)
        return True

    def missing(self, seen: Iterable[Key], *, namespace: str | None, version: str) -> list[Json]:
        """What a list of ``version`` did not show, so that it is gone: objects written after the list are not."""
        listed = set(seen)
        return [
            value
            for key, value in self._objects.items()
            if key not in listed and namespace in (None, key[0]) and not _later(_version(value), version)
        ]

    def _put(self, key: Key, old: Json | None, new: Json | None) -> None:
        if new is None:
            self._objects.pop(key, None)
        else:
            self._objects[key] = new
        for name, indexer in self._indexers.items():
            index = self._indexes[name]
            for found in set(indexer(old)) if old is not None else ():
                filed = index[found]
                filed.pop(key, None)
                if not filed:
                    del index[found]
            for found in indexer(new) if new is not None else ():
                index.setdefault(found, {})[key] = None
        for subscriber in list(self._subscribers):
            subscriber(old, new)

    def _bury(self, key: Key, uid: str, at: str | None) -> None:
        if self._tombstones.get((key, uid), "") is not None:  # what is gone for good stays so
            self._tombstones[key, uid] = at
        if len(self._tombstones) > MAX_TOMBSTONES:
            self._tombstones.popitem(last=False)

    def _buried(self, key: Key, value: Json) -> bool:
        tombstone = (key, uid_of(value))
        if tombstone not in self._tombstones:
            return False
        at = self._tombstones[tombstone]
        if at is None or not _later(_version(value), at):
            return True
        del self._tombstones[tombstone]
        return False


def _version(value: Json) -> str:
    return str(value["metadata"].get("resourceVersion", ""))


def _newer(value: Json, known: Json) -> bool:
    """Versions are compared across uids, too: all objects of a kind share one sequence."""
    one, other = _version(value), _version(known)
    if one == other:
        return False
    return _later(one, other) or not (one.isdigit() and other.isdigit())


def _later(one: str, other: str) -> bool:
    """Whether ``one`` certainly is later; what is no number cannot be compared."""
    return one.isdigit() and other.isdigit() and int(one) > int(other)
