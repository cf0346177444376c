"""A plan for the pause that runs: until when the function stays awake, and when it is woken ahead of its next call.

*Hazard against price.* Of the pauses that came to bin j, ``d`` ended there, and all together spent ``E`` seconds there.
So a second of waiting in it meets a call with a probability of about (d + 1) / (E + 1 / tail), where ``tail`` is the
same over all bins from j on, (Σd + 0.5) / (ΣE + 1800 s, or the bin's age if that is more), which holds for as long as
little was seen of the bin. Where that, times what a cold start is worth in replica-seconds, is more than 1, keeping a
replica for the second is worth it: the bin is kept. What a cold start is worth is θ + κ / (calls a second): θ guards
calls, κ functions, for of one that is called once a day each cold start is all that its user ever sees.

*Timers.* Where the last three intervals from start to start agree the next call's time is known, and the function needs
to be up only then. Where they do not, but the last ones lie close together (a timer with jitter, a program that sleeps
between two looks), the next one is taken to be uniform over somewhat more than they reach over, and the same hazard
against price says when in it waiting is worth its cost.

With fewer than four pauses the function is up for the fixed duration at least, whatever they say, and for a tick if two
intervals agree; without any nothing is said (``NotLearned``), and the fixed duration holds. After Shahrad et al.,
"Serverless in the Wild" (USENIX ATC 2020) for histograms and pre-warming, and the ski-rental problem for the price.
Instants are seconds since the epoch, durations seconds.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from springtide.scaler.core.keepalive.account import DAY_S, Account
from springtide.scaler.core.keepalive.history import BINS, EDGES_S, MIN_BIN_S, History
from springtide.scaler.core.keepalive.windows import Window as Window  # noqa: PLC0414 - of plans, for their readers
from springtide.scaler.core.vocabulary import Instant

MIN_PAUSES = 4
"""With fewer it never sleeps before the fixed duration is over."""
ALWAYS_KEPT_S = EDGES_S[1]
"""The first minute, whatever was learned."""
MIN_HOLE_S = 120.0
"""Between two kept stretches a shorter one is kept, too."""
UNSEEN_S = 1800.0
"""A pause without an end for so long is what half a call weighs, where nothing was seen; or for as long as the pause
is old already: what nobody saw end may last as long again."""
AGEING = 0.8
"""What a page weighs of what the next newer one does."""
STARTS_EARLY = 2.0
"""So many cold starts before a kept bin the function is woken."""
RECOMPUTE_SHARE = 1 / 8
"""After so many more calls, as a share of those known."""

TIMER_AGREE_S, TIMER_AGREE_SHARE = 4.0, 0.005
"""The last intervals of a timer differ by less."""
MIN_TICKS, MIN_TICKS_OF_FEW = 3, 2
"""So many intervals have to agree; fewer where the fixed silence is kept all the same, for little is known yet."""
MIN_TIMER_S = 60.0
"""Shorter intervals are load, not a timer."""
MIN_RHYTHM, MAX_RHYTHM_RATIO = 6, 2.0
"""Of intervals that do not agree so many make a rhythm, if the longest is at most so many times the shortest: of six at
random one in a hundred does, of ten one in 20,000."""
TIMER_EARLY_S, TIMER_STARTS_EARLY, TIMER_LATE_S = 2.0, 3.0, 3.0
MIN_NAP_S = 240.0
"""If a timer's next window begins sooner the function just stays."""
CLOCK_SLACK_S = 5.0
"""So far in the future the last call may be: clocks of two machines differ."""


@dataclass(frozen=True, slots=True)
class Price:
    """What one cold start may cost: ``cold_worth_s`` (θ) replica-seconds, and ``cold_worth_rare`` (κ) for each second
    between two calls, so that rare functions weigh more. Neither is below 0, and ``label_values`` bounds both."""

    cold_worth_s: float = 900.0
    cold_worth_rare: float = 0.8

    def at_rate(self, calls_per_s: float) -> float:
        """Replica-seconds; never less than θ. ``calls_per_s`` > 0."""
        return self.cold_worth_s + self.cold_worth_rare / calls_per_s


class Basis(enum.StrEnum):
    """What a plan was made of."""

    PAUSES = "pauses"
    TIMER = "timer"
    FIXED = "fixed"
    """What was learned has cost more than it spared today: the fixed silence holds until midnight (UTC)."""


@dataclass(frozen=True, slots=True)
class Why:
    """The numbers behind a plan, for a sentence: ``71 % of its pauses end within 9 minutes; a cold start is worth 15
    minutes``, or ``it is called every 6 minutes``."""

    basis: Basis
    pauses: int
    """How many are remembered."""
    worth_s: float
    """Replica-seconds that one cold start may cost."""
    within_s: float
    """How long into a pause it stays awake at first; infinite where it never sleeps."""
    ended_share: float
    """Of its pauses, those that end within that."""
    expected_share: float = 0.0
    """Of its pauses, those that end in a later window: what a forecast stands on."""
    interval_s: tuple[float, float] | None = None
    """A timer's shortest and longest of the last intervals."""


@dataclass(frozen=True, slots=True)
class Learned:
    """What a history comes to at a price: windows of a pause's age in which to be awake, the first one from 0 on.

    Kept until it is due to be made again, so that plans do not waver with each call.
    """

    windows: tuple[Window, ...]
    why: Why
    price: Price
    calls: int
    """Known when it was made."""
    page: int
    account: Account
    """What the plans have cost more than the fixed silence would; it goes on from plan to plan."""

    @property
    def few(self) -> bool:
        """So few pauses were known that the fixed silence holds at least."""
        return self.why.pauses < MIN_PAUSES

    def stale(self, history: History, price: Price) -> bool:
        """Whether to make it again: an eighth more calls, or fewer, for old ones were forgotten; or another price."""
        if history.pages[-1].number != self.page or (price is not self.price and price != self.price):
            return True
        return abs(history.calls - self.calls) > self.calls * RECOMPUTE_SHARE


@dataclass(frozen=True, slots=True)
class NotLearned:
    """Nothing to go by, and why, to be read behind ``its fixed silence holds:``."""

    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """When to be awake until the next call, by time. The first window runs from the last call on."""

    windows: tuple[Window, ...]
    why: Why
    learned: Learned
    """To be handed to ``planned`` the next time."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Roughly what its forecasts are, to tell whether they have changed: the bins that they begin and end in, or
        a timer's interval in steps of 9 %."""
        if self.why.interval_s is not None:
            return (-1, round(8 * math.log2(self.why.interval_s[0])))
        ages = [age for window in self.learned.windows[1:] for age in (window.since, window.until)]
        return tuple(BINS if math.isinf(age) else round(math.log2(age / MIN_BIN_S)) for age in ages)

    def without_forecasts(self) -> Plan:
        """The same, but nothing is woken ahead of a call."""
        return replace(self, windows=self.windows[:1])


def planned(
    history: History,
    now: Instant,
    *,
    price: Price,
    cold_start_s: float,
    fixed_s: float,
    before: Learned | None = None,
    account: Account | None = None,
) -> Plan | NotLearned:
    """The plan for the pause that runs. ``cold_start_s`` is what a start takes, as far as is known, and ``fixed_s`` the
    silence that would take the function to zero if nothing was learned. ``before`` is what the last plan was made of,
    of which nothing is made anew while it is not due, and ``account`` what outlived one that was forgotten."""
    recent = history.recent
    if recent.busy:
        return NotLearned("calls are in flight")
    if recent.last_end is None or recent.seen_at is None:
        return NotLearned("when its last call ended was not seen")
    if recent.last_end > now + CLOCK_SLACK_S:
        return NotLearned("its last call was in the future: the clock was set")
    learned = before
    if learned is None or learned.few or learned.stale(history, price):
        if not history.pauses:
            return NotLearned("none of its pauses is known")
        account = account if before is None else before.account
        learned = learn(history, now, price=price, cold_start_s=cold_start_s, account=account)
    account = _settled(learned, history, recent.last_end, fixed_s)
    windows, why = _wanted(learned, history, cold_start_s)
    if learned.few:
        windows = _joined(Window(recent.last_end, recent.last_end + fixed_s), windows)
    if account.balance_s <= 0:
        windows, why = (Window(recent.last_end, recent.last_end + fixed_s),), replace(learned.why, basis=Basis.FIXED)
    windows = account.affordable(windows, recent.last_end, worth_s=learned.why.worth_s, fixed_s=fixed_s)
    within_s = windows[0].until - recent.last_end
    if within_s != why.within_s:
        timer = why.basis is Basis.TIMER
        share = why.ended_share if timer else _share(_totals(history)[0], (Window(0.0, within_s),))
        why = replace(why, within_s=within_s, ended_share=share)
    account = Account(account.day, account.balance_s, recent.last_end, windows)
    return Plan(windows, why, replace(learned, account=account))


def _settled(learned: Learned, history: History, last_end: Instant, fixed_s: float) -> Account:
    """With the last pause on the account, if another one has begun since."""
    account, worth_s = learned.account, learned.why.worth_s
    if account.since == last_end:
        return account
    return account.settled(last_end, history.recent.last_start, worth_s=worth_s, fixed_s=fixed_s)


def _wanted(learned: Learned, history: History, cold_start_s: float) -> tuple[tuple[Window, ...], Why]:
    """The windows that would be best, whatever they cost."""
    recent = history.recent
    assert recent.last_end is not None
    if recent.last_start is not None:
        ticks = _ticks(recent.intervals_s, MIN_TICKS_OF_FEW if learned.few else MIN_TICKS)
        if ticks is not None:
            early_s = TIMER_EARLY_S + TIMER_STARTS_EARLY * cold_start_s
            window = Window(ticks[0] - early_s, ticks[1] + TIMER_LATE_S)
            return _on_time(learned, ticks, window, 1.0, recent.last_start, recent.last_end)
        rhythm = _rhythm(recent.intervals_s, learned.why.worth_s)
        if rhythm is not None:
            interval_s, window, share = rhythm
            window = Window(window.since - STARTS_EARLY * cold_start_s, window.until)
            if recent.last_start + window.since - recent.last_end >= MIN_NAP_S:  # or else its pauses say more
                return _on_time(learned, interval_s, window, share, recent.last_start, recent.last_end)
    ages = learned.windows
    return tuple(Window(recent.last_end + each.since, recent.last_end + each.until) for each in ages), learned.why


def learn(
    history: History, now: Instant, *, price: Price, cold_start_s: float, account: Account | None = None
) -> Learned:
    """What the pauses come to. ``history`` has at least one. The account goes on, or begins with one price."""
    counts, exposed_s = _totals(history)
    worth_s = price.at_rate(calls_per_s(history, now))
    windows = tuple(_windows(_kept(counts, exposed_s, worth_s), STARTS_EARLY * cold_start_s))
    why = Why(
        Basis.PAUSES,
        pauses=history.pauses,
        worth_s=worth_s,
        within_s=windows[0].until,
        ended_share=_share(counts, windows[:1]),
        expected_share=_share(counts, windows[1:]),
    )
    account = account or Account(int(now // DAY_S), worth_s)
    return Learned(windows, why, price, history.calls, history.pages[-1].number, account)


def _totals(history: History) -> tuple[list[float], list[float]]:
    """By bin, the pauses that ended there, and the seconds that all spent there: those that went on the whole bin."""
    counts, exposed_s = [0.0] * BINS, [0.0] * BINS
    newest = history.pages[-1].number
    for page in history.pages:
        weight = AGEING ** (newest - page.number)
        further = 0.0
        for bin_ in reversed(range(BINS)):
            ended = weight * page.ended[bin_]
            counts[bin_] += ended
            exposed_s[bin_] += weight * page.rest_s[bin_]
            if further:
                exposed_s[bin_] += further * (EDGES_S[bin_ + 1] - EDGES_S[bin_])
            further += ended
    return counts, exposed_s


def calls_per_s(history: History, now: Instant) -> float:
    """Over the time in which somebody looked, as far back as is remembered; above 0."""
    watched_s = float(sum(page.watched_s for page in history.pages))
    seen_at = history.recent.seen_at
    if seen_at is not None:
        watched_s += max(0.0, now - seen_at)
    return max(1, history.calls) / max(1.0, watched_s)


def _kept(counts: Sequence[float], exposed_s: Sequence[float], worth_s: float) -> list[bool]:
    """By bin, whether a second of waiting in it is worth its cost."""
    kept = []
    for bin_ in range(BINS):
        unseen_s = max(UNSEEN_S, EDGES_S[bin_])
        tail = (sum(counts[bin_:]) + 0.5) / (sum(exposed_s[bin_:]) + unseen_s)
        hazard = (counts[bin_] + 1) / (exposed_s[bin_] + 1 / tail)
        kept.append(hazard * worth_s > 1)
    return kept


def _windows(kept: Sequence[bool], early_s: float) -> Iterator[Window]:
    """Of a pause's age: the first minute, kept bins, and what lies between two of them where that is short."""
    ends = (*EDGES_S[1:], math.inf)
    since, until = 0.0, ALWAYS_KEPT_S
    for bin_ in range(1, BINS):
        if not kept[bin_]:
            continue
        begin = max(ALWAYS_KEPT_S, EDGES_S[bin_] - early_s)
        if begin - until >= MIN_HOLE_S:
            yield Window(since, until)
            since = begin
        until = ends[bin_]
    yield Window(since, until)


def _share(counts: Sequence[float], windows: Sequence[Window]) -> float:
    """Of all pauses those that end in the windows, by the bins that lie in them."""
    ends = (*EDGES_S[1:], math.inf)
    inside = sum(
        count
        for count, since, until in zip(counts, EDGES_S, ends, strict=True)
        if any(window.since <= since and until <= window.until for window in windows)
    )
    return inside / max(1.0, sum(counts))


def _ticks(intervals_s: Sequence[float], least: int) -> tuple[float, float] | None:
    """The shortest and the longest of the last intervals, where they agree."""
    last = intervals_s[-MIN_TICKS:]
    if len(last) < least:
        return None
    shortest, longest = min(last), max(last)
    if shortest < MIN_TIMER_S or longest - shortest > TIMER_AGREE_S + TIMER_AGREE_SHARE * shortest:
        return None
    return shortest, longest


def _rhythm(intervals_s: Sequence[float], worth_s: float) -> tuple[tuple[float, float], Window, float] | None:
    """The shortest and the longest of all intervals, when since the last start to be up, and how likely a call is then.

    Of n that are uniform over a range, of which nothing else is known, the next one is beyond the longest with a
    probability of 1 / (n + 1), by more than x with 1 / (n + 1) · (1 + x / spread) ** -(n - 1), and within with the same
    density everywhere (the predictive distribution under a prior of 1 / range). Waiting x beyond is worth its cost
    while (n - 1) / (spread + x) · worth > 1. Within the hazard grows to the range's end, so that what is worth waiting
    for are the last seconds, as many as a cold start is worth.
    """
    n = len(intervals_s)
    if n < MIN_RHYTHM:
        return None
    shortest, longest = min(intervals_s), max(intervals_s)
    if shortest < MIN_TIMER_S or longest > MAX_RHYTHM_RATIO * shortest:
        return None
    spread_s = max(1.0, longest - shortest)
    beyond_s = spread_s / (n - 1)
    earlier_s = spread_s * ((worth_s * (n - 1) / ((n + 1) * spread_s)) ** (1 / n) - 1)
    since = shortest - earlier_s if earlier_s > 0 else longest + beyond_s - worth_s
    until = longest + max(beyond_s, min(spread_s, (n - 1) * worth_s - spread_s))
    share = (longest - max(shortest, since)) / spread_s * (n - 1) / (n + 1) + 1 / (n + 1)
    return (shortest, longest), Window(since, until), share


def _on_time(
    learned: Learned,
    interval_s: tuple[float, float],
    window: Window,
    share: float,
    last_start: Instant,
    last_end: Instant,
) -> tuple[tuple[Window, ...], Why]:
    """Up around the next tick only, and for the minute that is always kept. ``window`` is since the last start."""
    since = last_start + window.since
    until = max(last_start + window.until, last_end + ALWAYS_KEPT_S)
    always = last_end + ALWAYS_KEPT_S
    windows: tuple[Window, ...] = (Window(last_end, until),)
    if since - last_end >= MIN_NAP_S:
        windows = (Window(last_end, always), Window(since, until))
    why = replace(learned.why, basis=Basis.TIMER, expected_share=share, interval_s=interval_s)
    return windows, why


def _joined(first: Window, windows: Sequence[Window]) -> tuple[Window, ...]:
    """``first``, and of the others what reaches beyond it."""
    later = [each for each in windows if each.since > first.until]
    until = max([first.until, *(each.until for each in windows if each.since <= first.until)])
    return (Window(first.since, until), *later)
