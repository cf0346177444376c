from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from springtide.scaler.core import idle
from springtide.scaler.core.idle import Activity, IdleHistory, IdleLimits, Outlook
from springtide.scaler.core.keepalive.rule import Basis, Why, Window
from springtide.scaler.core.learned_silence import LearnedSilence
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.prewarm import ARRIVAL_S, MARGIN_S, CallSource, ExpectedCall, Lead, Upcoming
from springtide.scaler.core.vocabulary import (
    REASONS,
    Decision,
    Function,
    FunctionRef,
    Instant,
    NoData,
    Reason,
    Sample,
    Scale,
    Writer,
)

REF = FunctionRef("openfaas-fn", "echo")
NOW = Instant(1_700_000_000.0)
LIMITS = IdleLimits(default_duration_s=900, stale_after_s=60, settle_s=60)
OPTED_IN = ScalePolicy(zero=True)
SETTLED = IdleHistory(measured_since=Instant(NOW - 1000))


def ago(seconds: float) -> Instant:
    return Instant(NOW - seconds)


def function(desired: int = 1, *, created_s_ago: float | None = 5000) -> Function:
    created_at = None if created_s_ago is None else ago(created_s_ago)
    return Function(REF, Scale(desired, desired, "1"), created_at=created_at)


def activity(*, calls: float = 0, active_s_ago: float = 2000, measured_s_ago: float = 5) -> Activity:
    at = ago(measured_s_ago)
    return Activity(Sample(calls, at), Sample(ago(active_s_ago), at))


def decide(
    subject: Function | None = None,
    measured: Activity | None = None,
    *,
    policy: ScalePolicy = OPTED_IN,
    problems: tuple[str, ...] = (),
    history: IdleHistory = SETTLED,
    limits: IdleLimits = LIMITS,
    upcoming: Upcoming | None = None,
) -> Decision:
    subject, measured = subject or function(), measured or activity()
    return idle.decide(subject, policy, problems, measured, history, limits, NOW, outlook=Outlook(upcoming))[0]


def test_silent_function_is_idle() -> None:
    decision = decide(function(3))

    assert (decision.before, decision.after, decision.reason) == (3, 0, Reason.IDLE)
    assert (decision.ref, decision.writer, decision.at) == (REF, Writer.IDLER, NOW)


@pytest.mark.parametrize(
    ("subject", "policy", "problems", "reason"),
    [
        pytest.param(function(), ScalePolicy(), (), Reason.NOT_OPTED_IN, id="no label"),
        pytest.param(function(), OPTED_IN, ("min: bad",), Reason.INVALID_LABELS, id="labels that make no sense"),
        pytest.param(function(0), OPTED_IN, (), Reason.ASLEEP, id="asleep already"),
        pytest.param(function(created_s_ago=None), OPTED_IN, (), Reason.AGE_UNKNOWN, id="of unknown age"),
        pytest.param(function(created_s_ago=899), OPTED_IN, (), Reason.TOO_YOUNG, id="younger than the duration"),
        pytest.param(function(created_s_ago=-50), OPTED_IN, (), Reason.TOO_YOUNG, id="created in the future"),
    ],
)
def test_function_is_held_for_what_it_is(
    subject: Function, policy: ScalePolicy, problems: tuple[str, ...], reason: Reason
) -> None:
    decision = decide(subject, policy=policy, problems=problems)

    assert (decision.reason, decision.changes) == (reason, False)


FRESH, FRESH_LONG_AGO = Sample(0, ago(5)), Sample(ago(2000), ago(5))


@pytest.mark.parametrize(
    ("measured", "reason"),
    [
        pytest.param(activity(calls=1), Reason.IN_FLIGHT, id="a call in flight"),
        pytest.param(activity(calls=-1), Reason.IN_FLIGHT, id="a count that cannot be"),
        pytest.param(activity(calls=0.5), Reason.IN_FLIGHT, id="half a call"),
        pytest.param(activity(active_s_ago=899), Reason.RECENTLY_ACTIVE, id="called within the duration"),
        pytest.param(activity(active_s_ago=-10), Reason.RECENTLY_ACTIVE, id="called in the future"),
        pytest.param(activity(measured_s_ago=61), Reason.STALE_DATA, id="measured too long ago"),
        pytest.param(activity(measured_s_ago=-61), Reason.STALE_DATA, id="measured in the future"),
        pytest.param(Activity(NoData("down"), FRESH_LONG_AGO), Reason.NO_DATA, id="calls unknown"),
        pytest.param(Activity(FRESH, NoData("down")), Reason.NO_DATA, id="last activity unknown"),
        pytest.param(Activity(NoData("a"), NoData("b")), Reason.NO_DATA, id="nothing known"),
        pytest.param(Activity(Sample(0, ago(61)), FRESH_LONG_AGO), Reason.STALE_DATA, id="calls stale"),
        pytest.param(Activity(FRESH, Sample(ago(2000), ago(61))), Reason.STALE_DATA, id="last activity stale"),
        pytest.param(Activity(Sample(math.nan, ago(5)), FRESH_LONG_AGO), Reason.NO_DATA, id="calls not a number"),
        pytest.param(Activity(FRESH, Sample(math.nan, ago(5))), Reason.NO_DATA, id="last activity not a number"),
        pytest.param(Activity(FRESH, Sample(-math.inf, ago(5))), Reason.NO_DATA, id="active infinitely long ago"),
    ],
)
def test_measurement_holds_the_function(measured: Activity, reason: Reason) -> None:
    decision = decide(measured=measured)

    assert (decision.reason, decision.changes) == (reason, False)


def test_hold_says_what_is_missing_and_why() -> None:
    decision = decide(measured=Activity(FRESH, NoData("Prometheus cannot be asked")))

    assert decision.detail == "last activity: Prometheus cannot be asked"


@pytest.mark.parametrize(
    ("history", "reason"),
    [
        pytest.param(IdleHistory(), Reason.SOURCE_RESTARTED, id="never measured before"),
        pytest.param(IdleHistory(ago(59)), Reason.SOURCE_RESTARTED, id="measured not long enough"),
        pytest.param(IdleHistory(ago(60)), Reason.IDLE, id="measured just long enough"),
        pytest.param(IdleHistory(ago(1000), awake_since=ago(899)), Reason.RECENTLY_ACTIVE, id="awake not long enough"),
        pytest.param(IdleHistory(ago(1000), awake_since=ago(900)), Reason.IDLE, id="awake just long enough"),
        pytest.param(IdleHistory(ago(1000), seen_asleep=True), Reason.RECENTLY_ACTIVE, id="woken just now"),
    ],
)
def test_what_was_seen_before_counts(history: IdleHistory, reason: Reason) -> None:
    assert decide(history=history).reason is reason


@pytest.mark.parametrize(
    ("policy", "silent_s", "reason"),
    [
        pytest.param(OPTED_IN, 900, Reason.IDLE, id="exactly the default"),
        pytest.param(OPTED_IN, 899.9, Reason.RECENTLY_ACTIVE, id="just under the default"),
        pytest.param(ScalePolicy(zero=True, zero_duration_s=20), 20, Reason.IDLE, id="a label of 20 s"),
        pytest.param(ScalePolicy(zero=True, zero_duration_s=20), 19, Reason.RECENTLY_ACTIVE, id="just under 20 s"),
        pytest.param(ScalePolicy(zero=True, zero_duration_s=7200), 2000, Reason.RECENTLY_ACTIVE, id="a longer label"),
    ],
)
def test_label_sets_the_duration_and_may_be_below_a_minute(
    policy: ScalePolicy, silent_s: float, reason: Reason
) -> None:
    subject = function(created_s_ago=50_000)

    assert decide(subject, activity(active_s_ago=silent_s), policy=policy).reason is reason


def test_settling_takes_no_longer_than_the_duration() -> None:
    policy = ScalePolicy(zero=True, zero_duration_s=10)

    assert decide(policy=policy, history=IdleHistory(ago(10))).reason is Reason.IDLE
    assert decide(policy=policy, history=IdleHistory(ago(9))).reason is Reason.SOURCE_RESTARTED


@pytest.mark.parametrize(
    "gap",
    [
        pytest.param(Activity(NoData("down"), NoData("down")), id="no data"),
        pytest.param(activity(measured_s_ago=61), id="stale data"),
        pytest.param(Activity(FRESH, NoData("not in the result")), id="one signal missing"),
    ],
)
def test_a_gap_in_the_measurements_starts_the_settling_anew(gap: Activity) -> None:
    _, history = idle.decide(function(), OPTED_IN, (), gap, SETTLED, LIMITS, NOW)
    decision, history = idle.decide(function(), OPTED_IN, (), activity(), history, LIMITS, NOW)

    assert decision.reason is Reason.SOURCE_RESTARTED
    assert history.measured_since == NOW


def test_first_sweep_after_a_start_holds_everything() -> None:
    decision, history = idle.decide(function(), OPTED_IN, (), activity(), IdleHistory(), LIMITS, NOW)

    assert (decision.changes, history.measured_since) == (False, NOW)


def test_a_function_seen_asleep_and_then_awake_counts_from_its_wake() -> None:
    _, history = idle.decide(function(0), OPTED_IN, (), activity(), SETTLED, LIMITS, ago(30))
    assert (history.seen_asleep, history.awake_since) == (True, None)

    _, history = idle.decide(function(1), OPTED_IN, (), activity(), history, LIMITS, NOW)
    assert (history.seen_asleep, history.awake_since) == (False, NOW)


maybe_sample = st.one_of(
    st.builds(NoData, st.text(max_size=3)),
    st.builds(
        Sample,
        st.one_of(st.floats(), st.just(0.0), st.floats(-3000, 3000).map(lambda s: NOW - s)),
        st.floats(-200, 200).map(lambda s: Instant(NOW - s)),
    ),
)
instants = st.floats(-100, 5000).map(ago)
histories = st.builds(IdleHistory, st.none() | instants, st.none() | instants, st.booleans())
functions = st.builds(
    lambda desired, created: Function(REF, Scale(desired, desired, "1"), created_at=created),
    st.integers(0, 30),
    st.none() | instants,
)
policies = st.builds(ScalePolicy, zero=st.booleans(), zero_duration_s=st.none() | st.floats(1, 2000))


@settings(deadline=None)
@given(functions, policies, st.builds(Activity, maybe_sample, maybe_sample), histories)
def test_zero_is_decided_only_when_everything_is_known_and_silent(
    subject: Function, policy: ScalePolicy, measured: Activity, history: IdleHistory
) -> None:
    decision, _ = idle.decide(subject, policy, (), measured, history, LIMITS, NOW)

    assert decision.before == subject.scale.desired
    assert decision.reason in REASONS[Writer.IDLER]
    assert decision.after in (decision.before, 0)
    assert decision.changes == (decision.reason is Reason.IDLE)
    if not decision.changes:
        return
    duration_s = policy.zero_duration_s or LIMITS.default_duration_s
    assert policy.zero
    assert subject.created_at is not None
    assert NOW - subject.created_at >= duration_s
    assert isinstance(measured.in_flight, Sample)
    assert isinstance(measured.last_active, Sample)
    assert measured.in_flight.value == 0
    assert duration_s <= NOW - measured.last_active.value < math.inf
    for sample in (measured.in_flight, measured.last_active):
        assert abs(NOW - sample.at) <= LIMITS.stale_after_s


@settings(deadline=None)
@given(functions, policies, st.builds(Activity, maybe_sample, maybe_sample), histories)
def test_knowing_less_never_decides_more(
    subject: Function, policy: ScalePolicy, measured: Activity, history: IdleHistory
) -> None:
    for poorer in (
        replace(measured, in_flight=NoData("lost")),
        replace(measured, last_active=NoData("lost")),
    ):
        decision, after = idle.decide(subject, policy, (), poorer, history, LIMITS, NOW)

        assert not decision.changes
        assert after.measured_since is None


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0.1, 120), st.booleans(), st.booleans()), max_size=40), st.floats(1, 300))
def test_no_history_of_calls_is_zeroed_while_it_is_called(
    sweeps: list[tuple[float, bool, bool]], duration_s: float
) -> None:
    """Each sweep: the pause before it, whether a call came just then, and whether the measurement is there."""
    policy, history, now, last_call = ScalePolicy(zero=True, zero_duration_s=duration_s), IdleHistory(), NOW, NOW
    desired, created = 1, Instant(NOW - 10_000)
    for pause_s, called, measured in sweeps:
        now = Instant(now + pause_s)
        if called:
            last_call, desired = now, max(desired, 1)
        seen = Activity(Sample(0, now), Sample(last_call, now)) if measured else Activity(NoData("x"), NoData("x"))
        subject = Function(REF, Scale(desired, desired, "1"), created_at=created)
        decision, history = idle.decide(subject, policy, (), seen, history, LIMITS, now)
        if decision.changes:
            assert now - last_call >= duration_s
            desired = 0


def upcoming(in_s: float, *, longest_start_s: float | None = 3.1) -> Upcoming:
    return Upcoming(ExpectedCall(ago(-in_s), CallSource.SCHEDULE), Lead.of(longest_start_s))


@pytest.mark.parametrize(
    ("known", "idles"),
    [
        pytest.param(None, True, id="no call is known"),
        pytest.param(upcoming(4.1 + MARGIN_S + 0.1), True, id="a call that is far enough"),
        pytest.param(upcoming(4.1 + MARGIN_S), False, id="a call before which it would be woken soon"),
        pytest.param(upcoming(15, longest_start_s=3), True, id="a call that is far enough for a short start"),
        pytest.param(upcoming(15, longest_start_s=30), False, id="a call that is near for a long start"),
        pytest.param(upcoming(15, longest_start_s=None), False, id="a call that is near where no start is known"),
        pytest.param(upcoming(0), False, id="a call that is due now"),
        pytest.param(upcoming(-ARRIVAL_S + 0.1), False, id="a call that may be on its way"),
        pytest.param(upcoming(-ARRIVAL_S), True, id="a call that should have come"),
    ],
)
def test_call_that_is_known_to_come_keeps_a_silent_function_awake(known: Upcoming | None, *, idles: bool) -> None:
    decision = decide(upcoming=known)

    assert decision.reason is (Reason.IDLE if idles else Reason.CALL_EXPECTED)
    assert decision.changes is idles


def test_what_holds_a_function_anyway_is_told_before_an_expected_call() -> None:
    assert decide(measured=activity(calls=1), upcoming=upcoming(1)).reason is Reason.IN_FLIGHT


def test_hold_for_an_expected_call_says_when_it_is() -> None:
    decision = decide(upcoming=upcoming(1))

    assert decision.detail == "scheduled at 22:13:21 UTC; taken to zero it would need a start, which takes up to 3.1 s"


WHY = Why(Basis.PAUSES, pauses=40, worth_s=900, within_s=540, ended_share=0.71)


def learned(*windows: tuple[float, float], silent_s: float = 2000) -> LearnedSilence:
    """Windows of the pause's age that began ``silent_s`` ago."""
    end = ago(silent_s)
    return LearnedSilence(tuple(Window(end + since, end + until) for since, until in windows), end, WHY)


def sleeps(plan: LearnedSilence | None, *, silent_s: float = 2000, history: IdleHistory = SETTLED) -> bool:
    measured = activity(active_s_ago=silent_s)
    return idle.decide(
        function(created_s_ago=50_000), OPTED_IN, (), measured, history, LIMITS, NOW, outlook=Outlook(learned=plan)
    )[0].changes


@pytest.mark.parametrize(
    ("windows", "silent_s", "idles"),
    [
        pytest.param([(0, 540)], 539, False, id="in its window"),
        pytest.param([(0, 540)], 541, True, id="past its window, though not past the fixed duration"),
        pytest.param([(0, 3000)], 2000, False, id="past the fixed duration, but in its window"),
        pytest.param([(0, 60), (900, 2000)], 500, True, id="between two windows"),
        pytest.param([(0, 60), (900, 2000)], 1500, False, id="in a later window"),
        pytest.param([(0, 60), (900, 1200)], 1500, True, id="past all windows"),
        pytest.param([(0, math.inf)], 9_000, False, id="in a window without an end"),
        pytest.param([(0, 60), (4000, math.inf)], 2000, True, id="before a window without an end"),
    ],
)
def test_learned_windows_take_the_place_of_the_duration(
    windows: list[tuple[float, float]], silent_s: float, *, idles: bool
) -> None:
    assert sleeps(learned(*windows, silent_s=silent_s), silent_s=silent_s) is idles


@pytest.mark.parametrize(
    ("silent_s", "idles"),
    [
        pytest.param(30, False, id="in the first window"),
        pytest.param(300, False, id="after it, but not past the fixed duration"),
        pytest.param(901, True, id="past the fixed duration"),
    ],
)
def test_plan_of_an_earlier_pause_holds_as_far_as_it_can_and_then_the_fixed_duration(
    silent_s: float, *, idles: bool
) -> None:
    assert sleeps(learned((0, 60), silent_s=5000), silent_s=silent_s) is idles


@pytest.mark.parametrize(
    ("woken_s_ago", "idles"),
    [
        pytest.param(30, False, id="a moment ago, by a person"),
        pytest.param(70, True, id="longer ago than the first window lasts"),
        pytest.param(1600, True, id="for the later window, which is over"),
    ],
)
def test_function_that_was_woken_has_its_first_window_unless_it_was_for_a_forecast(
    woken_s_ago: float, *, idles: bool
) -> None:
    history = replace(SETTLED, awake_since=ago(woken_s_ago))

    assert sleeps(learned((0, 60), (390, 500)), history=history) is idles


def test_wake_for_a_forecast_ends_with_its_window() -> None:
    history = replace(SETTLED, awake_since=ago(20))

    assert not sleeps(learned((0, 60), (1970, 2001)), history=history)
    assert sleeps(learned((0, 60), (1970, 1999)), history=history)


def test_learned_hold_and_sleep_say_what_they_were_learned_from() -> None:
    awake = idle.decide(
        function(created_s_ago=50_000),
        OPTED_IN,
        (),
        activity(active_s_ago=300),
        SETTLED,
        LIMITS,
        NOW,
        outlook=Outlook(learned=learned((0, 540), silent_s=300)),
    )[0]

    said = "71 % of its pauses end within 9 minutes; a cold start is worth 15 minutes"
    assert (awake.reason, awake.detail) == (Reason.RECENTLY_ACTIVE, f"last call 300 s ago of 540 s: {said}")
    assert awake.inputs["duration_s"] == 540


plans = st.none() | st.builds(
    lambda end, lengths: LearnedSilence(
        tuple(
            Window(end + since, end + until)
            for since, until in itertools.pairwise(itertools.accumulate(lengths, initial=0.0))
        )[::2],
        end,
        WHY,
    ),
    instants,
    st.lists(st.floats(1, 4000), min_size=1, max_size=5),
)


@settings(deadline=None)
@given(functions, policies, st.builds(Activity, maybe_sample, maybe_sample), histories, plans)
def test_learning_moves_only_when_a_function_sleeps(
    subject: Function, policy: ScalePolicy, measured: Activity, history: IdleHistory, plan: LearnedSilence | None
) -> None:
    """Whatever was learned, a hold that is not about time stays."""
    timed = {Reason.IDLE, Reason.RECENTLY_ACTIVE, Reason.TOO_YOUNG, Reason.SOURCE_RESTARTED}
    fixed, _ = idle.decide(subject, policy, (), measured, history, LIMITS, NOW)
    told, _ = idle.decide(subject, policy, (), measured, history, LIMITS, NOW, outlook=Outlook(learned=plan))

    assert (told.reason in timed) == (fixed.reason in timed)
    if fixed.reason not in timed:
        assert told.reason is fixed.reason
