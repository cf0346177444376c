"""What outlives a leader: up to when ticks were sent, since when schedules are there, and which functions pause.

The first that a new leader does is to read it. A tick is in doubt when it was due after ``position``: it is sent again,
under the same key, which makes one call of the two.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from springtide.runtime import bounded_json
from springtide.runtime.errors import BadInput
from springtide.scaler.core.vocabulary import FunctionRef

Key = tuple[FunctionRef, str]
"""A function, and one of its schedules as it is written."""

MAX_BEHIND = 4000
"""Schedules whose own position is told; with more of them the position of all is that of the last."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A call of a schedule: of its last tick, where the next one asks for it."""

    due: float
    job: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Every tick that was due up to ``at`` is sent, but for the schedules in ``behind``, which have got so far: to that
    instant of theirs, whatever their jitter."""

    at: float
    behind: Mapping[Key, float] = field(default_factory=dict)
    sent: Mapping[Key, Sent] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    """Of one function: since when it has each schedule, and since when it pauses. ``ran``: the last call that a person
    made of each."""

    since: Mapping[str, float]
    paused_at: float | None = None
    ran: Mapping[str, Sent] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """``position`` None: nobody ever sent a tick here."""

    position: Position | None = None
    records: Mapping[FunctionRef, Record] = field(default_factory=dict)


class Store(Protocol):
    """Both raise SpringtideError."""

    async def load(self) -> Kept: ...

    async def save(self, position: Position, changed: Mapping[FunctionRef, Record | None]) -> None:
        """The records first, of which None is removed: a schedule that nobody wrote down began after ``position``.

        Raises Conflict where another copy has written since ``load``.
        """


def position_json(position: Position) -> bytes:
    behind = [[*_words(key), at] for key, at in position.behind.items()]
    sent = [[*_words(key), last.due, last.job] for key, last in position.sent.items()]
    return json.dumps({"at": position.at, "behind": behind, "sent": sent}, separators=(",", ":")).encode()


def position_from_json(text: bytes) -> Position:
    """Raises BadInput."""
    value = _loaded(text)
    try:
        return Position(
            at=float(value["at"]),
            behind={_key(words): float(at) for *words, at in value["behind"]},
            sent={_key(words): Sent(float(due), str(job)) for *words, due, job in value["sent"]},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"no position of schedules: {error!r:.200}") from error


def record_json(record: Record) -> dict[str, Any]:
    ran = {text: [sent.due, sent.job] for text, sent in record.ran.items()}
    return {"since": dict(record.since), "pausedAt": record.paused_at} | ({"ran": ran} if ran else {})


def record_bytes(record: Record) -> bytes:
    return json.dumps(record_json(record), separators=(",", ":")).encode()


def record_from_json(value: Any) -> Record:
    """Raises BadInput."""
    try:
        paused_at = value["pausedAt"]
        since = {str(text): float(at) for text, at in value["since"].items()}
        ran = {str(text): Sent(float(due), str(job)) for text, (due, job) in value.get("ran", {}).items()}
        return Record(since, float(paused_at) if paused_at is not None else None, ran)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadInput(f"no record of a schedule: {error!r:.200}") from error


def records_json(records: Mapping[FunctionRef, Record]) -> bytes:
    value = [[ref.namespace, ref.name, record_json(record)] for ref, record in records.items()]
    return json.dumps(value, separators=(",", ":")).encode()


def records_from_json(text: bytes) -> dict[FunctionRef, Record]:
    """Raises BadInput."""
    try:
        return {FunctionRef(str(space), str(name)): record_from_json(one) for space, name, one in _loaded(text)}
    except (TypeError, ValueError) as error:
        raise BadInput(f"no records of schedules: {error!r:.200}") from error


def _loaded(text: bytes) -> Any:
    try:
        return bounded_json.loads(text)
    except ValueError as error:
        raise BadInput(f"not JSON: {error}") from error


def _words(key: Key) -> tuple[str, str, str]:
    return key[0].namespace, key[0].name, key[1]


def _key(words: list[str]) -> Key:
    namespace, name, text = words
    return FunctionRef(namespace, name), text
