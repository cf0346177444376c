"""The floor under wrong predictions: what learning may cost more than the fixed silence would, on any day.

A function begins each day (UTC) with the price of one cold start on its account. Each second for which it was up longer
than the fixed silence would have kept it is taken from there, each second that it slept earlier is put there, and so is
the price of each cold start that it was spared. What is not on the account is not spent: windows are cut where it would
be, and none waits longer than a cold start is worth. So on any day the replica-seconds are at most those of the fixed
silence, the price of the cold starts that were avoided, and one price, however the calls come. A function with nothing
left follows the fixed silence until midnight. Cf. R. Kumar, M. Purohit,
Z. Svitkina, "Improving Online Algorithms via ML Predictions" (NeurIPS 2018): trust with a bound on its harm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from springtide.scaler.core.keepalive.windows import Window
from springtide.scaler.core.vocabulary import Instant

DAY_S = 86400.0


@dataclass(frozen=True, slots=True)
class Account:
    """``balance_s`` replica-seconds are left on ``day``, counted since the epoch.

    Of them the pause from ``since`` on was planned with ``windows``, by time; None before the first one.
    """

    day: int
    balance_s: float
    since: Instant | None = None
    windows: tuple[Window, ...] = ()

    def settled(self, now: Instant, ended_at: Instant | None, *, worth_s: float, fixed_s: float) -> Account:
        """After the pause that was planned last, which ended when a burst of calls began at ``ended_at``; None where
        that was not seen. ``now`` is when the next one begins."""
        day = int(now // DAY_S)
        if self.since is None or ended_at is None or ended_at <= self.since:
            return Account(day, self.balance_s if day == self.day else worth_s)
        free_until = self.since + fixed_s
        over_s = _up_s(self.windows, free_until, ended_at)
        saved_s = max(0.0, min(ended_at, free_until) - self.since) - _up_s(
            self.windows, self.since, min(ended_at, free_until)
        )
        spared = ended_at >= free_until and any(each.since <= ended_at < each.until for each in self.windows)
        earned_s = (worth_s if spared else 0.0) - over_s
        if day == self.day:
            return Account(day, self.balance_s + earned_s + saved_s)
        # What yesterday saved, or spared, is yesterday's.
        return Account(day, worth_s + earned_s if ended_at >= day * DAY_S else worth_s)

    def affordable(
        self, windows: Sequence[Window], since: Instant, *, worth_s: float, fixed_s: float
    ) -> tuple[Window, ...]:
        """As much of the windows as can be paid for, if nobody calls. Up to the end of the fixed silence it is free."""
        free_until, left_s = since + fixed_s, max(0.0, min(self.balance_s, worth_s))
        if len(windows) == 1 and windows[0].until <= free_until + left_s:
            return tuple(windows)
        kept: list[Window] = []
        for each in windows:
            until = min(each.until, max(each.since, free_until) + left_s)
            if until <= each.since:
                break
            kept.append(Window(each.since, until))
            left_s -= max(0.0, until - max(each.since, free_until))
        return tuple(kept) or (Window(since, since),)


def _up_s(windows: Sequence[Window], begin: float, end: float) -> float:
    return sum(max(0.0, min(each.until, end) - max(each.since, begin)) for each in windows)
