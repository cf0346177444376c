"""Status conditions."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.kubernetes.emulator.objects import Object, dig, parse_time, timestamp


def condition(thing: Object, kind: str) -> Object | None:
    found: list[Object] = dig(thing, "status", "conditions", default=[])
    return next((one for one in found if one["type"] == kind), None)


def is_true(thing: Object, kind: str) -> bool:
    found = condition(thing, kind)
    return found is not None and found["status"] == "True"


def updated(before: list[Object], new: Object, *, updates: bool = False) -> list[Object]:
    """With a condition set; its transition time moves when its status does. ``updates``: it has an update time, too."""
    old = next((one for one in before if one["type"] == new["type"]), None)
    now = timestamp()
    moved = old is None or old["status"] != new["status"]
    full = new | {"lastTransitionTime": now if moved or old is None else old.get("lastTransitionTime", now)}
    if updates:
        same = old is not None and all(old.get(key) == new.get(key) for key in ("status", "reason", "message"))
        full["lastUpdateTime"] = old.get("lastUpdateTime", now) if same and old is not None else now
    if old is None:
        return [*before, full]
    return [full if one is old else one for one in before]


def without(before: list[Object], kind: str) -> list[Object]:
    return [one for one in before if one["type"] != kind]


def age_s(stamp: str) -> float:
    return (datetime.now(UTC) - parse_time(stamp)).total_seconds()
