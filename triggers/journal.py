"""The last events and what became of them, for people: bounded, in memory, gone with the process."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from springtide.scaler.core.vocabulary import FunctionRef
from springtide.triggers.delivery import Delivered, Outcome
from springtide.wire.events.event import Event

MAX_ENTRIES = 1000
MAX_WORDS = 200
"""Characters of what a producer or a function wrote."""
DELIVERED, UNWANTED, EMPTY = "delivered", "unwanted", "empty"
"""What became of an event as a whole: to its functions, to none that wants it, or to nobody."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Of an event: what people call its source, and what that says in X-Connector."""

    source: str
    connector: str


@dataclass(frozen=True, slots=True)
class Entry:
    """``outcome`` is one of ``Outcome``, or UNWANTED or EMPTY where no function was called; ``at`` since 1970."""

    at: float
    origin: Origin
    topic: str
    event_id: str
    outcome: str
    delivered: Delivered | None = None

    def to_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {
            "time": datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds"),
            "source": self.origin.source,
            "connector": self.origin.connector,
            "topic": self.topic[:MAX_WORDS],
            "id": self.event_id[:MAX_WORDS],
            "outcome": self.outcome,
        }
        if (one := self.delivered) is not None:
            told |= {"function": str(one.function), "delivery": one.mode.value, "attempts": one.attempts}
            if one.status:
                told["status"] = one.status
            if one.outcome in (Outcome.FAILED, Outcome.REFUSED) and one.text:
                told["why"] = one.text[:MAX_WORDS]
        return told


class EventJournal:
    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        self._entries: deque[Entry] = deque(maxlen=max_entries)

    def __repr__(self) -> str:
        return f"<EventJournal {len(self._entries)} entries>"

    def note(self, at: float, origin: Origin, event: Event, delivered: Sequence[Delivered], *, outcome: str) -> None:
        """``outcome`` counts where nothing was ``delivered``."""
        about = (at, origin, event.topic, event.id)
        self._entries.extend(Entry(*about, one.outcome, one) for one in delivered)
        if not delivered:
            self._entries.append(Entry(*about, outcome))

    def newest(self, limit: int, function: FunctionRef | None = None) -> list[Entry]:
        """The newest first; of one function or of all."""
        found = []
        for entry in reversed(self._entries):
            if function is None or (entry.delivered is not None and entry.delivered.function == function):
                found.append(entry)
                if len(found) == limit:
                    break
        return found
