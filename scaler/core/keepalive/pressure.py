"""Who sleeps first where memory is short: greedy-dual, as in FaasCache (A. Fuerst, P. Sharma, ASPLOS 2021).

Each function that is awake has a rank, clock + worth × frequency / size, of the clock when it was last called. The
lowest sleeps first, and the clock goes on to its rank: so who was not called for long falls behind whoever was called
since, however much it was worth. Never somebody with calls in flight, and never more than is needed. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from springtide.scaler.core.vocabulary import FunctionRef, Instant

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Worth:
    """What keeping a function awake is worth, as its pauses have taught. Neither is below 0."""

    calls_per_s: float
    worth_s: float
    """What a cold start of it may cost, in replica-seconds (``rule.Price``)."""


@dataclass(frozen=True, slots=True)
class Awake:
    """A function that is awake."""

    ref: FunctionRef
    size_bytes: float
    """Memory of all its replicas; 0 is none that was measured, and takes part in nothing."""
    worth: Worth
    clock: float
    """That of ``Ages`` when it was last called, or woken."""
    in_flight: float
    may_sleep: bool = True
    """Whether it may go to zero at all: the idle rule holds for nothing but its duration."""

    @property
    def rank(self) -> float:
        return self.clock + self.worth.worth_s * self.worth.calls_per_s / max(1.0, self.size_bytes / _MIB)


def first_to_sleep(awake: Iterable[Awake], needed_bytes: float, clock: float) -> tuple[Sequence[FunctionRef], float]:
    """Who is to sleep so that ``needed_bytes`` become free, the first one first, and the clock afterwards.

    Fewer than are needed, perhaps nobody, where the others are busy. Equal ranks: the largest first, then by name.
    """
    sleepers: list[FunctionRef] = []
    idle = (one for one in awake if one.may_sleep and one.in_flight <= 0 and one.size_bytes > 0)
    for one in sorted(idle, key=lambda one: (one.rank, -one.size_bytes, one.ref)):
        if needed_bytes <= 0:
            break
        sleepers.append(one.ref)
        needed_bytes -= one.size_bytes
        clock = max(clock, one.rank)
    return sleepers, clock


@dataclass(frozen=True, slots=True)
class Ages:
    """The clock, and of each function that is awake where it stood when that was called last. It begins at 0, with
    everybody equal, and is kept by nobody: after a restart worth alone decides, until the next one sleeps."""

    clock: float = 0.0
    called: Mapping[FunctionRef, tuple[Instant, float]] = field(default_factory=dict)

    def seen(self, last_active: Mapping[FunctionRef, Instant]) -> Ages:
        """After a look at those that are awake, and were last called then. Of others nothing is remembered: one that is
        woken begins with the clock of that time."""
        called = {}
        for ref, at in last_active.items():
            known = self.called.get(ref)
            called[ref] = known if known is not None and known[0] == at else (at, self.clock)
        return Ages(self.clock, called)

    def of(self, ref: FunctionRef) -> float:
        known = self.called.get(ref)
        return self.clock if known is None else known[1]
