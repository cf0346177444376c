"""When a function is woken ahead of a call that is known to come, and what is learned of its starts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springtide.scaler.core import prewarm
from springtide.scaler.core.policy import ScalePolicy, Wake, wake_replicas
from springtide.scaler.core.prewarm import (
    MAX_LEAD_S,
    MAX_STARTS,
    UNKNOWN_LEAD_S,
    CallSource,
    ExpectedCall,
    Lead,
    Met,
    Upcoming,
    WakeHistory,
)
from springtide.scaler.core.vocabulary import REASONS, Decision, Function, FunctionRef, Instant, Reason, Scale, Writer

REF = FunctionRef("openfaas-fn", "report")
NINE = Instant(1_700_038_800.0)
"""09:00:00 UTC."""
OPTED_IN = ScalePolicy(zero=True, min=2, max=9)
CALL = ExpectedCall(NINE, CallSource.SCHEDULE)
UNSEEN = WakeHistory()


def before(seconds: float) -> Instant:
    return Instant(NINE - seconds)


def function(desired: int = 0, *, learned: int | None = None) -> Function:
    return Function(REF, Scale(desired, desired, "1"), learned_wake=learned)


def decide(
    now: Instant,
    subject: Function | None = None,
    *,
    policy: ScalePolicy = OPTED_IN,
    problems: tuple[str, ...] = (),
    call: ExpectedCall = CALL,
    longest_s: float | None = 3.1,
    history: WakeHistory = UNSEEN,
    unread: str = "",
) -> Decision | None:
    upcoming = Upcoming(call, Lead.of(longest_s))
    return prewarm.decide(subject or function(), policy, problems, upcoming, history, now, unread=unread)


def test_function_is_woken_its_longest_start_and_a_second_before_its_call() -> None:
    assert decide(before(4.2)) is None
    decision = decide(before(4.1))

    assert decision is not None
    assert (decision.ref, decision.writer, decision.reason) == (REF, Writer.PREWARM, Reason.SCHEDULED)
    assert (decision.before, decision.after) == (0, 2)
    assert decision.detail == "scheduled at 09:00:00 UTC, its longest start of the last 20 took 3.1 s"
    assert decision.inputs == {
        "lead_s": pytest.approx(4.1),
        "longest_start_s": 3.1,
        "call_in_s": pytest.approx(4.1),
        "min": 2,
        "max": 9,
    }


def test_function_whose_starts_nobody_has_seen_is_woken_a_default_before() -> None:
    assert decide(before(UNKNOWN_LEAD_S + 0.1), longest_s=None) is None
    decision = decide(before(UNKNOWN_LEAD_S), longest_s=None)

    assert decision is not None
    assert decision.detail == "scheduled at 09:00:00 UTC, none of its starts was measured yet"
    assert "longest_start_s" not in decision.inputs


def test_job_that_was_put_off_wakes_its_function_with_a_reason_of_its_own() -> None:
    decision = decide(before(1), call=ExpectedCall(NINE, CallSource.JOB))

    assert decision is not None
    assert decision.reason is Reason.JOB_DUE
    assert decision.detail.startswith("an asynchronous call is due at 09:00:00 UTC, ")


@pytest.mark.parametrize(
    ("policy", "learned", "woken"),
    [
        pytest.param(OPTED_IN, None, 2, id="its minimum"),
        pytest.param(ScalePolicy(zero=True, min=0), None, 1, id="one where its minimum is zero"),
        pytest.param(OPTED_IN, 5, 5, id="what its last wakes needed"),
        pytest.param(OPTED_IN, 50, 9, id="never more than its maximum"),
        pytest.param(replace(OPTED_IN, wake=Wake.MIN), 5, 2, id="its minimum where the label says so"),
    ],
)
def test_it_is_woken_to_what_a_caller_would_wake(policy: ScalePolicy, learned: int | None, woken: int) -> None:
    decision = decide(before(2), function(learned=learned), policy=policy)

    assert decision is not None
    assert decision.after == woken == wake_replicas(policy, learned)
    assert ("woken to" in decision.detail) == (woken > max(1, policy.min))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        pytest.param({"problems": ("min: bad",)}, Reason.INVALID_LABELS, id="labels that make no sense"),
        pytest.param({"policy": ScalePolicy()}, Reason.NOT_OPTED_IN, id="not allowed to sleep"),
        pytest.param({"policy": replace(OPTED_IN, min=0, max=0)}, Reason.AT_MAX, id="a maximum of none"),
        pytest.param({"unread": "the provider is away"}, Reason.NO_DATA, id="its count is not known"),
        pytest.param({"history": WakeHistory(woken_for=NINE)}, Reason.WOKEN_ONCE, id="woken for this call"),
        pytest.param({"history": WakeHistory(woken_for=before(-60))}, Reason.WOKEN_ONCE, id="woken for a later one"),
    ],
)
def test_it_is_held_at_zero(given: dict[str, Any], reason: Reason) -> None:
    decision = decide(before(2), **given)

    assert decision is not None
    assert (decision.reason, decision.changes) == (reason, False)


def test_wake_for_an_earlier_call_is_none_for_this_one() -> None:
    decision = decide(before(2), history=WakeHistory(woken_for=before(60)))

    assert decision is not None
    assert decision.changes


@pytest.mark.parametrize(
    ("woken_at", "woken_for"),
    [
        pytest.param(before(5), None, id="before it was due"),
        pytest.param(before(4), NINE, id="when it was due"),
        pytest.param(NINE, None, id="with the call itself"),
    ],
)
def test_who_wakes_it_when_it_is_due_wakes_it_for_its_call(woken_at: Instant, woken_for: Instant | None) -> None:
    asleep, awake = Scale(0, 0, "1"), Scale(1, 0, "2")
    history = prewarm.looked(WakeHistory(), asleep, before(60), wakes=0)
    history = prewarm.looked(history, awake, woken_at, wakes=1, upcoming=Upcoming(CALL, Lead.of(3.1)))

    assert history.woken_for == woken_for


@pytest.mark.parametrize(
    ("now", "desired"),
    [
        pytest.param(before(2), 1, id="it is awake"),
        pytest.param(before(60), 0, id="it is not time yet"),
        pytest.param(NINE, 0, id="the call has come, which wakes it"),
    ],
)
def test_nothing_is_said(now: Instant, desired: int) -> None:
    assert decide(now, function(desired)) is None


def test_lead_has_an_end() -> None:
    assert Lead.of(3600).seconds == MAX_LEAD_S


@given(
    policy=st.builds(
        ScalePolicy,
        zero=st.booleans(),
        min=st.integers(0, 12),
        max=st.integers(0, 12),
        wake=st.sampled_from(Wake),
    ),
    learned=st.none() | st.integers(1, 100),
    desired=st.integers(0, 2),
    now=st.floats(NINE - 100, NINE + 100).map(Instant),
    longest_s=st.none() | st.floats(0, 1e6),
    unread=st.sampled_from(["", "away"]),
)
def test_every_wake_is_from_zero_within_the_limits_and_in_time(
    policy: ScalePolicy, learned: int | None, desired: int, now: Instant, longest_s: float | None, unread: str
) -> None:
    subject = function(desired, learned=learned)
    decision = decide(now, subject, policy=policy, longest_s=longest_s, unread=unread)

    if decision is None:
        return
    assert decision.reason in REASONS[Writer.PREWARM]
    if decision.changes:
        assert (desired, policy.zero, unread) == (0, True, "")
        assert 1 <= decision.after <= policy.max
        assert now < NINE <= now + Lead.of(longest_s).seconds + 1e-6


def seen(history: WakeHistory, *looks: tuple[float, int, int, int]) -> WakeHistory:
    """After looks: instant, wanted, ready, wakes."""
    for at, wanted, ready, wakes in looks:
        history = prewarm.looked(history, Scale(wanted, ready, "1"), Instant(at), wakes=wakes)
    return history


def test_start_is_measured_from_the_wake_to_the_first_replica() -> None:
    history = seen(WakeHistory(), (0, 0, 0, 0), (10, 2, 0, 1), (12, 2, 0, 1), (13.5, 2, 1, 1), (20, 2, 2, 1))

    assert history.starts_s == (3.5,)
    assert history.ready_at == 13.5


@pytest.mark.parametrize(
    ("looks", "starts_s"),
    [
        pytest.param([(0, 2, 0, 0), (9, 2, 2, 0)], (), id="one that was under way when it was first seen"),
        pytest.param([(0, 2, 2, 0), (5, 2, 0, 0), (9, 2, 1, 0)], (), id="a replica that came back"),
        pytest.param([(0, 0, 0, 0), (5, 1, 0, 1), (9, 0, 0, 1)], (), id="one that was given up"),
        pytest.param([(0, 0, 0, 0), (5, 1, 1, 1)], (0,), id="one too fast to be seen"),
        pytest.param([(0, 0, 0, 0), (5, 1, 0, 1), (4, 1, 1, 1)], (0,), id="a clock set back"),
        pytest.param([(0, 2, 2, 0), (5, 2, 0, 1), (9, 2, 1, 1)], (4,), id="a sleep that no look has seen"),
        pytest.param([(0, 0, 0, 7), (5, 1, 0, 0), (9, 1, 1, 0)], (4,), id="a provider that counts anew"),
    ],
)
def test_starts_that_are_measured(looks: list[tuple[float, int, int, int]], starts_s: tuple[float, ...]) -> None:
    assert seen(WakeHistory(), *looks).starts_s == starts_s


def test_start_that_went_by_in_a_gap_is_not_measured() -> None:
    history = seen(WakeHistory(), (0, 0, 0, 0))
    history = prewarm.looked(history, Scale(1, 0, "2"), Instant(50), wakes=1, gap=True)
    history = seen(history, (60, 1, 1, 1))

    assert history.starts_s == ()


def test_longest_of_the_last_starts_is_expected() -> None:
    history = WakeHistory()
    for number in range(MAX_STARTS + 1):
        took_s = 30 if number == 0 else 2
        at = number * 100
        history = seen(history, (at, 0, 0, number), (at + 10, 1, 0, number + 1), (at + 10 + took_s, 1, 1, number + 1))
        if number == MAX_STARTS - 1:
            assert history.longest_s == 30

    assert (len(history.starts_s), history.longest_s) == (MAX_STARTS, 2)


def test_what_a_provider_kept_is_the_first_start_that_is_known() -> None:
    history = prewarm.looked(WakeHistory(), Scale(0, 0, "1"), Instant(0), wakes=0, kept_s=8.0)
    assert history.longest_s == 8

    history = seen(history, (10, 1, 0, 1), (12, 1, 1, 1))
    history = prewarm.looked(history, Scale(1, 1, "1"), Instant(13), wakes=1, kept_s=8.0)

    assert history.starts_s == (8, 2)


@pytest.mark.parametrize(
    ("woken_for", "ready", "how"),
    [
        pytest.param(None, 1, Met.AWAKE, id="it was awake"),
        pytest.param(before(60), 1, Met.AWAKE, id="it was awake since the call before"),
        pytest.param(NINE, 1, Met.READY, id="it was woken for it"),
        pytest.param(NINE, 0, Met.LATE, id="it was woken for it, and no replica was ready"),
        pytest.param(None, 0, Met.COLD, id="it was not woken"),
    ],
)
def test_how_a_call_was_met(woken_for: Instant | None, ready: int, how: Met) -> None:
    assert prewarm.met(WakeHistory(woken_for=woken_for), Scale(1, ready, "1"), CALL) is how
