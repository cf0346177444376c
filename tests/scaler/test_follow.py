"""When the control loop grows, shrinks and grows careful."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from springtide.scaler.core import follow
from springtide.scaler.core.follow import Bounds, FollowHistory, Need
from springtide.scaler.core.vocabulary import Instant

BOUNDS = Bounds(min=1, max=50)


class Loop:
    """A function under the rule, each of whose wishes comes true at once."""

    def __init__(self, bounds: Bounds = BOUNDS, wanted: int = 1) -> None:
        self.bounds, self.wanted, self.now = bounds, wanted, 1000.0
        self.history = follow.looked(FollowHistory(), wanted=wanted, ready=wanted, now=Instant(self.now))
        self.changes: list[tuple[float, int]] = []

    def tick(
        self, needed: float, *, certain: float | None = None, waiting: bool = False, may_shrink: bool = True
    ) -> int:
        self.now += 1
        now = Instant(self.now)
        need = Need(needed, needed if certain is None else certain, needed if waiting else 0.0)
        seen = follow.looked(self.history, wanted=self.wanted, ready=self.wanted, now=now)
        step = follow.follow(self.bounds, seen, need, may_shrink=may_shrink, now=now)
        after, self.history = step.after, follow.written(step.history, step.after, now)
        if after != self.wanted:
            self.changes.append((self.now, after))
        self.wanted = after
        return after

    def ticks(self, count: int, needed: float) -> int:
        for _ in range(count):
            self.tick(needed)
        return self.wanted


def test_it_grows_when_two_looks_agree() -> None:
    loop = Loop()
    assert loop.tick(5.2) == 1
    assert loop.tick(5.2) == 6


def test_it_grows_at_once_where_calls_wait_and_twice_as_many_are_needed() -> None:
    assert Loop().tick(5.2, waiting=True) == 6
    assert Loop(wanted=4).tick(5.2, waiting=True) == 4


def test_it_grows_by_what_a_look_alone_may_be_believed() -> None:
    loop = Loop()
    now = Instant(loop.now + 1)
    step = follow.follow(BOUNDS, loop.history, Need(30.0, 28.0, at_once=9.5), may_shrink=True, now=now)
    assert step.after == 10


def test_it_does_not_grow_for_a_twentieth() -> None:
    assert Loop(wanted=40).ticks(10, 41.9) == 40
    assert Loop(wanted=40).ticks(10, 42.1) == 43


def test_it_never_leaves_its_bounds() -> None:
    loop = Loop(Bounds(min=2, max=5), wanted=2)
    assert loop.ticks(5, 30) == 5
    assert loop.ticks(600, 0) == 2


def test_a_count_above_the_maximum_is_not_grown_and_not_cut_by_growth() -> None:
    assert Loop(Bounds(min=1, max=5), wanted=9).ticks(3, 30) == 9


def test_a_deep_fall_is_followed_within_half_a_minute() -> None:
    loop = Loop()
    loop.ticks(5, 20)
    loop.ticks(200, 20)
    fell_at = loop.now
    loop.ticks(60, 2)
    assert loop.changes[-1][1] == 2
    assert 10 < loop.changes[-1][0] - fell_at <= 25


def test_a_shallow_fall_waits_two_minutes() -> None:
    loop = Loop()
    loop.ticks(200, 20)
    fell_at = loop.now
    loop.ticks(110, 15)
    assert loop.wanted == 20
    loop.ticks(20, 15)
    assert loop.wanted == 15
    assert loop.changes[-1][0] - fell_at > 115


def test_a_little_less_is_not_worth_a_change() -> None:
    loop = Loop()
    loop.ticks(200, 20)
    assert loop.ticks(600, 17) == 20


def test_after_growth_nothing_shrinks_for_a_while() -> None:
    loop = Loop(wanted=10)
    loop.ticks(3, 20)
    grown_at = loop.changes[-1][0]
    loop.ticks(100, 1)
    assert loop.changes[1][0] - grown_at >= follow.AFTER_GROWTH_S


def test_a_regretted_shrink_tightens_the_grip_and_a_quiet_one_loosens_it() -> None:
    loop = Loop()
    for _ in range(6):
        loop.ticks(60, 20)
        loop.ticks(60, 1)
    assert loop.history.grip > 2
    changes = len(loop.changes)
    loop.ticks(60, 20)
    loop.ticks(60, 1)
    assert len(loop.changes) <= changes + 1, "a load that comes back each two minutes is not met anew each time"
    grip = loop.history.grip
    loop.ticks(400, 20)
    loop.ticks(400, 5)
    assert loop.history.grip < grip


def test_it_does_not_shrink_on_what_it_does_not_know() -> None:
    loop = Loop(wanted=20)
    for _ in range(300):
        loop.tick(1, may_shrink=False)
    assert loop.wanted == 20
    loop.tick(60, may_shrink=False)
    assert loop.tick(60, may_shrink=False) == 50


def test_what_is_asleep_stays_asleep() -> None:
    assert Loop(wanted=0).ticks(10, 20) == 0


def test_what_was_not_written_is_not_remembered_as_written() -> None:
    loop = Loop(wanted=5)
    now = Instant(loop.now + 1)
    step = follow.follow(BOUNDS, loop.history, Need(20, 20, 20), may_shrink=True, now=now)
    written, unwritten = follow.written(step.history, step.after, now), step.history
    assert (written.wanted, written.grown_at) == (20, now)
    assert (unwritten.wanted, unwritten.grown_at) == (5, loop.history.grown_at)


def test_a_cold_start_is_the_median_of_those_seen() -> None:
    history = follow.looked(FollowHistory(), wanted=1, ready=1, now=Instant(0.0))
    for wanted, asked, ready in ((2, 10.0, 11.0), (3, 20.0, 24.0), (4, 30.0, 33.0)):
        history = follow.looked(history, wanted=wanted, ready=wanted - 1, now=Instant(asked))
        history = follow.looked(history, wanted=wanted, ready=wanted, now=Instant(ready))
    assert history.cold_start_s == 3.0 + follow.SAMPLE_AGE_S


def started(history: FollowHistory, at: float, *after_s: float) -> FollowHistory:
    """So many more are asked for, and each is ready so much later."""
    before = history.wanted or 0
    wanted = before + len(after_s)
    history = follow.looked(history, wanted=wanted, ready=before, now=Instant(at))
    for ready, passed_s in enumerate(after_s, before + 1):
        history = follow.looked(history, wanted=wanted, ready=ready, now=Instant(at + passed_s))
    return history


def test_replicas_that_start_together_and_wait_for_each_other_do_not_tell_how_long_a_start_takes() -> None:
    history = follow.looked(FollowHistory(), wanted=1, ready=1, now=Instant(0.0))
    history = started(history, 10.0, *(1.0 + number / 10 for number in range(64)))
    assert history.cold_start_s < 2.0 + follow.SAMPLE_AGE_S
    assert len(history.starts_s) == 1


def test_a_growth_counts_once_however_large() -> None:
    history = follow.looked(FollowHistory(), wanted=1, ready=1, now=Instant(0.0))
    for at in (10.0, 20.0, 30.0):
        history = started(history, at, 1.0)
    history = started(history, 40.0, *[6.0] * 64)
    assert history.cold_start_s == 1.0 + follow.SAMPLE_AGE_S


def test_starts_that_were_given_up_are_no_cold_starts() -> None:
    history = follow.looked(FollowHistory(), wanted=1, ready=1, now=Instant(0.0))
    history = follow.looked(history, wanted=9, ready=1, now=Instant(1.0))
    history = follow.looked(history, wanted=1, ready=1, now=Instant(2.0))
    history = follow.looked(history, wanted=1, ready=2, now=Instant(500.0))
    assert history.starts_s == ()


def wakes(*needs: float) -> FollowHistory:
    loop = Loop(wanted=0)
    for needed in needs:
        loop.wanted = 1
        loop.tick(needed)
        loop.ticks(3, 1)
        loop.wanted = 0
        loop.tick(0)
    return loop.history


def test_it_wakes_to_what_the_middle_one_of_three_wakes_needed() -> None:
    assert follow.wake_replicas(BOUNDS, wakes()) == 1
    assert follow.wake_replicas(BOUNDS, wakes(7.5)) == 1
    assert follow.wake_replicas(BOUNDS, wakes(7.5, 3.5)) == 4
    assert follow.wake_replicas(BOUNDS, wakes(40, 7.5, 3.5)) == 8
    assert follow.wake_replicas(BOUNDS, wakes(1, 1, 40, 7.5, 3.5)) == 8
    assert follow.wake_replicas(Bounds(min=2, max=6), wakes(40, 7.5, 30)) == 6
    assert follow.wake_replicas(Bounds(min=2, max=6), wakes(0.1, 0.1, 0.1)) == 2


def test_what_was_learned_is_told_once_it_is_certain_and_never_without_evidence() -> None:
    assert follow.learned_wake(BOUNDS, FollowHistory(), Instant(1000)) is None
    assert follow.learned_wake(BOUNDS, wakes(7.5), Instant(1000)) is None
    woken = wakes(7.5, 3.5)
    assert follow.learned_wake(BOUNDS, woken, Instant(woken.woken_at + follow.WAKE_LOOK_S)) is None
    assert follow.learned_wake(BOUNDS, woken, Instant(woken.woken_at + follow.WAKE_LOOK_S + 0.1)) == 4


@given(st.lists(st.tuples(st.floats(0, 200), st.booleans(), st.booleans()), max_size=80), st.integers(1, 60))
def test_whatever_comes_it_stays_within_bounds_and_small(ticks: list[tuple[float, bool, bool]], wanted: int) -> None:
    loop = Loop(wanted=min(wanted, BOUNDS.max))
    for needed, waiting, may_shrink in ticks:
        before = loop.wanted
        after = loop.tick(needed, waiting=waiting, may_shrink=may_shrink)
        assert BOUNDS.min <= after <= BOUNDS.max
        assert after >= before or may_shrink
        assert 1.0 <= loop.history.grip <= follow.MAX_GRIP
        assert len(loop.history.needs) <= follow.LONG_HOLD_S + 1


def test_a_wake_that_no_look_has_seen_is_one_wake() -> None:
    seen = follow.looked(FollowHistory(), wanted=2, ready=2, now=Instant(0.0))
    passed = follow.looked(seen, wanted=2, ready=1, now=Instant(1.0), woken=True)
    asleep = follow.looked(passed, wanted=0, ready=0, now=Instant(2.0))
    again = follow.looked(asleep, wanted=1, ready=0, now=Instant(3.0), woken=True)
    soon_over = follow.looked(asleep, wanted=0, ready=0, now=Instant(3.0), woken=True)
    assert [history.wake_needs for history in (passed, again, soon_over)] == [(0.0,), (0.0, 0.0), (0.0, 0.0)]
    assert (passed.woken_at, passed.starting) == (1.0, (follow.asked(Instant(1.0), 1),))
    assert soon_over.starting == ()
