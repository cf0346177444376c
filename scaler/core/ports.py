"""The Protocols through which time, measurements and the cluster come in. Shells implement them; core never calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from springtide.scaler.core.alert_review import ActiveAlerts
from springtide.scaler.core.delayed_calls import DelayedCalls
from springtide.scaler.core.idle import Activity
from springtide.scaler.core.loads import Load
from springtide.scaler.core.observation import Level
from springtide.scaler.core.prewarm import ExpectedCall
from springtide.scaler.core.vocabulary import Decision, Function, FunctionRef, Instant, NoData, Scale


class Clock(Protocol):
    """Two clocks: ``now`` monotonic for deadlines, ``wall`` seconds since the epoch for everything shared."""

    def now(self) -> float: ...

    def wall(self) -> float: ...


class FunctionCatalog(Protocol):
    """Which functions there are."""

    async def list_functions(self) -> Sequence[Function]:
        """Every function of every namespace. Raises Unavailable when that cannot be known."""


class ScaleTarget(Protocol):
    """One function's replicas, read and written by compare-and-set."""

    async def read(self, ref: FunctionRef) -> Function:
        """The function as it is now. Raises NotFound or Unavailable."""

    async def write(self, ref: FunctionRef, replicas: int, *, expect: str | None, decision: Decision | None) -> Scale:
        """Ask for ``replicas`` if the version still is ``expect`` (None: whatever it is).

        ``decision`` says who asks and why; None is a person. Raises Conflict when the version moved on, NotFound,
        BadInput or Unavailable.
        """


class ScaledFunctions(FunctionCatalog, ScaleTarget, Protocol):
    """All functions, and the replicas of each."""


class ActivitySource(Protocol):
    """Where the idle rule's measurements come from."""

    async def activity(self, refs: Sequence[FunctionRef], now: Instant) -> Mapping[FunctionRef, Activity]:
        """One entry for each ref asked about; what is not known is NoData with the reason. Never raises for that."""


class LevelSource(Protocol):
    """Where the control loop's levels come from: processor time, messages, the user's own queries."""

    def levels(
        self, loads: Mapping[FunctionRef, Sequence[Load]], now: Instant
    ) -> Mapping[tuple[FunctionRef, str], Level | NoData]:
        """By function and name of the load, one entry for each of ``loads`` that is of this source's type.

        What is known at once; what is due is asked for meanwhile. Older than the source allows is NoData, too. Never
        waits, and never raises.
        """

    async def aclose(self) -> None:
        """Give up what is being asked."""


class ExpectedCalls(Protocol):
    """Who knows of calls before they come."""

    def next_call(self, function: Function, after: Instant) -> ExpectedCall | None:
        """The function's first one after an instant, as far as is known. At once, and never raises."""


class DelayedCallSource(Protocol):
    """Who knows which asynchronous calls were put off."""

    async def delayed(self) -> DelayedCalls:
        """Raises Unsupported where there are no queues, and another SpringtideError when that cannot be known."""


class AlertSource(Protocol):
    """Who knows which alerts fire."""

    async def active(self, now: Instant) -> ActiveAlerts | NoData:
        """All that fires, or why that is not known. Never raises for that."""


class Recorder(Protocol):
    """Where decisions are told."""

    def record(self, decision: Decision) -> None:
        """Keep or pass on one decision; must not block and must not raise."""


class Leadership(Protocol):
    """Which of several copies of a part may write. A copy on its own always may."""

    @property
    def role(self) -> str:
        """What is led; terms of one role can be compared. Empty where there is one copy only."""

    def hold(self) -> int | None:
        """The term this copy leads in, while no other can have begun one; None when it may not write.

        Later terms are greater. It costs nothing: ask right before each write.
        """

    def left_s(self) -> float:
        """For how long ``hold`` certainly stays true, so the longest that a write may take."""

    async def change(self, known: int | None) -> int | None:
        """Wait until ``hold`` answers something else than ``known``; what it answers then."""
