"""What a rule for sleep comes to: cold starts and replica-hours of functions that live through their bursts under it.

After each burst the rule says in which windows of time the function shall be up until the next one; it is up while it
is called, too. A call that begins outside of them is a cold start. All functions sleep when life begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Protocol

from springtide.scaler.core.keepalive.windows import Window
from springtide.scaler.sim.bursts import Bursts

HOUR_S = 3600.0
FLAP_S = 120.0
"""A function that is up again so soon after it was taken to zero flapped."""


class Sleeper(Protocol):
    """A rule for one function. Instants are seconds on one clock."""

    def called(self, since: float, until: float, calls: int, /) -> None:
        """A burst of calls began and ended. Pauses within it were shorter than a minute."""

    def windows(self) -> Sequence[Window]:
        """When to be up until the next burst, by time, in order; the first one runs from the last call's end on."""


@dataclass(slots=True)
class Slept:
    """What became of one function: counted from an instant on."""

    function: str
    calls: int = 0
    cold: int = 0
    up_s: float = 0.0
    flaps: int = 0


@dataclass(slots=True)
class Total:
    """Of all functions together."""

    functions: list[Slept] = field(default_factory=list)

    @property
    def calls(self) -> int:
        return sum(each.calls for each in self.functions)

    @property
    def cold(self) -> int:
        return sum(each.cold for each in self.functions)

    @property
    def cold_per_1000(self) -> float:
        return 1000 * self.cold / max(1, self.calls)

    @property
    def mean_cold_share(self) -> float:
        """The mean over the functions that were called: each weighs the same, however often it is called."""
        shares = [each.cold / each.calls for each in self.functions if each.calls]
        return fmean(shares) if shares else 0.0

    @property
    def replica_hours(self) -> float:
        return sum(each.up_s for each in self.functions) / HOUR_S

    @property
    def flaps(self) -> int:
        return sum(each.flaps for each in self.functions)


def slept(lives: Iterable[tuple[Bursts, Sleeper]], *, from_s: float = 0.0) -> Total:
    """All of them. What was before ``from_s`` is lived, but not counted."""
    return Total([live(bursts, sleeper, from_s=from_s) for bursts, sleeper in lives])


def live(bursts: Bursts, sleeper: Sleeper, *, from_s: float = 0.0) -> Slept:
    """One function's life."""
    found = Slept(bursts.function)
    windows: Sequence[Window] = ()
    asleep_since: float | None = None
    for since, until, calls in zip(bursts.since, bursts.until, bursts.calls, strict=True):
        counted = since >= from_s
        up, asleep_since = _pause(found, windows, since, from_s, asleep_since)
        if counted:
            found.calls += calls
            found.cold += not up
            found.flaps += not up and _soon(asleep_since, since)
        found.up_s += _overlap(since, until, from_s, bursts.length_s)
        asleep_since = None
        sleeper.called(since, until, calls)
        windows = sleeper.windows()
    _pause(found, windows, bursts.length_s, from_s, asleep_since)
    return found


def _pause(
    found: Slept, windows: Sequence[Window], until: float, from_s: float, asleep_since: float | None
) -> tuple[bool, float | None]:
    """Time up until the pause's end; whether it is up then, and since when it is asleep otherwise."""
    for window in windows:
        if window.since >= until:
            break
        if window.since >= from_s:
            found.flaps += _soon(asleep_since, window.since)
        found.up_s += _overlap(window.since, min(window.until, until), from_s, until)
        if window.until > until:
            return True, None
        asleep_since = window.until
    return False, asleep_since


def _soon(asleep_since: float | None, at: float) -> bool:
    return asleep_since is not None and at - asleep_since <= FLAP_S


def _overlap(since: float, until: float, begin: float, end: float) -> float:
    return max(0.0, min(until, end) - max(since, begin))
