"""How the control loop follows load: when it grows, when it shrinks, and how careful it has become.

It grows as soon as two looks in a row agree, and at once where calls wait and twice as many replicas are needed. It
shrinks to what the last seconds needed where the fall is deep and certain, else to what the last two minutes did. A
shrink that had to be taken back tightens its *grip*: more is kept, and for longer; quiet ones loosen it.

What a function needs is worked out elsewhere (``demand``). The constants were tuned together in simulated worlds
(``scaler.sim.worlds``) and are not sensitive one by one. Durations are seconds, instants seconds since the epoch.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from springtide.scaler.core.vocabulary import Instant

SAMPLE_AGE_S = 0.5
"""Added to a cold start: a sample is that old on average when it is acted on."""
DEFAULT_COLD_START_S = 2.0
MAX_STARTS = 20
"""Growths of which the median is a function's cold start."""
EARLY_SHARE = 0.1
"""Of the replicas of a growth: once so many are ready it is known how long a start takes. The others also waited for
each other, for a processor or an image, and that is no reason to start still more at once."""

GROW_SHARE = 0.05
"""Of the wanted replicas: so many may be missing without growing."""
HASTE = 2.0
"""Where calls wait and so many times the wanted replicas are needed, one look is enough."""

SHORT_HOLD_S, LONG_HOLD_S = 15.0, 120.0
DEEP_FALL, DEEP_FALL_SD = 0.6, 2.0
"""A fall is deep below this share of the wanted replicas, and by so many standard deviations of their load."""
MIN_SHRINK, MIN_SHRINK_SHARE = 2, 0.2
AFTER_GROWTH_S, AFTER_SHRINK_S = 25.0, 10.0

MAX_GRIP, GRIP_TIGHTENS, GRIP_LOOSENS = 3.0, 1.3, 0.9
REGRET_S = 120.0

WAKES, WAKE_LOOK_S = 3, 4.0
"""So many wakes are remembered, each by what was needed in the first seconds of its load, which one ahead of a call
waits for."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """``slots``: calls, or other units of load, that one replica shall carry. ``min`` is at least 1."""

    min: int
    max: int
    slots: float = 1.0


@dataclass(frozen=True, slots=True)
class Need:
    """Replicas that the load needs: with all the headroom, and the fewest that certainly are missing without it.

    ``at_once`` is what may be acted on after a single look, because calls wait; 0 where none do.
    """

    replicas: float
    certain: float
    at_once: float = 0.0


class Starting(NamedTuple):
    """Replicas that were asked for at once, of which ``left`` are not ready yet."""

    at: float
    asked: int
    left: int

    def fewer(self, given_up: int) -> Starting:
        return Starting(self.at, self.asked - given_up, self.left - given_up)

    def readier(self, ready: int) -> Starting:
        return Starting(self.at, self.asked, self.left - ready)

    @property
    def known(self) -> bool:
        """Whether enough of them are ready to tell how long a start takes."""
        return self.asked - self.left >= EARLY_SHARE * self.asked


@dataclass(frozen=True, slots=True)
class FollowHistory:
    """What is remembered of one function's replicas."""

    wanted: int | None = None
    ready: int = 0
    needs: tuple[tuple[float, float], ...] = ()
    """Instant and replicas needed, within two minutes; only those that no later one has reached."""
    certain_before: float = 0.0
    starting: tuple[Starting, ...] = ()
    starts_s: tuple[float, ...] = ()
    grown_at: float = -math.inf
    shrunk_at: float = -math.inf
    grip: float = 1.0
    regrettable: bool = False
    """The last change was a shrink of ours."""
    woken_at: float = -math.inf
    wake_needs: tuple[float, ...] = ()

    @property
    def cold_start_s(self) -> float:
        """From wanting a replica to its first call, by the starts that were seen."""
        return (statistics.median(self.starts_s) if self.starts_s else DEFAULT_COLD_START_S) + SAMPLE_AGE_S


@dataclass(frozen=True, slots=True)
class Step:
    """``after`` is how many replicas there should be, and ``level`` how many a shrink would leave.

    ``history`` is that of a step that was not written; ``written`` makes of it that of one that was.
    """

    after: int
    level: float
    history: FollowHistory


def looked(history: FollowHistory, *, wanted: int, ready: int, now: Instant, woken: bool = False) -> FollowHistory:
    """After a look at the counts: starts that ended, and what other writers changed meanwhile.

    ``woken``: it left zero since the last look, though neither look may have seen it there.
    """
    if woken and history.wanted is not None and not history.wanted == 0 < wanted:
        return _woken_unseen(history, wanted, ready, now)
    history = _other_writers(history, wanted, now)
    if ready == history.ready and wanted == history.wanted:
        return history
    more, starting, starts = ready - history.ready, list(history.starting), history.starts_s
    while more > 0 and starting:  # the ones asked for first become ready first
        before = starting.pop(0)
        after = before.readier(min(more, before.left))
        if after.known and not before.known:
            starts = (*starts, max(0.0, now - before.at))[-MAX_STARTS:]
        if after.left:
            starting.insert(0, after)
        more -= before.left
    return replace(history, wanted=wanted, ready=ready, starting=tuple(starting), starts_s=starts)


def follow(bounds: Bounds, history: FollowHistory, need: Need, *, may_shrink: bool, now: Instant) -> Step:
    """How many replicas there should be.

    A function at zero stays there: others wake it, and others take it there.
    """
    wanted = history.wanted or 0
    after = _grown(bounds, history, need) if wanted else 0
    history = remembered(history, need, now)
    kept = level(bounds, history, now)
    if after == wanted and may_shrink and wanted:
        after = _shrunk(bounds, history, kept, now)
    return Step(after, kept, history)


def begun_anew(history: FollowHistory) -> FollowHistory:
    """What is worth keeping where instants mean nothing any more, because the clock was set back."""
    return FollowHistory(
        wanted=history.wanted,
        ready=history.ready,
        starts_s=history.starts_s,
        grip=history.grip,
        wake_needs=history.wake_needs,
    )


def wishes_more(bounds: Bounds, history: FollowHistory, need: Need) -> bool:
    """Whether the load certainly needs more than is wanted; one look says so, and two are asked for."""
    wanted = history.wanted or 0
    return wanted < bounds.max and math.ceil(need.certain - GROW_SHARE * wanted) > wanted


def confirmed(history: FollowHistory) -> bool:
    """Whether the look before asked for more than is wanted, too."""
    return math.ceil(history.certain_before) > (history.wanted or 0)


def lately_needed(history: FollowHistory, now: Instant) -> float:
    """The largest need of the short hold."""
    return next((need for at, need in history.needs if now - at <= SHORT_HOLD_S), 0.0)


def worth_shrinking(bounds: Bounds, wanted: int, after: int) -> bool:
    """A little less is not worth a change, but the minimum is."""
    return after < wanted and (wanted - after >= max(MIN_SHRINK, MIN_SHRINK_SHARE * wanted) or after == bounds.min)


def level(bounds: Bounds, history: FollowHistory, now: Instant) -> float:
    """The replicas that a shrink leaves: see ``level_of``."""
    return level_of(bounds, history.needs, now, wanted=history.wanted or 0, grip=history.grip)


def level_of(bounds: Bounds, needs: Iterable[tuple[float, float]], now: Instant, *, wanted: int, grip: float) -> float:
    """The largest need of a short while where the fall is deep, else of a long one. ``needs`` as they are remembered.

    The grip multiplies the one and lengthens the while, or a load that returns every minute would be met anew each
    time.
    """
    hold_s = SHORT_HOLD_S * grip**2
    kept = next((need for at, need in needs if now - at <= hold_s), 0.0) * grip  # each is above all later ones
    deep = math.ceil(kept) <= DEEP_FALL * wanted / grip
    if deep and (wanted - kept) * bounds.slots >= DEEP_FALL_SD * math.sqrt(wanted * bounds.slots):
        return kept
    return next((need for _, need in needs), 0.0)


def wake_replicas(bounds: Bounds, history: FollowHistory) -> int:
    """Replicas to wake to: what the middle one of the last three wakes needed, of two the lower; else the minimum."""
    floor = min(bounds.min, bounds.max)
    seen = _loaded(history)
    if len(seen) < WAKES - 1:
        return floor
    return max(floor, min(math.ceil(statistics.median_low(seen)), bounds.max))


def learned_wake(bounds: Bounds, history: FollowHistory, now: Instant) -> int | None:
    """``wake_replicas`` once it says something new: None while too few wakes were seen, or the last is still looked at.

    What was learned before, by a scaler that has ended since, stays until then.
    """
    if len(_loaded(history)) < WAKES - 1 or now - history.woken_at <= WAKE_LOOK_S:
        return None
    return wake_replicas(bounds, history)


def _loaded(history: FollowHistory) -> tuple[float, ...]:
    """What wakes needed; one whose load is yet to come, or never came, says nothing."""
    return tuple(need for need in history.wake_needs if need > 0)


def _grown(bounds: Bounds, history: FollowHistory, need: Need) -> int:
    wanted = history.wanted or 0
    if math.ceil(need.certain - GROW_SHARE * wanted) <= wanted:
        return wanted
    replicas = need.replicas
    if not confirmed(history):
        if need.at_once <= 0 or need.certain <= HASTE * wanted:
            return wanted
        replicas = min(replicas, need.at_once)
    return max(wanted, min(max(math.ceil(replicas), wanted + 1), bounds.max))


def _shrunk(bounds: Bounds, history: FollowHistory, kept: float, now: Instant) -> int:
    wanted = history.wanted or 0
    if now - max(history.grown_at, history.woken_at) < AFTER_GROWTH_S or now - history.shrunk_at < AFTER_SHRINK_S:
        return wanted
    after = max(math.ceil(kept), bounds.min)
    return after if worth_shrinking(bounds, wanted, after) else wanted


def remembered(history: FollowHistory, need: Need, now: Instant) -> FollowHistory:
    """The history once a look has found what the load needs."""
    replicas, wakes = need.replicas, history.wake_needs
    kept = [(at, seen) for at, seen in history.needs if seen > replicas and 0 <= now - at <= LONG_HOLD_S]
    woken_at = history.woken_at
    if wakes and wakes[-1] == 0 < replicas:
        woken_at = max(woken_at, now)
    if wakes and now - woken_at <= WAKE_LOOK_S:
        wakes = (*wakes[:-1], max(wakes[-1], replicas))
    certain = need.certain
    return replace(history, needs=(*kept, (now, replicas)), certain_before=certain, wake_needs=wakes, woken_at=woken_at)


def written(history: FollowHistory, after: int, now: Instant) -> FollowHistory:
    """The history once ``after`` replicas are asked for."""
    wanted, grip = history.wanted or 0, history.grip
    if after > wanted:
        if history.regrettable and now - history.shrunk_at <= REGRET_S:
            grip = min(MAX_GRIP, grip * GRIP_TIGHTENS)
        starting = (*history.starting, asked(now, after - wanted))
        return replace(history, wanted=after, starting=starting, grown_at=now, grip=grip, regrettable=False)
    if after < wanted:
        if now - max(history.grown_at, history.shrunk_at) >= REGRET_S:
            grip = max(1.0, grip * GRIP_LOOSENS)
        starting = _cancelled(history.starting, wanted - after)
        return replace(history, wanted=after, starting=starting, shrunk_at=now, grip=grip, regrettable=True)
    return history


def _other_writers(history: FollowHistory, wanted: int, now: Instant) -> FollowHistory:
    """A wake, the idler or a person may have changed the count since; nothing of that is regretted."""
    before = history.wanted
    if before is None or wanted == before:
        return history
    if wanted < before:
        starting = _cancelled(history.starting, before - wanted)
        return replace(history, wanted=wanted, starting=starting, shrunk_at=now, regrettable=False)
    starting = (*history.starting, asked(now, wanted - before))
    history = replace(history, wanted=wanted, starting=starting, grown_at=now, regrettable=False)
    return _woken(history, now) if before == 0 else history


def _woken(history: FollowHistory, now: Instant) -> FollowHistory:
    return replace(history, woken_at=now, wake_needs=(*history.wake_needs[1 - WAKES :], 0.0))


def _woken_unseen(history: FollowHistory, wanted: int, ready: int, now: Instant) -> FollowHistory:
    """All replicas are others than at the last look. When those that are ready were asked for nobody knows."""
    starting = (asked(now, wanted - ready),) if wanted > ready else ()
    history = replace(history, wanted=wanted, ready=ready, starting=starting, grown_at=now, regrettable=False)
    return _woken(history, now)


def asked(now: Instant, count: int) -> Starting:
    return Starting(now, count, count)


def _cancelled(starting: tuple[Starting, ...], fewer: int) -> tuple[Starting, ...]:
    """Those asked for last are given up first."""
    left = list(starting)
    while left and fewer > 0:
        last = left.pop()
        if last.left > fewer:
            left.append(last.fewer(fewer))
        fewer -= last.left
    return tuple(left)
