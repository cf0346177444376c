"""A plan of learned sleep as the idle rule uses it: it says how long the silence is that takes a function to zero.

It is about one pause, the one that began when the last call ended. Nothing else that the idle rule holds for changes.
Instants are seconds since the epoch, durations seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from springtide.scaler.core import explain
from springtide.scaler.core.keepalive.rule import Why, Window
from springtide.scaler.core.vocabulary import Instant

SAME_PAUSE_S = 3.0
"""A last call later than the plan's by more began another pause, of which there is no plan yet."""


@dataclass(frozen=True, slots=True)
class Silence:
    """What takes the place of the fixed duration: how long nobody may have called, how long it may have been awake
    since a wake, and how old it has to be."""

    duration_s: float
    awake_s: float
    age_s: float
    said: str = ""
    """Why the silence is so long, to a person; empty where it is the fixed one."""

    @classmethod
    def fixed(cls, duration_s: float) -> Silence:
        return cls(duration_s, duration_s, duration_s)


@dataclass(frozen=True, slots=True)
class LearnedSilence:
    """``windows`` in which to be awake, the first of which runs from the last call's end on."""

    windows: tuple[Window, ...]
    last_end: Instant
    why: Why
    forecasts: bool = True
    """Whether the function is woken for the later windows."""

    @property
    def first_s(self) -> float:
        return self.windows[0].until - self.last_end

    @property
    def said(self) -> str:
        return explain.learned(self.why)

    def next_wake(self, now: Instant) -> Instant | None:
        """When it is woken ahead of its next call, if it sleeps."""
        windows = self.windows[1:] if self.forecasts else ()
        return next((Instant(window.since) for window in windows if now < window.until), None)

    def silence(self, last_active: Instant, awake_since: Instant | None, now: Instant, fixed_s: float) -> Silence:
        """For a look at ``now``. Of a pause that the plan does not know yet the first window is what holds, and the
        fixed duration once that is over: then who learns is not told of calls."""
        if abs(last_active - self.last_end) > SAME_PAUSE_S:
            if now - last_active < self.first_s:
                return Silence(self.first_s, self.first_s, self.first_s, self.said)
            return Silence.fixed(fixed_s)
        ends = [window.until for window in self.windows if window.since <= now]
        woken_for = awake_since is not None and any(each.since <= awake_since < each.until for each in self.windows[1:])
        duration_s = max(ends, default=last_active) - last_active
        awake_s = 0.0 if woken_for else self.first_s
        return Silence(duration_s, awake_s, self.first_s if math.isfinite(self.first_s) else fixed_s, self.said)
