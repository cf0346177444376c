"""Decisions kept for people: a bounded log with followers, and the JSON form it has on the wire."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Any, Protocol

from springtide.runtime.errors import BadInput
from springtide.scaler.core.label_values import MAX_REPLICAS
from springtide.scaler.core.ports import Recorder
from springtide.scaler.core.vocabulary import Decision, FunctionRef, Instant, Reason, Writer

MAX_DECISIONS = 10_000
"""Changes kept, and half as many holds: however often holds alternate, they push no change out."""

MAX_UNREAD = 1_000
"""A follower that lags further behind loses the oldest it has not read."""

MAX_HOLDS = 10_000
"""Pairs of function and writer whose last hold is remembered; beyond it the oldest is told again if it recurs."""

MAX_DETAIL = 2_000
"""Characters kept of a detail that came in as JSON."""

MAX_FUNCTION = 320
"""Characters of a name and its namespace."""

MAX_INSTANT, MAX_NUMBER = 253_402_300_800.0, 1e300
"""The year 10000, of which calendars know nothing, and what an input may be."""

MAX_INPUTS, MAX_NAME = 40, 80
"""Numbers accepted with a decision that came in as JSON, and characters kept of each one's name."""


def to_json(decision: Decision) -> dict[str, Any]:
    """``t`` is seconds since the epoch; ``function`` is ``name.namespace``."""
    return {
        "t": round(decision.at, 3),
        "function": str(decision.ref),
        "before": decision.before,
        "after": decision.after,
        "reason": decision.reason.value,
        "writer": decision.writer.value,
        "detail": decision.detail,
        "inputs": {name: round(value, 3) for name, value in decision.inputs.items()},
    }


def from_json(value: Any) -> Decision:
    """Raises BadInput when ``value`` is not a decision."""
    try:
        return Decision(
            ref=_function(value["function"]),
            writer=Writer(value["writer"]),
            before=_replicas(value["before"]),
            after=_replicas(value["after"]),
            reason=Reason(value["reason"]),
            detail=str(value.get("detail", ""))[:MAX_DETAIL],
            at=_instant(value["t"]),
            inputs=_inputs(value.get("inputs", {})),
        )
    except KeyError as error:
        raise BadInput(f"not a decision: {error} is missing") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"not a decision: {error}") from error


def _function(value: Any) -> FunctionRef:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_FUNCTION:
        raise ValueError(f"{str(value)[:40]!r} is not a function's name")
    return FunctionRef.parse(value)


def _replicas(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_REPLICAS:
        raise ValueError(f"{str(value)[:40]} is not a number of replicas")
    return value


def _instant(value: Any) -> Instant:
    at = _number(value, "an instant in seconds")
    if not 0 <= at < MAX_INSTANT:
        raise ValueError(f"{at:g} is not an instant in seconds since 1970")
    return Instant(at)


def _inputs(value: Any) -> dict[str, float]:
    if len(value) > MAX_INPUTS:
        raise ValueError(f"more than {MAX_INPUTS} inputs")
    return {str(name)[:MAX_NAME]: _number(number, "a number") for name, number in value.items()}


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MAX_NUMBER:
        raise ValueError(f"{str(value)[:40]} is not {what}")
    return float(value)


def limits(max_decisions: int) -> dict[bool, int]:
    """How many changes (True) and holds (False) a log of ``max_decisions`` keeps."""
    return {True: max_decisions, False: max(1, max_decisions // 2)}


def newest(decisions: Sequence[Decision], max_decisions: int) -> list[Decision]:
    """What a log of ``max_decisions`` keeps of these, in order: the newest of each function.

    A function with many decisions makes room before one with few, so that one that flaps all night costs the others
    nothing of their story.
    """
    capacity = limits(max_decisions)
    counts: dict[bool, Counter[FunctionRef]] = {True: Counter(), False: Counter()}
    for decision in decisions:
        counts[decision.changes][decision.ref] += 1
    share = {changes: _share(counts[changes].values(), capacity[changes]) for changes in capacity}
    taken: Counter[tuple[FunctionRef, bool]] = Counter()
    kept: list[Decision] = []
    for decision in reversed(decisions):
        key = (decision.ref, decision.changes)
        if taken[key] < share[decision.changes] and capacity[decision.changes] > 0:
            taken[key] += 1
            capacity[decision.changes] -= 1
            kept.append(decision)
    kept.reverse()
    return kept


def _share(counts: Iterable[int], capacity: int) -> int:
    """The most each may have, so that all together fit: those with fewer leave the rest to the others."""
    ascending = sorted(counts)
    for place, count in enumerate(ascending):
        share = capacity // (len(ascending) - place)
        if count > share:
            return max(1, share)
        capacity -= count
    return ascending[-1] if ascending else 0


class HoldMemory:
    """Knows which holds were told already: one that only repeats the last of its function and writer is no news.

    The control loop's words count, for they say what is missing; those of others have numbers that change each time.
    """

    def __init__(self, max_holds: int = MAX_HOLDS) -> None:
        self._last: dict[tuple[FunctionRef, Writer], tuple[Reason, int, str]] = {}
        self._max_holds = max_holds

    def is_news(self, decision: Decision) -> bool:
        """Whether to tell it; takes it as told. A hold at another count is news: the one before is out of date."""
        key, words = (decision.ref, decision.writer), decision.detail if decision.writer is Writer.SCALER else ""
        word = (decision.reason, decision.after, words)
        if decision.changes:
            self._last.pop(key, None)
            return True
        if self._last.get(key) == word:
            return False
        self._last.pop(key, None)
        self._last[key] = word
        if len(self._last) > self._max_holds:
            del self._last[next(iter(self._last))]
        return True

    def forget(self, ref: FunctionRef) -> None:
        for key in [key for key in self._last if key[0] == ref]:
            del self._last[key]


class Journal(Protocol):
    """Where decisions outlive the process."""

    def read(self, max_decisions: int) -> Sequence[Decision]:
        """What ``newest`` leaves of all that was written, oldest first."""

    def append(self, decision: Decision) -> None:
        """Keep one more; must not raise."""


class DecisionLog:
    """The last decisions in memory (a Recorder). A hold that repeats the one before is kept once."""

    def __init__(self, max_decisions: int = MAX_DECISIONS, *, journal: Journal | None = None) -> None:
        """With a ``journal``, the decisions it kept are here again from the start."""
        self._max_decisions = max_decisions
        self._decisions = list(journal.read(max_decisions)) if journal else []
        self._holds = HoldMemory()
        self._followers: set[asyncio.Queue[Decision]] = set()
        self._journal = journal
        for decision in self._decisions:
            self._holds.is_news(decision)
        self._counts = Counter(decision.changes for decision in self._decisions)

    def __repr__(self) -> str:
        return f"<DecisionLog {len(self._decisions)} decisions, {len(self._followers)} followers>"

    def record(self, decision: Decision) -> None:
        if not self._holds.is_news(decision):
            return
        self._keep(decision)
        if self._journal is not None:
            self._journal.append(decision)
        for queue in self._followers:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(decision)

    def forget(self, ref: FunctionRef) -> None:
        """Drop the hold memory of a deleted function (its past decisions stay)."""
        self._holds.forget(ref)

    def since(
        self, instant: float, ref: FunctionRef | None = None, *, reason: Reason | None = None, tail: int | None = None
    ) -> list[Decision]:
        """Decisions at or after ``instant``, oldest first; of one function or of all, the newest ``tail`` or all."""
        fitting = [decision for decision in self._decisions if _fits(decision, instant, ref, reason)]
        return fitting[-tail:] if tail else fitting

    async def follow(
        self, instant: float, ref: FunctionRef | None = None, *, reason: Reason | None = None, tail: int | None = None
    ) -> AsyncGenerator[Decision, None]:
        """Those that ``since`` gives, then each new one as it is recorded, for ever."""
        queue: asyncio.Queue[Decision] = asyncio.Queue(MAX_UNREAD)
        past = self.since(instant, ref, reason=reason, tail=tail)
        self._followers.add(queue)
        try:
            for decision in past:
                yield decision
            while True:
                decision = await queue.get()
                if _fits(decision, instant, ref, reason):
                    yield decision
        finally:
            self._followers.discard(queue)

    def _keep(self, decision: Decision) -> None:
        self._decisions.append(decision)
        self._counts[decision.changes] += 1
        limit = limits(self._max_decisions)[decision.changes]
        # An eighth more, because looking through all of them for each that is one too many would cost too much.
        if self._counts[decision.changes] > limit + limit // 8:
            self._decisions = newest(self._decisions, self._max_decisions)
            self._counts = Counter(kept.changes for kept in self._decisions)


def _fits(decision: Decision, instant: float, ref: FunctionRef | None, reason: Reason | None) -> bool:
    return decision.at >= instant and ref in (None, decision.ref) and reason in (None, decision.reason)


class Recorders:
    """Several recorders as one."""

    def __init__(self, recorders: Sequence[Recorder]) -> None:
        self._recorders = tuple(recorders)

    def record(self, decision: Decision) -> None:
        for recorder in self._recorders:
            recorder.record(decision)
