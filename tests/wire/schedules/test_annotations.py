"""The schedules of a function, and what is wrong with the annotations that name them."""

from __future__ import annotations

import pytest

from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.endpoint_stream import MAX_ANNOTATIONS_BYTES
from springtide.wire.events.delivery_mode import DeliveryMode
from springtide.wire.schedules.annotations import (
    DEFAULT,
    MAX_BODY_BYTES,
    MAX_SCHEDULES,
    CatchUp,
    Overlap,
    TickOptions,
    next_due,
    schedules_of,
)

REF = FunctionRef("openfaas-fn", "report")
MINE = "com.springtide.schedule."


def cron(**more: str) -> dict[str, str]:
    return {"topic": "cron-function", "schedule": "*/5 * * * *"} | {
        MINE + name.replace("_", "-"): value for name, value in more.items()
    }


def test_function_without_the_annotations_has_none() -> None:
    assert schedules_of(REF, {"com.openfaas.queue": "fast"}) == ((), ())


def test_several_schedules_are_separated_by_semicolons() -> None:
    found, problems = schedules_of(REF, cron() | {"schedule": "*/5 * * * *; @daily ;CRON_TZ=Asia/Tokyo 0 6 * * *;"})

    assert [one.schedule.text for one in found] == ["*/5 * * * *", "@daily", "CRON_TZ=Asia/Tokyo 0 6 * * *"]
    assert [one.schedule.zone for one in found] == ["UTC", "UTC", "Asia/Tokyo"]
    assert problems == ()


def test_options_are_those_of_all_its_schedules() -> None:
    (one,), problems = schedules_of(
        REF,
        cron(
            overlap="Forbid",
            catch_up="all",
            catch_up_limit="7",
            jitter="30s",
            method="put",
            path="report?day=today",
            body='{"full": true}',
        ),
    )

    assert problems == ()
    assert one.options == TickOptions(
        overlap=Overlap.FORBID,
        catch_up=CatchUp.ALL,
        catch_up_limit=7,
        jitter_s=30.0,
        method="PUT",
        path="/report?day=today",
        body='{"full": true}',
    )


@pytest.mark.parametrize("word", ["sync", "ASYNC "])
def test_function_says_whether_it_is_called_by_the_queue(word: str) -> None:
    (one,), problems = schedules_of(REF, cron() | {"com.springtide.trigger.delivery": word})

    assert (one.options.delivery, problems) == (DeliveryMode(word.strip().lower()), ())


def test_functions_without_options_share_one_value() -> None:
    (one,), _ = schedules_of(REF, cron())

    assert one.options is DEFAULT


def test_jitter_is_the_same_for_all_who_ask_and_another_for_each_function() -> None:
    delays = {
        schedules_of(FunctionRef("openfaas-fn", f"f{number}"), cron(jitter="1h"))[0][0].delay_s
        for number in range(50)
        for _ in range(2)
    }
    (one,), _ = schedules_of(REF, cron(jitter="1m"))

    assert len(delays) > 40
    assert all(0 <= delay < 3600 for delay in delays)
    assert 0 < one.delay_s < 60
    assert [one.due_after(300, 0), one.due_after(300 + one.delay_s, 0)] == [300 + one.delay_s, 600 + one.delay_s]


def test_next_tick_is_that_of_the_earliest_schedule() -> None:
    annotations = cron() | {"schedule": "0 * * * *; @every 7m"}

    assert next_due(REF, annotations, after_s=3500, anchor_s=3250) == 3600
    assert next_due(REF, annotations, after_s=3500, anchor_s=3100) == 3520
    assert next_due(REF, {}, after_s=0, anchor_s=0) is None


@pytest.mark.parametrize(
    ("annotations", "told"),
    [
        pytest.param({"schedule": "@daily"}, "add the annotation topic='cron-function'", id="no topic"),
        pytest.param({"topic": "cron-function"}, "annotation schedule: missing", id="no schedule"),
        pytest.param({"topic": "cron-function", "schedule": " ; "}, "annotation schedule: empty", id="empty"),
        pytest.param(cron() | {"schedule": "61 * * * *"}, "annotation schedule='61 * * * *': the minute", id="bad"),
        pytest.param(cron() | {"schedule": "@daily;@daily"}, "given more than once", id="twice the same"),
        pytest.param(
            cron() | {"schedule": ";".join(f"{n} * * * *" for n in range(MAX_SCHEDULES + 1))},
            f"at most {MAX_SCHEDULES}",
            id="too many",
        ),
        pytest.param(cron(overlap="skip"), "overlap='skip': write allow, forbid, replace", id="overlap"),
        pytest.param(cron(catch_up="some"), "catch-up='some': write none, last, all", id="catch-up"),
        pytest.param(cron(catch_up_limit="0"), "between 1 and 1000", id="limit of nothing"),
        pytest.param(cron(catch_up_limit="9" * 30), "between 1 and 1000", id="a huge limit"),
        pytest.param(
            cron() | {"com.springtide.trigger.delivery": "now"}, "delivery='now': write sync, async", id="delivery"
        ),
        pytest.param(cron(jitter="2h"), "write at most 1h", id="jitter"),
        pytest.param(cron(jitter="soon"), "not a duration", id="jitter that is no duration"),
        pytest.param(cron(method="BREW"), "method='BREW': write POST", id="method"),
        pytest.param(cron(path="/a b"), "a URL may have", id="a space in the path"),
        pytest.param(cron(path="/a\r\nX-Evil: 1"), "a URL may have", id="a line in the path"),
        pytest.param(cron(body="ä" * MAX_BODY_BYTES), f"write at most {MAX_BODY_BYTES}", id="body"),
        pytest.param(
            cron(body="b" * MAX_BODY_BYTES) | {f"note{n}": "n" * (MAX_ANNOTATIONS_BYTES // 4) for n in range(3)},
            "too long together",
            id="a body that would not be told",
        ),
        pytest.param(cron(overlaps="forbid"), f"is it {MINE}overlap?", id="misspelt"),
        pytest.param({MINE + "body": "x"}, "add the annotation topic", id="an option alone"),
        pytest.param({"topic": "payments", MINE + "body": "x"}, "has no effect", id="an option of another topic"),
    ],
)
def test_problem_names_key_and_remedy(annotations: dict[str, str], told: str) -> None:
    _, problems = schedules_of(REF, annotations)

    assert len(problems) == 1
    assert told in problems[0]
    assert "annotation " in problems[0]
    assert len(problems[0]) < 500


def test_all_problems_are_told_and_what_can_be_read_runs() -> None:
    found, problems = schedules_of(REF, cron(overlap="skip", jitter="2h") | {"schedule": "@daily; @hourlyy; * * * *"})

    assert [one.schedule.text for one in found] == ["@daily"]
    assert len(problems) == 4


@pytest.mark.parametrize("topic", ["payments", "cron-functions", "Cron-Function", "payments,cron-function"])
def test_schedule_of_another_topic_is_nobodys_business(topic: str) -> None:
    assert schedules_of(REF, {"topic": topic, "schedule": "whatever"}) == ((), ())


def test_what_is_given_often_is_told_once() -> None:
    _, problems = schedules_of(REF, cron() | {"schedule": "@daily;@daily;@daily"})

    assert len(problems) == 1
