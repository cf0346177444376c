from __future__ import annotations

import pytest

from springtide.scaler.core.prewarm import CallSource, ExpectedCall
from springtide.scaler.core.vocabulary import Function, FunctionRef, Instant, Scale
from springtide.scaler.sources.schedules import ScheduledCalls

REPORT = FunctionRef("openfaas-fn", "report")
NINE = Instant(1_700_038_800.0)
"""09:00:00 UTC."""


def function(annotations: dict[str, str], *, created_at: float | None = None) -> Function:
    created = None if created_at is None else Instant(created_at)
    return Function(REPORT, Scale(0, 0, "1"), annotations=annotations, created_at=created)


def cron(schedule: str) -> dict[str, str]:
    return {"topic": "cron-function", "schedule": schedule}


@pytest.mark.parametrize(
    ("annotations", "in_s"),
    [
        pytest.param({}, None, id="no annotations"),
        pytest.param({"topic": "orders", "schedule": "* * * * *"}, None, id="another topic"),
        pytest.param(cron("soon"), None, id="a schedule that makes no sense"),
        pytest.param(cron("0 9 * * *"), 24 * 3600, id="a tick that is just now is over"),
        pytest.param(cron("30 9 * * *"), 1800, id="one schedule"),
        pytest.param(cron("30 9 * * *;*/10 * * * *"), 600, id="the earliest of two"),
        pytest.param(cron("@every 7m"), 60, id="a length of time since it was deployed"),
    ],
)
def test_next_call_is_the_next_tick(annotations: dict[str, str], in_s: float | None) -> None:
    call = ScheduledCalls().next_call(function(annotations, created_at=NINE - 6 * 60), NINE)

    assert call == (None if in_s is None else ExpectedCall(Instant(NINE + in_s), CallSource.SCHEDULE))


def test_jitter_is_part_of_the_instant() -> None:
    jittered = cron("30 9 * * *") | {"com.springtide.schedule.jitter": "5m"}
    call = ScheduledCalls().next_call(function(jittered), NINE)

    assert call is not None
    assert NINE + 1800 < call.at <= NINE + 1800 + 300
