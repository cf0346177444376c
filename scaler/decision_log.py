"""Decisions kept for people: a bounded log with followers, and the JSON form it has on the wire."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Protocol

from runtime.errors import BadInput
from scaler.core.ports import Recorder
from scaler.core.vocabulary import Decision, FunctionRef, Instant, Reason, Writer

MOST_DECISIONS = 10_000
MOST_UNREAD = 1_000
"""A follower that lags further behind loses the oldest it has not read."""

MOST_HOLDS = 10_000
"""Pairs of function and writer whose last hold is remembered; beyond it the oldest is told again if it recurs."""

MOST_DETAIL = 2_000
"""Characters kept of a detail that came in as JSON."""

MOST_INPUTS, MOST_NAME = 16, 40
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
            ref=FunctionRef.parse(value["function"]),
            writer=Writer(value["writer"]),
            before=_replicas(value["before"]),
            after=_replicas(value["after"]),
            reason=Reason(value["reason"]),
            detail=str(value.get("detail", ""))[:MOST_DETAIL],
            at=_instant(value["t"]),
            inputs=_inputs(value.get("inputs", {})),
        )
    except KeyError as error:
        raise BadInput(f"not a decision: {error} is missing") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"not a decision: {error}") from error


def _replicas(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is not a number of replicas")
    return value


def _instant(value: Any) -> Instant:
    return Instant(_number(value, "an instant in seconds"))


def _inputs(value: Any) -> dict[str, float]:
    if len(value) > MOST_INPUTS:
        raise ValueError(f"more than {MOST_INPUTS} inputs")
    return {str(name)[:MOST_NAME]: _number(number, "a number") for name, number in value.items()}


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is not {what}")
    return float(value)


class Journal(Protocol):
    """Where decisions outlive the process."""

    def read(self, most: int) -> Sequence[Decision]:
        """The last ``most`` decisions written, oldest first."""

    def append(self, decision: Decision) -> None:
        """Keep one more; must not raise."""


class DecisionLog:
    """The last decisions in memory (a Recorder). Repeated holds for one reason are kept once."""

    def __init__(self, most: int = MOST_DECISIONS, *, journal: Journal | None = None) -> None:
        """With a ``journal``, the decisions it kept are here again from the start."""
        self._decisions: deque[Decision] = deque(maxlen=most)
        self._last_hold: dict[tuple[FunctionRef, Writer], Reason] = {}
        self._followers: set[asyncio.Queue[Decision]] = set()
        self._journal: Journal | None = None
        for decision in journal.read(most) if journal else ():
            self.record(decision)
        self._journal = journal

    def __repr__(self) -> str:
        return f"<DecisionLog {len(self._decisions)} decisions, {len(self._followers)} followers>"

    def record(self, decision: Decision) -> None:
        key = (decision.ref, decision.writer)
        if decision.changes:
            self._last_hold.pop(key, None)
        elif self._last_hold.get(key) is decision.reason:
            return
        else:
            self._remember_hold(key, decision.reason)
        self._decisions.append(decision)
        if self._journal is not None:
            self._journal.append(decision)
        for queue in self._followers:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(decision)

    def forget(self, ref: FunctionRef) -> None:
        """Drop the hold memory of a deleted function (its past decisions stay)."""
        for key in [key for key in self._last_hold if key[0] == ref]:
            del self._last_hold[key]

    def since(self, instant: float, ref: FunctionRef | None = None) -> list[Decision]:
        """Decisions at or after ``instant``, oldest first; of one function or of all."""
        return [d for d in self._decisions if d.at >= instant and ref in (None, d.ref)]

    async def follow(self, instant: float, ref: FunctionRef | None = None) -> AsyncGenerator[Decision, None]:
        """Those since ``instant``, then each new one as it is recorded, for ever."""
        queue: asyncio.Queue[Decision] = asyncio.Queue(MOST_UNREAD)
        past = self.since(instant, ref)
        self._followers.add(queue)
        try:
            for decision in past:
                yield decision
            while True:
                decision = await queue.get()
                if decision.at >= instant and ref in (None, decision.ref):
                    yield decision
        finally:
            self._followers.discard(queue)

    def _remember_hold(self, key: tuple[FunctionRef, Writer], reason: Reason) -> None:
        self._last_hold.pop(key, None)
        self._last_hold[key] = reason
        if len(self._last_hold) > MOST_HOLDS:
            del self._last_hold[next(iter(self._last_hold))]


class Recorders:
    """Several recorders as one."""

    def __init__(self, recorders: Sequence[Recorder]) -> None:
        self._recorders = tuple(recorders)

    def record(self, decision: Decision) -> None:
        for recorder in self._recorders:
            recorder.record(decision)
