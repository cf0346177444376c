"""Rules for sleep, one object for each function: today's fixed silence, the hybrid histogram, an oracle, and ours.

``LearnedSleep`` is the production rule for any simulator (pauses in, windows out), and nothing else::

    sleeper = LearnedSleep(Price(cold_worth_s=900, cold_worth_rare=0.8), cold_start_s=2.0)
    sleeper.called(since=120.0, until=121.5, calls=1)   # a call began and ended; calls in flight together are one
    for window in sleeper.windows():                    # when to be up until the next call, by the same clock
        ...
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

from springtide.scaler.core.keepalive import history, rule
from springtide.scaler.core.keepalive.history import History
from springtide.scaler.core.keepalive.rule import Learned, NotLearned, Plan, Price
from springtide.scaler.core.keepalive.windows import Window
from springtide.scaler.core.policy import DEFAULT_SILENCE_S
from springtide.scaler.core.vocabulary import Instant
from springtide.scaler.sim.bursts import Bursts


class FixedSilence:
    """Up for so long after the last call."""

    def __init__(self, silence_s: float) -> None:
        self._silence_s = silence_s
        self._ended_at = 0.0

    def called(self, _since: float, until: float, _calls: int, /) -> None:
        self._ended_at = until

    def windows(self) -> Sequence[Window]:
        return (Window(self._ended_at, self._ended_at + self._silence_s),)


class LearnedSleep:
    """The production rule. While nothing is learned the fixed silence holds. Begin at an instant of 0 or later."""

    def __init__(self, price: Price, *, cold_start_s: float, fixed_s: float = DEFAULT_SILENCE_S) -> None:
        self._price, self._cold_start_s, self._fixed_s = price, cold_start_s, fixed_s
        self.history = History()
        self._learned: Learned | None = None
        self.plan: Plan | NotLearned = NotLearned("nothing is known")
        """The last one, with its numbers."""

    def called(self, since: float, until: float, calls: int = 1) -> None:
        known = history.started(self.history, Instant(since), calls)
        self.history = history.ended(known, Instant(until))

    def windows(self) -> Sequence[Window]:
        ended_at = self.history.recent.last_end
        if ended_at is None:
            return ()
        self.plan = rule.planned(
            self.history,
            ended_at,
            price=self._price,
            cold_start_s=self._cold_start_s,
            fixed_s=self._fixed_s,
            before=self._learned,
        )
        if isinstance(self.plan, NotLearned):
            return (Window(ended_at, ended_at + self._fixed_s),)
        self._learned = self.plan.learned
        return self.plan.windows


class HybridHistogram:
    """M. Shahrad et al., "Serverless in the Wild" (USENIX ATC 2020), sections 4.2 and 4.3, as they describe it.

    Pauses in bins of a minute up to four hours. Where the histogram is representative (the coefficient of variation of
    its bins' counts is above 2) the function is unloaded after a call, loaded again at the 5th percentile, and kept
    until the 99th, with a margin of 10 % each; the first is rounded down to a bin, the other one up. If that begins at
    0 it just stays. Else, and while little is known, it is kept for the histogram's range. Time series (ARIMA), for
    functions most of whose pauses are out of range, are left out: those have the range, too.
    """

    RANGE_MINUTES = 240
    HEAD, TAIL, MARGIN = 0.05, 0.99, 0.10
    MIN_VARIATION = 2.0
    MAX_OUT_OF_RANGE = 0.5
    MIN_PAUSES = 4

    def __init__(self) -> None:
        self._bins = [0] * self.RANGE_MINUTES
        self._total = self._outside = 0
        self._squares = 0
        self._ended_at: float | None = None

    def called(self, since: float, until: float, calls: int, /) -> None:
        if self._ended_at is not None:
            self._add(since - self._ended_at, 1)
        self._add(0.0, calls - 1)
        self._ended_at = until

    def windows(self) -> Sequence[Window]:
        if self._ended_at is None:
            return ()
        since_s, until_s = self._span()
        if since_s <= 0:
            return (Window(self._ended_at, self._ended_at + until_s),)
        # A window of no length: it is unloaded at once.
        return (
            Window(self._ended_at, self._ended_at),
            Window(self._ended_at + since_s, self._ended_at + until_s),
        )

    def _add(self, pause_s: float, times: int) -> None:
        minute = int(pause_s // 60)
        if minute >= self.RANGE_MINUTES:
            self._outside += times
            return
        count = self._bins[minute]
        self._squares += (count + times) ** 2 - count**2
        self._bins[minute] = count + times
        self._total += times

    def _span(self) -> tuple[float, float]:
        seen = self._total + self._outside
        if seen < self.MIN_PAUSES or self._outside > self.MAX_OUT_OF_RANGE * seen or not self._representative():
            return 0.0, self.RANGE_MINUTES * 60.0
        head, tail = self._percentile(self.HEAD), self._percentile(self.TAIL) + 1
        return head * 60.0 * (1 - self.MARGIN), tail * 60.0 * (1 + self.MARGIN)

    def _representative(self) -> bool:
        mean = self._total / self.RANGE_MINUTES
        variance = self._squares / self.RANGE_MINUTES - mean**2
        return mean > 0 and math.sqrt(max(0.0, variance)) > self.MIN_VARIATION * mean

    def _percentile(self, share: float) -> int:
        """The bin that it lies in."""
        left = share * self._total
        for minute, count in enumerate(self._bins):
            left -= count
            if left <= 0:
                return minute
        return self.RANGE_MINUTES - 1


class Oracle:
    """Knows when the next burst begins: up one cold start before it, and asleep as soon as it is over."""

    def __init__(self, bursts: Bursts) -> None:
        self._bursts = bursts
        self._ended_at = 0.0

    def called(self, _since: float, until: float, _calls: int, /) -> None:
        self._ended_at = until

    def windows(self) -> Sequence[Window]:
        place = bisect_right(self._bursts.since, self._ended_at)
        if place >= len(self._bursts.since):
            return ()
        next_at = self._bursts.since[place]
        return (Window(max(self._ended_at, next_at - self._bursts.cold_start_s), next_at + 1.0),)
