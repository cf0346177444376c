from __future__ import annotations

import pytest

from springtide.gateway.call_metrics import CallMetrics
from springtide.gateway.call_record import CallRecord
from springtide.gateway.coldstart.timing import WaitTiming
from springtide.gateway.route import Route
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.endpoint_stream import Endpoint, FunctionEndpoints


def route(*, decided_at: float = 0.0, accepted_at: float = 0.0) -> Route:
    made = Route(FunctionRef("openfaas-fn", "echo"), CallMetrics(last_active=0.0))
    made.decided_at, made.accepted_at = decided_at, accepted_at
    return made


def test_parts_of_a_cold_start_add_up_and_are_told_in_milliseconds() -> None:
    timing = WaitTiming(route(decided_at=10.001, accepted_at=10.011), 10.0)
    timing.cold = True

    timing.release(10.311)

    assert timing.answer(10.333) == (
        b"\r\nServer-Timing: hold;dur=311.00, decided;dur=1.00, accepted;dur=10.00, ready;dur=300.00"
        b", first-byte;dur=22.00"
    )


def test_start_of_the_environments_interpreter_is_told_apart_within_the_wait_for_a_replica() -> None:
    function = route(decided_at=10.001, accepted_at=10.011)
    endpoint = Endpoint("echo-1", "127.0.0.1", 1, environment_s=0.2)
    function.describe(FunctionEndpoints(function.ref, 1, "1", (endpoint,)), 10.3)
    timing = WaitTiming(function, 10.0)
    timing.cold = True
    timing.release(10.311)
    assert timing.answer(10.333).endswith(b"ready;dur=300.00, first-byte;dur=22.00, environment;dur=200.00")

    warm = WaitTiming(function, 20.0)
    warm.release(20.1)
    assert b"environment" not in warm.answer(20.2)
    function.describe(FunctionEndpoints(function.ref, 0, "2"), 30.0)
    assert function.environment_s == 0


def test_cold_start_is_counted_once_however_often_the_call_waits() -> None:
    function = route()
    timing = WaitTiming(function, 10.0)
    timing.cold = True
    timing.release(11.0)
    timing.release(12.0)
    timing.answer(12.5)

    assert function.metrics.cold_start.count == 1
    assert function.metrics.cold_start.sum == pytest.approx(1.0)
    assert [histogram.count for histogram in function.metrics.cold_parts] == [1, 1, 1, 1]


def test_wait_at_running_replicas_is_no_cold_start() -> None:
    function = route()
    timing = WaitTiming(function, 10.0)

    timing.release(11.0)
    timing.answer(11.5)

    assert function.metrics.cold_start.count == 0
    assert all(histogram.count == 0 for histogram in function.metrics.cold_parts)


@pytest.mark.parametrize(
    ("decided", "accepted", "within"),
    [
        pytest.param(12.0, 13.0, (12.0, 13.0), id="in this time"),
        pytest.param(5.0, 6.0, (10.0, 10.0), id="before it"),
        pytest.param(5.0, 13.0, (10.0, 13.0), id="decided before, accepted in it"),
        pytest.param(12.0, 6.0, (12.0, 12.0), id="not accepted yet: the last wake's instant says nothing"),
        pytest.param(25.0, 26.0, (20.0, 20.0), id="after it"),
    ],
)
def test_wake_counts_as_far_as_it_lies_in_the_wait(
    decided: float, accepted: float, within: tuple[float, float]
) -> None:
    timing = WaitTiming(route(decided_at=decided, accepted_at=accepted), 10.0)

    assert timing.wake_within(10.0, 20.0) == within


def test_record_is_told_of_the_end_of_the_stay() -> None:
    record = CallRecord("echo", b"GET", b"id", 9.0, 0.0, 0)
    record.held(10.0)
    timing = WaitTiming(route(decided_at=10.5, accepted_at=11.0), 10.0, record)
    timing.cold = True

    timing.release(12.0)

    (stay,) = record.stays
    assert (stay.began, stay.ended, stay.served, stay.cold) == (10.0, 12.0, True, True)
    assert stay.parts == (10.5, 11.0)
