"""One schedule of a function while this copy leads: when it is due next, and which of its ticks are on their way."""

from __future__ import annotations

import asyncio
import enum
import hashlib
from collections import deque
from dataclasses import dataclass, field

from springtide.scaler.core.vocabulary import FunctionRef
from springtide.triggers.cron.gateway import TickCall
from springtide.triggers.cron.kept import Key, Sent
from springtide.triggers.cron.owed import late_limit
from springtide.wire.events.delivery_mode import DeliveryMode
from springtide.wire.events.headers import timestamp
from springtide.wire.schedules.annotations import FunctionSchedule

MAX_RUNS = 5
"""Past ticks of one schedule that are told."""
BY_HAND = "by hand"
BEFORE_S = 0.001
"""Ticks are due at whole seconds."""


class Outcome(enum.StrEnum):
    """What became of a tick."""

    QUEUED = "queued"
    """Its call is stored."""
    CALLED = "called"
    """The function answered, and well."""
    FAILED = "failed"
    """It answered otherwise, or not at all."""
    CANCELLED = "cancelled"
    """A person cancelled its call, or the next tick that replaced it."""
    REFUSED = "refused"
    """The gateway will never take it."""
    SKIPPED = "skipped"
    """The call before it had not ended."""
    MISSED = "missed"
    """Too late to be of use, by what its function says."""


@dataclass(frozen=True, slots=True)
class Run:
    """``due`` and ``at``: when it should have been, and when it was."""

    due: float
    at: float
    outcome: Outcome
    job: str = ""
    note: str = ""


@dataclass(eq=False, slots=True)
class Entry:
    """``after``: up to when its ticks have been taken out; those in ``pending`` are not sent yet."""

    ref: FunctionRef
    timed: FunctionSchedule
    anchor: float
    since: float
    after: float
    begun_after: float = 0.0
    """Up to when another leader had taken them out."""
    next_due: float = 0.0
    live: bool = True
    turn: int = 0
    """Which entry of the heap is the one that counts."""
    pending: deque[float] = field(default_factory=deque)
    lane: asyncio.Task[None] | None = None
    calls: set[asyncio.Task[None]] = field(default_factory=set)
    """Made at once, and not answered yet."""
    sent: Sent | None = None
    runs: tuple[Run, ...] = ()
    """Oldest first."""

    @property
    def key(self) -> Key:
        return self.ref, self.timed.schedule.text

    @property
    def at_once(self) -> bool:
        """Its function wants to be called without the queue."""
        return self.timed.options.delivery is DeliveryMode.SYNC

    @property
    def oldest(self) -> float:
        """The first tick that is not sent."""
        return self.pending[0] if self.pending else self.next_due

    def call_of(self, due: float) -> TickCall:
        at = due - self.timed.delay_s
        text = self.timed.schedule.text
        short = hashlib.sha256(text.encode()).hexdigest()[:12]
        key = f"cron {timestamp(at)} {short}"
        return TickCall(function=self.ref, schedule=text, at=at, options=self.timed.options, key=key)

    def retime(self, timed: FunctionSchedule) -> None:
        """Its options are others now. Jitter moves when instants are due, and not which of them are sent."""
        moved_s = timed.delay_s - self.timed.delay_s
        self.timed = timed
        self.after += moved_s
        self.pending = deque(due + moved_s for due in self.pending)
        if self.sent is not None:
            self.sent = Sent(self.sent.due + moved_s, self.sent.job)

    def note(self, run: Run) -> None:
        self.runs = (*self.runs[1 - MAX_RUNS :], run)

    def recall(self, run: Run) -> None:
        """One of before this copy led."""
        if run.due not in [known.due for known in self.runs]:
            self.runs = tuple(sorted((*self.runs, run), key=lambda one: one.due)[-MAX_RUNS:])

    def replace(self, run: Run, by: Run) -> None:
        """More is known of it; nothing, where it has been forgotten."""
        self.runs = tuple([by if known == run else known for known in self.runs])

    def thin(self, young_from: float) -> list[float]:
        """Take out what nobody wants any more of what is due up to ``young_from``."""
        late = [due for due in self.pending if due <= young_from]
        dropped = late[: max(0, len(late) - late_limit(self.timed.options))]
        for _ in dropped:
            self.pending.popleft()
        return dropped
