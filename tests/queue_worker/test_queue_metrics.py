"""What the queue worker tells Prometheus, read as Prometheus reads it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from springtide.queue_worker import metrics as module
from springtide.queue_worker.broker_watch import QueueSeen
from springtide.queue_worker.metrics import OTHER, QueueMetrics
from springtide.scaler.core import catalogue
from springtide.scaler.core.catalogue import Metric
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.jobs.job import JobState
from tests.queue_worker.values import QUEUE, Held, a_job, lane, ref

NOW = 1_000_000.0


class Clock:
    def now(self) -> float:
        return 0.0

    def wall(self) -> float:
        return NOW


class Told:
    """The metrics of a worker that knows the functions ``there``."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.there: set[FunctionRef] = set()
        self.metrics = QueueMetrics(self.registry, queue=QUEUE, clock=Clock(), exists=lambda ref: ref in self.there)

    def value(self, metric: Metric, name: str | None = None, *, suffix: str = "", **labels: str) -> float | None:
        labels |= {"queue_name": QUEUE} if "queue_name" in metric.labels else {}
        labels |= {"function_name": name} if name is not None else {}
        return self.registry.get_sample_value(metric.name + suffix, labels)

    def names(self) -> set[str]:
        samples = [sample for family in self.registry.collect() for sample in family.samples]
        return {sample.labels["function_name"] for sample in samples if "function_name" in sample.labels}


@pytest.fixture
def told() -> Told:
    return Told()


def lease(
    name: str = "echo", *, accepted: float = NOW - 3.0, due: float = 0.0, deliveries: int = 1, again: int = 0
) -> Held:
    return Held(replace(a_job(name, accepted_at=accepted, not_before=due), round=again), [], deliveries=deliveries)


def test_job_runs_and_ends_in_its_functions_series(told: Told) -> None:
    held = lease()

    told.metrics.began(held)
    running = told.value(catalogue.JOBS_RUNNING, "echo.openfaas-fn")
    told.metrics.ended(held, JobState.DONE, 2.0)

    assert running == 1
    assert told.value(catalogue.JOBS_RUNNING, "echo.openfaas-fn") == 0
    ended = {state: told.value(catalogue.JOBS_ENDED, "echo.openfaas-fn", state=state) for state in module.ENDED}
    assert ended == {"done": 1, "failed": 0, "cancelled": 0}
    assert told.value(catalogue.JOB_RUN, "echo.openfaas-fn", suffix="_sum") == 2.0


@pytest.mark.parametrize(
    ("state", "retries"),
    [
        pytest.param(JobState.RETRYING, 1, id="that is repeated"),
        pytest.param(None, 0, id="of which nothing was stored"),
    ],
)
def test_try_does_not_end_a_job(told: Told, state: JobState | None, retries: int) -> None:
    held = lease()

    told.metrics.began(held)
    told.metrics.ended(held, state, 1.0)

    assert told.value(catalogue.JOBS_RETRIED, "echo.openfaas-fn") == retries
    assert sum(told.value(catalogue.JOBS_ENDED, "echo.openfaas-fn", state=each) or 0 for each in module.ENDED) == 0


@pytest.mark.parametrize(
    ("held", "waited"),
    [
        pytest.param(lease(accepted=NOW - 3.0), 3.0, id="from its acceptance"),
        pytest.param(lease(accepted=NOW - 600.0, due=NOW - 2.0), 2.0, id="from when it was put off to"),
        pytest.param(lease(accepted=NOW + 5.0), 0.0, id="not negative where the gateway's clock is ahead"),
        pytest.param(lease(deliveries=2), None, id="not again for a second try"),
        pytest.param(lease(again=1), None, id="not for one that was given up and put back"),
    ],
)
def test_wait_is_measured(told: Told, held: Held, waited: float | None) -> None:
    told.metrics.began(held)

    assert told.value(catalogue.JOB_WAIT, "echo.openfaas-fn", suffix="_sum") == waited


def test_backlog_is_told_by_function_whatever_the_tenant(told: Told) -> None:
    told.metrics.saw({lane("echo"): 3, lane("echo", "t1"): 4})

    assert told.value(catalogue.JOBS_PENDING, "echo.openfaas-fn") == 7


def test_function_whose_queue_is_empty_has_none_pending_for_as_long_as_it_is_there(told: Told) -> None:
    told.there.add(ref("echo"))
    told.metrics.saw({lane("echo"): 3})

    told.metrics.saw({})

    assert told.value(catalogue.JOBS_PENDING, "echo.openfaas-fn") == 0


def test_removed_function_keeps_its_series_until_its_last_job_is_gone(told: Told) -> None:
    held = lease()
    told.metrics.saw({held.job.lane: 1})
    told.metrics.began(held)

    told.metrics.saw({})
    running = told.names()
    told.metrics.ended(held, JobState.DONE, 1.0)
    told.metrics.saw({})

    assert running == {"echo.openfaas-fn"}
    assert told.names() == set()


def test_functions_beyond_the_bound_share_series(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FUNCTIONS", 2)
    third = lease("three")
    told.metrics.saw({lane(name): 1 for name in ("one", "two")})

    told.metrics.began(third)
    told.metrics.saw({lane(name): 5 for name in ("two", "three", "four")})
    pending = told.value(catalogue.JOBS_PENDING, OTHER)
    told.metrics.saw({})  # one and two go, so that there is room for a third
    told.metrics.ended(third, JobState.DONE, 1.0)

    assert pending == 5, "one's place was free for one of the two others"
    assert told.value(catalogue.JOBS_RUNNING, OTHER) == 0, "it ends under the name that it began under"
    assert told.value(catalogue.JOBS_PENDING, OTHER) is None


def test_tries_of_callbacks_are_counted_by_what_came_of_them(told: Told) -> None:
    for state in (JobState.DONE, JobState.RETRYING, JobState.RETRYING):
        told.metrics.told(state)

    counts = {name: told.value(catalogue.CALLBACKS, outcome=name) for name in module.CALLBACK_OUTCOMES.values()}
    assert counts == {catalogue.TOLD: 1, catalogue.REPEATED: 2, catalogue.GIVEN_UP: 0}


def seen(
    *,
    stores: bool = True,
    last: int = 10,
    oldest: float = 0.0,
    room: int | None = None,
    sync: float | None = None,
    lost: int | None = None,
) -> QueueSeen:
    return QueueSeen(
        stores=stores,
        last_number=last,
        oldest_at=oldest,
        dead=2,
        delayed=3,
        callbacks=4,
        stored_bytes=500,
        max_stored_bytes=room,
        sync_s=sync,
        lost_bytes=lost,
    )


def test_what_is_not_known_of_the_broker_is_not_told(told: Told) -> None:
    before = told.value(catalogue.BROKER_CONNECTED)
    told.metrics.broker_seen(seen(), reconnects=1)

    assert before is None
    assert told.value(catalogue.BROKER_CONNECTED) == 1
    shown = (catalogue.DEAD_LETTERS, catalogue.JOBS_DELAYED, catalogue.CALLBACKS_WAITING, catalogue.BROKER_STORED)
    assert [told.value(metric) for metric in shown] == [2, 3, 4, 500]
    hidden = (catalogue.OLDEST_JOB, catalogue.BROKER_ROOM, catalogue.BROKER_SYNC, catalogue.BROKER_LOST)
    assert [told.value(metric) for metric in hidden] == [None, None, None, None]
    assert told.value(catalogue.BROKER_RECONNECTS) == 1


def test_what_is_known_of_the_broker_is_told(told: Told) -> None:
    told.metrics.broker_seen(seen(oldest=77.0, room=1000, sync=0.0, lost=600), reconnects=0)

    shown = (catalogue.OLDEST_JOB, catalogue.BROKER_ROOM, catalogue.BROKER_SYNC, catalogue.BROKER_LOST)
    assert [told.value(metric) for metric in shown] == [77.0, 1000, 0.0, 600]


def test_a_broker_that_stores_nothing_is_told_as_one_that_is_away(told: Told) -> None:
    told.metrics.broker_seen(seen(stores=False), reconnects=0)

    assert told.value(catalogue.BROKER_CONNECTED) == 0
    assert told.value(catalogue.DEAD_LETTERS) == 2


def test_nothing_is_told_of_a_broker_that_is_away_but_that_it_is(told: Told) -> None:
    told.metrics.saw({lane("echo"): 3})
    told.metrics.broker_seen(seen(oldest=77.0), reconnects=0)

    told.metrics.broker_away()

    assert told.value(catalogue.BROKER_CONNECTED) == 0
    gone = (catalogue.OLDEST_JOB, catalogue.DEAD_LETTERS, catalogue.BROKER_STORED)
    assert [told.value(metric) for metric in gone] == [None, None, None]
    assert told.value(catalogue.JOBS_PENDING, "echo.openfaas-fn") is None


def test_jobs_that_came_are_counted_by_the_streams_numbers(told: Told) -> None:
    counts = []
    for last in (1000, 1007, 3):  # the last: the stream was made anew
        told.metrics.broker_seen(seen(last=last), reconnects=0)
        counts.append(told.value(catalogue.JOBS_SUBMITTED))

    assert counts == [0, 7, 10]
