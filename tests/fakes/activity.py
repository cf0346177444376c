"""Sources of activity that say what a test wants them to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from springtide.scaler.core.idle import Activity
from springtide.scaler.core.vocabulary import FunctionRef, Instant, NoData, Sample

Script = Callable[[FunctionRef, Instant], Activity]


class ScriptedActivity:
    """An ActivitySource that answers by a script; ``asked`` holds the functions of each question.

    ``before`` runs first, and may hang; functions in ``left_out`` are missing in the answer.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[list[FunctionRef]] = []
        self.before: Callable[[], Awaitable[None]] | None = None
        self.left_out: set[FunctionRef] = set()

    async def activity(self, refs: Sequence[FunctionRef], now: Instant) -> Mapping[FunctionRef, Activity]:
        self.asked.append(list(refs))
        if self.before is not None:
            await self.before()
        return {ref: self.script(ref, now) for ref in refs if ref not in self.left_out}


def unknown(why: str) -> Script:
    return lambda _ref, _now: Activity(NoData(why), NoData(why))


def silent_since(instant: float) -> Script:
    """Measured at this very moment: nothing in flight, last active at ``instant``."""
    return lambda _ref, now: Activity(Sample(0, now), Sample(instant, now))


def measured_last_at(instant: float, script: Script) -> Script:
    """What ``script`` said at ``instant``, ever since."""
    return lambda ref, now: script(ref, Instant(min(instant, now)))


@dataclass(slots=True)
class Calls:
    """What really happens at one gateway: calls with their start and end, by a clock of seconds since the epoch."""

    known_since: float
    calls: list[tuple[float, float]] = field(default_factory=list)

    def in_flight(self, now: float) -> int:
        return sum(start <= now < end for start, end in self.calls)

    def last_active(self, now: float) -> float:
        return max([self.known_since, *(edge for call in self.calls for edge in call if edge <= now)])

    def script(self, _ref: FunctionRef, now: Instant) -> Activity:
        return Activity(Sample(self.in_flight(now), now), Sample(self.last_active(now), now))

    def scraped_every(self, interval_s: float) -> Script:
        """As Prometheus knows it: up to one interval old."""

        def script(ref: FunctionRef, now: Instant) -> Activity:
            scraped = Instant(now - (now - self.known_since) % interval_s)
            return self.script(ref, scraped)

        return script
