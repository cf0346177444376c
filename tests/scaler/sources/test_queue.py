"""Functions that follow their backlog, in virtual time: what jobs make of replicas, and what is not known."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from springtide.runtime.errors import Unavailable, Unsupported
from springtide.scaler.core import targets
from springtide.scaler.core.loads import Load
from springtide.scaler.core.observation import Level
from springtide.scaler.core.targets import Unit
from springtide.scaler.core.vocabulary import FunctionRef, Instant, NoData, Reason, Unmeasured
from springtide.scaler.sources.queue import DEADLINE_S, MAX_AGE_S, QueuedJobs
from tests.loops import virtual_loop
from tests.scaler.fault_stage import Stage, followed

pytestmark = pytest.mark.virtual_time

ECHO, OTHER = FunctionRef("openfaas-fn", "echo"), FunctionRef("openfaas-fn", "other")
QUEUE = Load(targets.QUEUE, "queue", 5.0, Unit.MESSAGES)
RPS = Load(targets.RPS, "rps", 50.0, Unit.CALLS_PER_SECOND)


class ScriptedQueues:
    """Answers with ``jobs``, or fails, or hangs."""

    def __init__(self, jobs: Mapping[FunctionRef, int]) -> None:
        self.jobs, self.asked, self.hangs = dict(jobs), 0, False
        self.failure: Exception | None = None

    async def pending(self) -> Mapping[FunctionRef, int]:
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure
        return dict(self.jobs)


def wall() -> Instant:
    return Instant(virtual_loop().clock.wall())


async def look(source: QueuedJobs, *, seconds: float = 0.0) -> dict[tuple[FunctionRef, str], Level | NoData]:
    """What is known after so long, the loop asking each second as it does."""
    for _ in range(int(seconds)):
        source.levels({ECHO: [QUEUE], OTHER: [RPS, QUEUE]}, wall())
        await asyncio.sleep(1)
    return source.levels({ECHO: [QUEUE], OTHER: [RPS, QUEUE]}, wall())


async def test_level_is_the_count_of_jobs_and_one_that_is_not_named_has_none() -> None:
    queues = ScriptedQueues({ECHO: 17})
    source = QueuedJobs(queues)
    first = await look(source)
    found = await look(source, seconds=3)
    await source.aclose()

    assert all(isinstance(level, NoData) for level in first.values()), "nothing is known before the first answer"
    assert found.keys() == {(ECHO, "queue"), (OTHER, "queue")}
    levels = [level for level in found.values() if isinstance(level, Level)]
    assert [level.value for level in levels] == [17, 0]
    assert all(0 <= wall() - level.at <= 1 for level in levels)


async def test_queues_are_asked_once_a_second_whoever_wants_to_know() -> None:
    queues = ScriptedQueues({})
    source = QueuedJobs(queues)
    for _ in range(100):
        source.levels({ECHO: [QUEUE], OTHER: [QUEUE]}, wall())
        await asyncio.sleep(0.1)
    await source.aclose()

    assert 9 <= queues.asked <= 10


async def test_nobody_is_asked_without_such_a_load() -> None:
    queues = ScriptedQueues({})
    source = QueuedJobs(queues)
    for _ in range(10):
        assert source.levels({ECHO: [RPS]}, wall()) == {}
        await asyncio.sleep(1)

    assert queues.asked == 0


async def test_a_broker_that_is_away_makes_counts_unknown_and_not_zero() -> None:
    queues = ScriptedQueues({ECHO: 17})
    source = QueuedJobs(queues)
    await look(source, seconds=3)
    queues.failure = Unavailable("the queue's server at nats://nats:4222 is away")
    soon = (await look(source, seconds=2))[ECHO, "queue"]
    later = (await look(source, seconds=MAX_AGE_S))[ECHO, "queue"]
    never = (await look(source, seconds=0))[OTHER, "queue"]
    queues.failure = None
    again = (await look(source, seconds=2))[ECHO, "queue"]
    await source.aclose()

    assert isinstance(soon, Level), "one answer that fails to come is no gap"
    assert later == NoData(
        "its jobs were last counted more than 5 s ago; the queue's server at nats://nats:4222 is away"
    )
    assert isinstance(never, NoData)
    assert isinstance(again, Level)


async def test_a_gateway_that_hangs_is_named_and_asked_again() -> None:
    queues = ScriptedQueues({ECHO: 17})
    queues.hangs = True
    source = QueuedJobs(queues)
    hung = (await look(source, seconds=DEADLINE_S + 1))[ECHO, "queue"]
    queues.hangs = False
    again = (await look(source, seconds=DEADLINE_S + 2))[ECHO, "queue"]
    await source.aclose()

    assert hung == NoData("the gateway did not tell within 3 s")
    assert isinstance(again, Level)


async def test_without_a_broker_nobody_measures_it() -> None:
    queues = ScriptedQueues({})
    queues.failure = Unsupported("asynchronous calls need a NATS server, and none is set")
    source = QueuedJobs(queues)
    level = (await look(source, seconds=2))[ECHO, "queue"]
    await source.aclose()

    assert level == Unmeasured("asynchronous calls need a NATS server, and none is set")


# Under the loop: ten jobs for each replica.


def changes(stage: Stage) -> list[int]:
    return [after for before, after in zip(stage.counts, stage.counts[1:], strict=False) if after != before]


async def test_a_function_grows_with_its_backlog_and_shrinks_when_that_is_done() -> None:
    async with followed("queue") as stage:
        stage.answers.load = 60.0
        await asyncio.sleep(5)
        grown = stage.wanted
        stage.answers.load = 0.0
        await asyncio.sleep(300)

    assert grown == 60
    assert stage.wanted == 1


async def test_a_sleeping_function_stays_asleep_until_its_first_job_wakes_it_and_then_follows_the_rest() -> None:
    async with followed("queue") as stage:
        stage.answers.load = 0.0
        await stage.set(0)
        await asyncio.sleep(60)
        stage.answers.load = 40.0
        await asyncio.sleep(30)
        assert stage.wanted == 0, "whoever runs the first job wakes it, by its call"

        await stage.set(1)
        await asyncio.sleep(5)

    assert stage.wanted == 40
    assert changes(stage)[-2:] == [1, 40]


async def test_where_there_is_no_queue_functions_are_left_alone_and_that_is_no_alert() -> None:
    def held_s(reason: Reason) -> float | None:
        named = {"function_name": "echo.openfaas-fn", "reason": reason.value}
        return stage.registry.get_sample_value("springtide_function_hold_seconds", named)

    async with followed("queue") as stage:
        stage.answers.begin("no queues")
        await asyncio.sleep(600)
        told = stage.told.all[-1]
        unmeasured = {held_s(reason) for reason in Reason}
        stage.answers.begin("errors")
        await asyncio.sleep(60)
        broken = held_s(Reason.NO_DATA)

    assert stage.counts == [20]
    assert (stage.told.all[-1].reason, told.reason) == (Reason.NO_DATA, Reason.UNMEASURED)
    assert told.detail == "queue: there are no queues here"
    assert unmeasured == {None}
    assert broken == pytest.approx(59, abs=3)
