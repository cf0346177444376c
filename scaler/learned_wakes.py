"""What the control loop has learned of wakes, told to the provider: it keeps that, and gateways wake functions to it.

Told again where the provider shows another number, however that came about. What a scaler before this one had learned
stays with the provider until this one has seen as many wakes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from springtide.scaler.core import loop
from springtide.scaler.core.loop import LoopHistory
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import Function, FunctionRef, Instant
from springtide.scaler.provider_notes import ProviderNotes


class WakeKeeper(Protocol):
    async def keep_wake(self, ref: FunctionRef, replicas: int) -> None:
        """Within a deadline. Raises SpringtideError."""


class LearnedWakes:
    """``tell`` after each look; ``aclose`` gives up what is being told."""

    def __init__(self, keeper: WakeKeeper, *, clock: Clock) -> None:
        outage = "what was learned of wakes is not kept; callers wake what was kept before"
        self._notes = ProviderNotes(keeper.keep_wake, clock=clock, outage=outage)

    def __repr__(self) -> str:
        return f"<LearnedWakes by {self._notes!r}>"

    def tell(
        self,
        functions: Iterable[tuple[Function, ScalePolicy]],
        histories: Mapping[FunctionRef, LoopHistory],
        now: Instant,
    ) -> None:
        """Begin to tell what the provider does not show yet. ``functions`` are those that the loop owns."""
        for function, policy in functions:
            history = histories.get(function.ref)
            learned = loop.learned_wake(policy, history, now) if history is not None else None
            if learned is None or learned == function.learned_wake:
                continue
            if not self._notes.tell(function.ref, learned):
                return

    async def aclose(self) -> None:
        await self._notes.aclose()
