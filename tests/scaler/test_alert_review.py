"""What is known to fire against what is believed: who is looked at, and who comes down."""

from __future__ import annotations

import pytest

from springtide.scaler.core import alert_review
from springtide.scaler.core.alert_review import SCALING_LABELS, ActiveAlert, ActiveAlerts
from springtide.scaler.core.deliveries import LoadView
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.steps import AlertId, StepContext, StepHistory
from springtide.scaler.core.vocabulary import Decision, FunctionRef, Instant, NoData, Reason, Sample, Scale, Writer

REF, OTHER = FunctionRef("openfaas-fn", "echo"), FunctionRef("openfaas-fn", "other")
NOW = Instant(100)
SEEN = LoadView(Sample(0.0, NOW))
BELIEVED = StepHistory(firing={AlertId("heard", "t0"): Instant(40)})


def context(desired: int, policy: ScalePolicy | None = None, owner: Writer | None = Writer.ALERT) -> StepContext:
    return StepContext(REF, policy or ScalePolicy(), (), Scale(desired, desired, "1"), 5.0, owner=owner)


def active(*alerts: ActiveAlert, asked_at: float = 99) -> ActiveAlerts:
    return ActiveAlerts.of(alerts, Instant(asked_at))


def change(after: int, writer: Writer = Writer.ALERT) -> Decision:
    return Decision(REF, writer, 1, after, Reason.ALERT_FIRING, "", Instant(0), {"min": 2})


SCALING = ActiveAlert(REF, {"alertname": "High", **SCALING_LABELS})
FOR_PEOPLE = ActiveAlert(REF, {"alertname": "FunctionErrors", "severity": "warning"}, "unheard of")
HEARD = ActiveAlert(REF, {"alertname": "Mine"}, "heard")


@pytest.mark.parametrize(
    ("alerts", "history", "after"),
    [
        pytest.param([], BELIEVED, 5, id="its end was never told"),
        pytest.param([], StepHistory(), 5, id="nor is it remembered"),
        pytest.param([FOR_PEOPLE], BELIEVED, 5, id="an alert for people is no load"),
        pytest.param([ActiveAlert(OTHER, SCALING.labels)], BELIEVED, 5, id="nor is another function's"),
        pytest.param([SCALING], BELIEVED, 9, id="one that scales fires"),
        pytest.param([HEARD], BELIEVED, 9, id="one that was heard of fires, whatever its labels"),
    ],
)
def test_function_comes_down_only_when_no_alert_of_it_is_known_to_fire(
    alerts: list[ActiveAlert], history: StepHistory, after: int
) -> None:
    outcome = alert_review.on_review(context(9), SEEN, history, active(*alerts), NOW)

    assert outcome.decision.after == after
    assert outcome.if_written.descending == (after < 9)


def test_step_down_says_that_the_end_was_never_told_and_forgets_what_was_believed() -> None:
    outcome = alert_review.on_review(context(9), SEEN, BELIEVED, active(), NOW)

    assert outcome.decision.reason is Reason.ALERT_RESOLVED
    assert outcome.decision.detail == "no alert about it fires, though none was told to have ended: -4 (min 1)"
    assert outcome.if_written.firing == {}


def test_alert_that_was_heard_of_while_the_others_were_asked_counts() -> None:
    outcome = alert_review.on_review(context(9), SEEN, BELIEVED, active(asked_at=39), NOW)

    assert (outcome.decision.reason, outcome.if_written) == (Reason.STILL_FIRING, BELIEVED)


def test_load_that_is_not_measured_takes_nothing_away() -> None:
    outcome = alert_review.on_review(context(9), LoadView(NoData("away")), BELIEVED, active(), NOW)

    assert (outcome.decision.after, outcome.decision.reason) == (9, Reason.NO_DATA)


@pytest.mark.parametrize(
    ("policy", "owner", "desired", "reason"),
    [
        pytest.param(ScalePolicy(), Writer.HPA, 9, Reason.NOT_OWNER, id="handed to an HPA"),
        pytest.param(ScalePolicy(), Writer.SCALER, 9, Reason.NOT_OWNER, id="handed to the scaler"),
        pytest.param(ScalePolicy(factor=0), Writer.ALERT, 9, Reason.FACTOR_ZERO, id="factor 0"),
        pytest.param(ScalePolicy(), Writer.ALERT, 0, Reason.ASLEEP, id="asleep"),
        pytest.param(ScalePolicy(min=9), Writer.ALERT, 9, Reason.AT_MIN, id="at its minimum"),
    ],
)
def test_what_is_not_the_alert_paths_is_left_alone(
    policy: ScalePolicy, owner: Writer, desired: int, reason: Reason
) -> None:
    outcome = alert_review.on_review(context(desired, policy, owner), SEEN, BELIEVED, active(), NOW)

    assert (outcome.decision.after, outcome.decision.reason) == (desired, reason)
    assert not outcome.if_written.descending


@pytest.mark.parametrize(
    ("history", "last", "due"),
    [
        pytest.param(BELIEVED, None, True, id="an alert is believed to fire"),
        pytest.param(None, change(9), True, id="an alert raised it, and nothing else is remembered"),
        pytest.param(StepHistory(last_step_up=Instant(99)), change(9), True, id="the memory of the alert has faded"),
        pytest.param(None, change(2), False, id="it is at its minimum"),
        pytest.param(None, change(9, Writer.PERSON), False, id="a person chose its count"),
        pytest.param(StepHistory(descending=True), change(9), False, id="it is on its way down"),
        pytest.param(None, None, False, id="nothing is known of it"),
    ],
)
def test_functions_that_may_be_large_for_an_alert_are_reviewed(
    history: StepHistory | None, last: Decision | None, due: bool
) -> None:
    histories = {} if history is None else {REF: history}
    changes = {} if last is None else {REF: last}

    assert alert_review.to_review(histories, changes) == ([REF] if due else [])
