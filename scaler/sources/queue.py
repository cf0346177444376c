"""Messages that wait for a function: the loads of type ``queue``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from springtide.scaler.core import targets
from springtide.scaler.core.loads import Load
from springtide.scaler.core.observation import Level
from springtide.scaler.core.vocabulary import FunctionRef, Instant, NoData


class PendingMessages(Protocol):
    """A queue, as far as scaling asks it."""

    def pending(self, ref: FunctionRef, now: Instant) -> Level | NoData:
        """Messages that wait for the function, as last heard; never waits."""


class NoQueue:
    """There is none in this suite yet, so that nothing is known to wait and nothing is known not to."""

    def pending(self, ref: FunctionRef, now: Instant) -> Level | NoData:  # noqa: ARG002 - the Protocol's
        return NoData("there is no queue to ask: use the type rps, capacity, cpu or one of your own")


class QueuedMessages:
    """Implements LevelSource for loads of type ``queue``."""

    def __init__(self, queue: PendingMessages) -> None:
        self._queue = queue

    async def aclose(self) -> None:
        """Nothing is under way."""

    def levels(
        self, loads: Mapping[FunctionRef, Sequence[Load]], now: Instant
    ) -> dict[tuple[FunctionRef, str], Level | NoData]:
        return {
            (ref, load.name): self._queue.pending(ref, now)
            for ref, own in loads.items()
            for load in own
            if load.type is targets.QUEUE
        }
