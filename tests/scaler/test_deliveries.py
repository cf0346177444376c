"""One delivery or one due step of a descent: the decision, and the two histories that go with it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springtide.scaler.core import deliveries
from springtide.scaler.core.deliveries import LoadView, StepOutcome
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.steps import AlertEvent, AlertId, AlertStatus, StepContext, StepHistory
from springtide.scaler.core.vocabulary import (
    REASONS,
    Decision,
    FunctionRef,
    Instant,
    NoData,
    Reason,
    Sample,
    Scale,
    Writer,
)

REF = FunctionRef("openfaas-fn", "echo")
OTHER = FunctionRef("openfaas-fn", "other")
INTERVAL_S, SETTLE_S = 5.0, 30.0
SEEN = LoadView(Sample(2.0, Instant(99)), settle_s=SETTLE_S)
NOW = Instant(100)


def context(desired: int, policy: ScalePolicy | None = None) -> StepContext:
    return StepContext(REF, policy or ScalePolicy(), (), Scale(desired, desired, "1"), INTERVAL_S)


def alert(status: AlertStatus, number: int = 1, ref: FunctionRef = REF) -> AlertEvent:
    return AlertEvent(ref, status, AlertId(str(number), "t0"), "High")


FIRING, RESOLVED = alert(AlertStatus.FIRING), alert(AlertStatus.RESOLVED)


def delivered(desired: int, *events: AlertEvent, view: LoadView = SEEN) -> StepOutcome:
    return deliveries.on_delivery(context(desired), view, StepHistory(), events, NOW)


def test_events_are_told_apart_by_function_and_firing_ones_come_first() -> None:
    of_other = alert(AlertStatus.FIRING, ref=OTHER)

    assert deliveries.by_function([RESOLVED, of_other, FIRING]) == {REF: [FIRING, RESOLVED], OTHER: [of_other]}


@pytest.mark.parametrize(
    ("events", "looks"),
    [
        pytest.param([FIRING], False, id="a firing alert takes nothing away"),
        pytest.param([RESOLVED], True, id="a resolved one may"),
        pytest.param([FIRING, RESOLVED], True, id="and one among others"),
    ],
)
def test_load_is_looked_at_only_where_a_step_down_may_follow(events: list[AlertEvent], looks: bool) -> None:
    assert deliveries.may_step_down(events) is looks


def test_several_alerts_of_a_delivery_come_to_one_step() -> None:
    outcome = delivered(1, FIRING, alert(AlertStatus.FIRING, 2))

    assert (outcome.decision.before, outcome.decision.after) == (1, 5)
    assert len(outcome.if_written.firing) == 2


def test_step_that_was_not_written_may_be_tried_again_at_once() -> None:
    failed = delivered(1, FIRING)
    again = deliveries.on_delivery(context(1), SEEN, failed.if_not_written, [FIRING], Instant(NOW + 0.1))
    repeated = deliveries.on_delivery(context(5), SEEN, failed.if_written, [FIRING], Instant(NOW + 0.1))

    assert (failed.decision.after, again.decision.after) == (5, 5)
    assert repeated.decision.reason is Reason.REDELIVERED
    assert failed.if_not_written.firing == failed.if_written.firing  # what was heard stays heard


def test_last_step_down_that_was_not_written_is_still_to_be_made() -> None:
    outcome = delivered(3, RESOLVED)

    assert (outcome.decision.after, outcome.if_written.descending) == (1, False)
    assert outcome.if_not_written.descending


def test_step_down_tells_the_load_it_was_made_on() -> None:
    inputs = delivered(9, RESOLVED).decision.inputs

    assert (inputs["in_flight"], inputs["data_age_s"]) == (2.0, 1.0)


@pytest.mark.parametrize(
    ("view", "why"),
    [
        pytest.param(
            LoadView(NoData("Prometheus is away"), settle_s=SETTLE_S),
            "load is not measured (Prometheus is away), so the alert may have ended for that reason",
            id="the load is not measured",
        ),
        pytest.param(
            LoadView(Sample(0.0, NOW), measured_for_s=29.9, settle_s=SETTLE_S),
            "load is measured again for less than 30 s",
            id="it has been for too short a time",
        ),
        pytest.param(
            LoadView(Sample(0.0, NOW), leading_for_s=29.9, settle_s=SETTLE_S),
            "leading for less than 30 s, so other alerts may fire that were not heard of yet",
            id="the leader is new",
        ),
    ],
)
def test_step_down_waits_while_load_is_not_seen(view: LoadView, why: str) -> None:
    outcome = delivered(9, RESOLVED, view=view)

    assert (outcome.decision.reason, outcome.decision.detail) == (Reason.NO_DATA, why)
    assert outcome.if_written == outcome.if_not_written
    assert outcome.if_written.descending  # it is to be made later


@pytest.mark.parametrize(
    "view",
    [
        pytest.param(LoadView(Sample(0.0, NOW), measured_for_s=30, leading_for_s=30, settle_s=SETTLE_S), id="settled"),
        pytest.param(LoadView(settle_s=SETTLE_S), id="nobody measures, so the alert is taken at its word"),
    ],
)
def test_step_down_is_made_as_soon_as_load_is_seen(view: LoadView) -> None:
    assert delivered(9, RESOLVED, view=view).decision.after == 5


@pytest.mark.parametrize(
    ("last", "interval_s", "due_s"),
    [
        pytest.param(None, 5.0, 5.0, id="a whole interval before the first step"),
        pytest.param(97.0, 5.0, 2.0, id="the rest of the interval"),
        pytest.param(50.0, 5.0, 0.0, id="overdue is now"),
        pytest.param(3700.0, 5.0, 5.0, id="a clock that was set back holds nothing up"),
    ],
)
def test_next_step_down_is_due(last: float | None, interval_s: float, due_s: float) -> None:
    history = StepHistory(descending=True, last_step_down=None if last is None else Instant(last))

    assert deliveries.next_step_in_s(history, interval_s, NOW) == due_s


@pytest.mark.parametrize("writer", Writer)
def test_new_leader_carries_on_what_alerts_had_changed_last(writer: Writer) -> None:
    history = deliveries.recalled(Decision(REF, writer, 1, 5, Reason.MANUAL, "", NOW))

    assert (history is not None and history.descending) == (writer is Writer.ALERT)


seconds = st.one_of(st.floats(0, 60), st.just(math.inf))
views = st.builds(
    LoadView,
    in_flight=st.one_of(
        st.none(), st.builds(NoData, st.just("away")), st.builds(Sample, st.floats(0, 9), st.just(NOW))
    ),
    measured_for_s=seconds,
    leading_for_s=seconds,
    settle_s=st.sampled_from([0.0, SETTLE_S]),
)
alert_ids = st.builds(AlertId, st.sampled_from("ab"), st.sampled_from("12"))
events = st.builds(AlertEvent, ref=st.just(REF), status=st.sampled_from(AlertStatus), id=alert_ids)
instants = st.floats(0, 200).map(Instant)
histories = st.builds(
    StepHistory,
    firing=st.dictionaries(alert_ids, instants, max_size=3),
    last_step_up=st.none() | instants,
    descending=st.booleans(),
    last_step_down=st.none() | instants,
)
policies = st.builds(ScalePolicy, min=st.integers(0, 9), max=st.integers(0, 30), factor=st.integers(0, 100))


@given(policies, st.integers(0, 40), views, histories, st.lists(events, max_size=5))
def test_both_histories_hold_whatever_is_delivered_or_due(
    policy: ScalePolicy, desired: int, view: LoadView, history: StepHistory, delivery: list[AlertEvent]
) -> None:
    """An empty delivery stands for a due step."""
    here = context(desired, policy)
    if delivery:
        outcome = deliveries.on_delivery(here, view, history, delivery, NOW)
    else:
        outcome = deliveries.on_tick(here, view, history, NOW)
    decision, written, not_written = outcome.decision, outcome.if_written, outcome.if_not_written

    assert (decision.before, decision.ref) == (desired, REF)
    assert decision.reason in REASONS[Writer.ALERT]
    assert not_written.firing == written.firing
    if decision.changes:
        assert not_written.last_step_up == history.last_step_up
        assert not_written.last_step_down == history.last_step_down
        assert not_written.descending == (decision.after < desired)
    else:
        assert written == not_written
    if decision.after < desired:
        assert view.obstacle() is None
        assert delivery == [] or deliveries.may_step_down(delivery)


@given(policies, st.integers(1, 40), histories)
def test_unseen_load_only_postpones_a_step_down(policy: ScalePolicy, desired: int, history: StepHistory) -> None:
    here, unseen = context(desired, policy), LoadView(NoData("away"))
    seen = deliveries.on_tick(here, SEEN, history, NOW)
    waiting = deliveries.on_tick(here, unseen, history, NOW)

    if seen.decision.changes:
        assert waiting.decision.reason is Reason.NO_DATA
        later = deliveries.on_tick(here, SEEN, waiting.if_not_written, NOW)
        assert replace(later.decision, detail="") == replace(seen.decision, detail="")
    else:
        assert waiting == seen
