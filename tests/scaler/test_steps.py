from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springtide.scaler.core import steps
from springtide.scaler.core.policy import Down, ScalePolicy
from springtide.scaler.core.steps import AlertEvent, AlertId, AlertStatus, Load, StepContext, StepHistory
from springtide.scaler.core.vocabulary import REASONS, FunctionRef, Instant, Reason, Scale, Writer

REF = FunctionRef("openfaas-fn", "echo")
ALERT = AlertId("aa", "2026-01-01T00:00:00Z")
INTERVAL_S = 5.0


def context(
    desired: int,
    policy: ScalePolicy | None = None,
    problems: tuple[str, ...] = (),
    owner: Writer | None = Writer.ALERT,
) -> StepContext:
    return StepContext(REF, policy or ScalePolicy(), problems, Scale(desired, desired, "1"), INTERVAL_S, owner=owner)


def firing(alert: AlertId = ALERT) -> AlertEvent:
    return AlertEvent(REF, AlertStatus.FIRING, alert, "High")


def resolved(alert: AlertId = ALERT) -> AlertEvent:
    return AlertEvent(REF, AlertStatus.RESOLVED, alert, "High")


def climb(policy: ScalePolicy, start: int) -> list[int]:
    """Counts while an alert is repeated, each repeat one interval after the last, until nothing changes."""
    counts, history, now = [start], StepHistory(), 0.0
    while True:
        decision, history = steps.on_alert(context(counts[-1], policy), history, firing(), Instant(now))
        if not decision.changes:
            return counts
        counts.append(decision.after)
        now += INTERVAL_S


def descend(policy: ScalePolicy, start: int) -> list[int]:
    """Counts from one resolved alert on, a tick each interval, until the descent is over."""
    decision, history = steps.on_alert(context(start, policy), StepHistory(), resolved(), Instant(0))
    counts, now = [start, decision.after], 0.0
    while history.descending:
        now += INTERVAL_S
        decision, history = steps.on_tick(context(counts[-1], policy), history, Instant(now))
        counts.append(decision.after)
    return counts


@pytest.mark.parametrize(
    ("policy", "start", "counts"),
    [
        pytest.param(ScalePolicy(), 1, [1, 5, 9, 13, 17, 20], id="defaults climb by four"),
        pytest.param(ScalePolicy(min=2, max=15), 2, [2, 5, 8, 11, 14, 15], id="the last step stops at max"),
        pytest.param(ScalePolicy(max=5), 1, [1, 2, 3, 4, 5], id="a small max climbs by one"),
        pytest.param(ScalePolicy(max=10, factor=25), 1, [1, 4, 7, 10], id="two and a half rounds up to three"),
        pytest.param(ScalePolicy(max=4, factor=1), 1, [1, 2, 3, 4], id="a tiny factor is still one replica"),
        pytest.param(ScalePolicy(factor=100), 1, [1, 20], id="factor 100 jumps to max"),
        pytest.param(ScalePolicy(max=7, factor=100), 1, [1, 7], id="exact where floating point gives eight"),
        pytest.param(ScalePolicy(), 30, [30], id="above max a firing alert takes nothing away"),
    ],
)
def test_climb_follows_the_step_sequence(policy: ScalePolicy, start: int, counts: list[int]) -> None:
    assert climb(policy, start) == counts


@pytest.mark.parametrize(
    ("policy", "start", "counts"),
    [
        pytest.param(ScalePolicy(), 20, [20, 16, 12, 8, 4, 1], id="defaults descend by four"),
        pytest.param(ScalePolicy(min=3), 10, [10, 6, 3], id="stops at min"),
        pytest.param(ScalePolicy(down=Down.MIN), 20, [20, 1], id="the label brings back the drop to min"),
        pytest.param(ScalePolicy(min=0), 5, [5, 1], id="never to zero, even with min 0"),
        pytest.param(ScalePolicy(), 1, [1, 1], id="at min nothing happens"),
    ],
)
def test_descent_follows_the_step_sequence(policy: ScalePolicy, start: int, counts: list[int]) -> None:
    assert descend(policy, start) == counts


@pytest.mark.parametrize("event", [firing(), resolved()], ids=["firing", "resolved"])
@pytest.mark.parametrize(
    ("desired", "policy", "problems", "owner", "reason"),
    [
        pytest.param(0, ScalePolicy(), (), Writer.ALERT, Reason.ASLEEP, id="asleep"),
        pytest.param(3, ScalePolicy(factor=0), (), Writer.ALERT, Reason.FACTOR_ZERO, id="factor 0"),
        pytest.param(3, ScalePolicy(), (), Writer.HPA, Reason.NOT_OWNER, id="an HPA's"),
        pytest.param(3, ScalePolicy(factor=0), (), Writer.SCALER, Reason.NOT_OWNER, id="the scaler's"),
        pytest.param(3, ScalePolicy(), (), None, Reason.NOT_OWNER, id="nobody's"),
        pytest.param(3, ScalePolicy(min=3, max=3), (), None, Reason.FIXED_SIZE, id="min = max"),
        pytest.param(3, ScalePolicy(), ("bad",), Writer.ALERT, Reason.INVALID_LABELS, id="labels that make no sense"),
    ],
)
def test_what_is_not_the_alert_paths_is_left_alone(
    event: AlertEvent,
    desired: int,
    policy: ScalePolicy,
    problems: tuple[str, ...],
    owner: Writer | None,
    reason: Reason,
) -> None:
    decision, history = steps.on_alert(context(desired, policy, problems, owner), StepHistory(), event, Instant(0))

    assert (decision.after, decision.reason) == (desired, reason)
    assert not history.descending


def test_descent_ends_where_the_owner_changes() -> None:
    history = StepHistory(descending=True)

    decision, history = steps.on_tick(context(9, owner=Writer.SCALER), history, Instant(0))

    assert (decision.after, decision.reason, decision.detail) == (
        9,
        Reason.NOT_OWNER,
        "the scaler owns the replicas",
    )
    assert not history.descending


def test_decision_holds_the_load_the_alert_told_its_threshold_and_age() -> None:
    event = AlertEvent(REF, AlertStatus.FIRING, ALERT, "High", Load(31.2, "calls/s", 5.0, Instant(97)))

    decision, history = steps.on_alert(context(1), StepHistory(), event, Instant(100))
    again, _ = steps.on_alert(context(5), history, event, Instant(101))

    assert decision.detail == "alert High fires at 31.2 calls/s, above 5: +4 (step 4, max 20)"
    assert decision.inputs.items() >= {"load": 31.2, "threshold": 5.0, "data_age_s": 3, "step": 4, "max": 20}.items()
    assert (again.reason, again.inputs["data_age_s"]) == (Reason.REDELIVERED, 4)


def test_load_of_an_alert_that_is_over_is_no_input_of_the_way_down() -> None:
    load = Load(31.2, "calls/s", None, Instant(97))
    decision, _ = steps.on_alert(
        context(5), StepHistory(), AlertEvent(REF, AlertStatus.RESOLVED, ALERT, "High", load), Instant(100)
    )

    assert decision.changes
    assert "load" not in decision.inputs


def test_redelivered_alert_is_not_a_second_step() -> None:
    first, history = steps.on_alert(context(1), StepHistory(), firing(), Instant(0))
    again, history = steps.on_alert(context(5), history, firing(), Instant(4.9))
    later, history = steps.on_alert(context(5), history, firing(), Instant(5))

    assert [first.after, again.after, later.after] == [5, 5, 9]
    assert again.reason is Reason.REDELIVERED


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(AlertId("aa", "later"), id="the next occurrence"),
        pytest.param(AlertId("bb", "2026-01-01T00:00:00Z"), id="one whose labels hold another value"),
    ],
)
def test_step_interval_holds_for_the_function_whatever_alerts_say(other: AlertId) -> None:
    _, history = steps.on_alert(context(1), StepHistory(), firing(), Instant(0))
    early, history = steps.on_alert(context(5), history, firing(other), Instant(4.9))
    due, _ = steps.on_alert(context(5), history, firing(other), Instant(5))

    assert (early.reason, early.after, due.after) == (Reason.REDELIVERED, 5, 9)
    assert early.detail == "a step up was made 4.9 s ago, less than 5 s"


def test_label_sets_the_step_interval() -> None:
    policy = ScalePolicy(step_interval_s=60)
    _, history = steps.on_alert(context(1, policy), StepHistory(), firing(), Instant(0))
    decision, _ = steps.on_alert(context(5, policy), history, firing(), Instant(59))

    assert decision.reason is Reason.REDELIVERED


def test_descent_waits_for_every_alert_of_the_function() -> None:
    _, history = steps.on_alert(context(9), StepHistory(), firing(AlertId("bb", "x")), Instant(0))
    decision, history = steps.on_alert(context(9), history, resolved(), Instant(1))

    assert (decision.reason, history.descending) == (Reason.STILL_FIRING, False)


def test_firing_alert_ends_a_descent() -> None:
    _, history = steps.on_alert(context(20), StepHistory(), resolved(), Instant(0))
    up, history = steps.on_alert(context(16), history, firing(), Instant(1))
    tick, history = steps.on_tick(context(20), history, Instant(100))

    assert (up.after, tick.changes, history.descending) == (20, False, False)


def test_descent_takes_one_step_an_interval() -> None:
    _, history = steps.on_alert(context(20), StepHistory(), resolved(), Instant(0))
    early, history = steps.on_tick(context(16), history, Instant(4.9))
    due, history = steps.on_tick(context(16), history, Instant(5))

    assert (early.reason, early.changes, due.after) == (Reason.STEP_PENDING, False, 12)


policies = st.builds(
    ScalePolicy,
    min=st.integers(0, 50),
    max=st.integers(0, 200),
    factor=st.integers(0, 100),
    zero=st.booleans(),
    type=st.sampled_from(["rps", "cpu"]),
    down=st.sampled_from(Down),
)
events = st.builds(
    AlertEvent,
    ref=st.just(REF),
    status=st.sampled_from(AlertStatus),
    id=st.builds(AlertId, st.sampled_from("abc"), st.sampled_from("12")),
)


@given(policies, st.integers(0, 300), st.lists(st.tuples(events, st.floats(0, 30)), max_size=30))
def test_alert_path_never_wakes_never_zeroes_and_stays_in_its_limits(
    policy: ScalePolicy, desired: int, deliveries: list[tuple[AlertEvent, float]]
) -> None:
    history, now = StepHistory(), 0.0
    for event, pause in deliveries:
        now += pause
        decision, history = steps.on_alert(context(desired, policy), history, event, Instant(now))

        assert (decision.before == 0) == (decision.after == 0)
        assert decision.reason in REASONS[Writer.ALERT]
        if decision.after > decision.before:
            assert decision.after <= policy.max
            assert event.status is AlertStatus.FIRING
        if decision.after < decision.before:
            assert decision.after >= max(1, policy.min)
            assert event.status is AlertStatus.RESOLVED
        desired = decision.after


@given(st.integers(0, 10_000), st.integers(0, 100))
def test_step_is_the_exact_ceiling(maximum: int, factor: int) -> None:
    step = steps.step_size(ScalePolicy(max=maximum, factor=factor))

    assert (step - 1) * 100 < maximum * factor <= step * 100 or step == maximum * factor == 0
