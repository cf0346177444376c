"""``metadata.managedFields``: kept at every write, asked at every apply."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from tests.kubernetes.emulator.objects import Object, dig, timestamp
from tests.kubernetes.emulator.ownership import field_sets, merging
from tests.kubernetes.emulator.ownership.field_sets import FieldSet, Path, Shapes
from tests.kubernetes.emulator.statuses import Cause, apply_conflict

APPLY, UPDATE = "Apply", "Update"

_STRIPPED: tuple[Path, ...] = (
    ("f:apiVersion",),
    ("f:kind",),
    ("f:metadata", "f:name"),
    ("f:metadata", "f:namespace"),
    ("f:metadata", "f:creationTimestamp"),
    ("f:metadata", "f:selfLink"),
    ("f:metadata", "f:uid"),
    ("f:metadata", "f:generation"),
    ("f:metadata", "f:generateName"),
    ("f:metadata", "f:managedFields"),
    ("f:metadata", "f:resourceVersion"),
    ("f:metadata", "f:deletionTimestamp"),
    ("f:metadata", "f:deletionGracePeriodSeconds"),
)
"""Fields that nobody owns."""


@dataclass(frozen=True, slots=True)
class Manager:
    """Who writes, and by which way."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    manager: Manager
    fields: FieldSet
    time: str

    def as_json(self) -> Object:
        entry: Object = {
            "manager": self.manager.name,
            "operation": self.manager.operation,
            "apiVersion": self.manager.api_version,
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": field_sets.to_fields(self.fields),
        }
        return entry | ({"subresource": self.manager.subresource} if self.manager.subresource else {})


def entries(thing: Object | None) -> list[Entry]:
    return [
        Entry(
            Manager(
                one.get("manager", ""), one.get("operation", ""), one.get("apiVersion", ""), one.get("subresource", "")
            ),
            field_sets.from_fields(one.get("fieldsV1", {})),
            one.get("time", ""),
        )
        for one in dig(thing, "metadata", "managedFields", default=[])
    ]


class Owners:
    """Keeps the managers of objects of one schema."""

    def __init__(self, shapes: Shapes, schema: Object) -> None:
        self._shapes, self._schema = shapes, schema

    def fields_of(self, thing: Object) -> FieldSet:
        found = field_sets.leaves(self._shapes, thing, self._schema)
        return frozenset(found) - frozenset(_stripped(found))

    def updated(self, old: Object | None, new: Object, manager: Manager) -> list[Entry]:
        """The entries after an ordinary write: what it changed is the writer's now."""
        changed, removed = self._difference(old, new)
        before = entries(old)
        if not changed and not removed:
            return before
        after = []
        own = Entry(manager, frozenset(), "")
        for entry in before:
            if entry.manager == manager:
                own = entry
            else:
                after.append(replace(entry, fields=entry.fields - changed - removed))
        after.append(Entry(manager, (own.fields | changed) - removed, timestamp()))
        return _ordered(after)

    def applied(self, live: Object, config: Object, manager: Manager, *, force: bool) -> tuple[Object, list[Entry]]:
        """The object with the configuration applied, and the entries then. Raises ApiError 409."""
        config_set = self.fields_of(config)
        before = entries(live)
        own = next((entry for entry in before if entry.manager == manager), Entry(manager, frozenset(), ""))
        others = [entry for entry in before if entry.manager != manager]
        merged = merging.merge(self._shapes, live, config, self._schema)
        changed, _ = self._difference(live, merged)
        if not force:
            _refuse(others, changed)
        others = [replace(entry, fields=entry.fields - changed) for entry in others]
        kept = config_set.union(*(entry.fields for entry in others))
        merged = merging.remove(merged, own.fields - kept, kept)
        moment = own.time if own.fields == config_set and own.time else timestamp()
        after = [*others, Entry(manager, config_set, moment)]
        return merged, _ordered(after)

    def _difference(self, old: Object | None, new: Object) -> tuple[FieldSet, FieldSet]:
        """Paths added or changed, and paths removed."""
        before = field_sets.leaves(self._shapes, old, self._schema) if old else {}
        after = field_sets.leaves(self._shapes, new, self._schema)
        changed = {path for path, value in after.items() if path not in before or before[path] != value}
        removed = before.keys() - after.keys()
        return frozenset(changed) - frozenset(_stripped(changed)), frozenset(removed) - frozenset(_stripped(removed))


def _stripped(paths: Iterable[Path]) -> set[Path]:
    return {path for path in paths if path[:1] in _STRIPPED or path[:2] in _STRIPPED}


def _refuse(others: list[Entry], changed: FieldSet) -> None:
    causes = [
        Cause(field_sets.text(path), f"conflict with {_described(entry)}", "FieldManagerConflict")
        for entry in others
        for path in sorted(entry.fields & changed)
    ]
    if causes:
        raise apply_conflict(causes)


def _described(entry: Entry) -> str:
    manager = entry.manager
    words = f'"{manager.name}"'
    if manager.subresource:
        words += f' with subresource "{manager.subresource}"'
    if manager.operation == UPDATE:
        words += f" using {manager.api_version}" + (f" at {entry.time}" if entry.time else "")
    return words


def _ordered(found: list[Entry]) -> list[Entry]:
    """Applies first, then by time; managers of nothing are gone."""
    kept = [entry for entry in found if entry.fields]
    return sorted(kept, key=lambda entry: (entry.manager.operation, entry.time, entry.manager.name))
