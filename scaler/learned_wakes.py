"""What the control loop has learned of wakes, told to the provider: it keeps that, and gateways wake functions to it.

Told again where the provider shows another number, however that came about, and never waited for. What a scaler before
this one had learned stays with the provider until this one has seen as many wakes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Protocol

from springtide.runtime.errors import SpringtideError
from springtide.runtime.outage import Outage
from springtide.scaler.core import loop
from springtide.scaler.core.loop import LoopHistory
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import Function, FunctionRef, Instant

MAX_AT_ONCE = 16
TOLD_S, FAILED_S = 5.0, 30.0
"""Before a function's number is told again: what the provider shows may be a moment old, and it may not take it."""


class WakeKeeper(Protocol):
    async def keep_wake(self, ref: FunctionRef, replicas: int) -> None:
        """Within a deadline. Raises SpringtideError."""


class LearnedWakes:
    """``tell`` after each look; ``aclose`` gives up what is being told."""

    def __init__(self, keeper: WakeKeeper, *, clock: Clock) -> None:
        self._keeper, self._clock = keeper, clock
        self._telling: dict[FunctionRef, asyncio.Task[None]] = {}
        self._again_at: dict[FunctionRef, float] = {}
        """Of functions that were told of a short time ago, so as few as those."""
        self._outage = Outage("what was learned of wakes is not kept; callers wake what was kept before")

    def __repr__(self) -> str:
        return f"<LearnedWakes {len(self._telling)} being told>"

    def tell(
        self,
        functions: Iterable[tuple[Function, ScalePolicy]],
        histories: Mapping[FunctionRef, LoopHistory],
        now: Instant,
    ) -> None:
        """Begin to tell what the provider does not show yet. ``functions`` are those that the loop owns."""
        clock_now = self._clock.now()
        self._again_at = {ref: at for ref, at in self._again_at.items() if at > clock_now}
        for function, policy in functions:
            history = histories.get(function.ref)
            learned = loop.learned_wake(policy, history, now) if history is not None else None
            if learned is None or learned == function.learned_wake:
                continue
            if len(self._telling) >= MAX_AT_ONCE:
                return
            if function.ref not in self._telling and function.ref not in self._again_at:
                task = asyncio.create_task(self._tell(function.ref, learned), name=f"learned wake of {function.ref}")
                self._telling[function.ref] = task

    async def aclose(self) -> None:
        tasks = list(self._telling.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _tell(self, ref: FunctionRef, replicas: int) -> None:
        pause_s = FAILED_S
        try:
            await self._keeper.keep_wake(ref, replicas)
            pause_s = TOLD_S
            self._outage.over()
        except SpringtideError as error:
            self._outage.failed(str(error), function=str(ref))
        finally:
            self._again_at[ref] = self._clock.now() + pause_s
            del self._telling[ref]
