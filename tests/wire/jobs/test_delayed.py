"""Of any number of delayed jobs the nearest are told, each once it is there, none that is gone."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from springtide.runtime.errors import Unavailable
from springtide.scaler.core.delayed_calls import DelayedCalls
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.jobs import names
from springtide.wire.jobs.job import Lane
from springtide.wire.jobs.nats.broker import Broker
from springtide.wire.jobs.nats.delayed import MAX_OF_FUNCTION, NatsDelayedCalls
from springtide.wire.jobs.nats.store import NatsJobStore
from tests.nats_server import NatsServer
from tests.wire.jobs.test_nats import a_job

QUEUE = "delayed-queue"
MANY = 10_000


@dataclass(frozen=True)
class Place:
    """``now`` is an hour ahead, so that nothing is due before a slow machine has looked."""

    broker: Broker
    now: float

    async def put_off(self, name: str, *seconds: float) -> list[str]:
        store, lane = NatsJobStore(self.broker), Lane(QUEUE, FunctionRef("openfaas-fn", name))
        jobs = [replace(a_job(QUEUE, not_before=self.now + after), lane=lane) for after in seconds]
        ids: list[str] = []
        for begin in range(0, len(jobs), 64):  # each is synced, and none may wait for long
            ids += await asyncio.gather(*(store.submit(job, b"body") for job in jobs[begin : begin + 64]))
        return ids

    def seconds(self, calls: DelayedCalls) -> dict[str, list[int]]:
        """From now, by function."""
        return {ref.name: [round(at - self.now) for at in due] for ref, due in calls.due.items()}


@pytest.fixture
@asynccontextmanager
async def place(server: NatsServer) -> AsyncIterator[Place]:
    broker = Broker(server.settings, name="test")
    stream = await broker.streams.delayed()
    await (await broker.connection.jetstream()).delete_stream(stream)
    broker.streams.forget(stream)
    yield Place(broker, time.time() + 3600.0)
    await broker.aclose()


async def test_where_nothing_was_put_off_that_is_known(place: Place) -> None:
    assert await NatsDelayedCalls(place.broker).nearest(MANY) == DelayedCalls({}, math.inf)


async def test_nearest_come_first_whatever_was_put_off_first(place: Place) -> None:
    index = NatsDelayedCalls(place.broker)
    await place.put_off("late", 900, 300)
    await place.put_off("soon", 60, 600)

    calls = await index.nearest(MANY)
    assert (place.seconds(calls), calls.until) == ({"late": [300, 900], "soon": [60, 600]}, math.inf)
    calls = await index.nearest(2)
    assert (place.seconds(calls), round(calls.until - place.now)) == ({"late": [300], "soon": [60]}, 600)


async def test_what_comes_later_is_read_and_what_was_cancelled_is_gone(place: Place) -> None:
    index = NatsDelayedCalls(place.broker)
    first, _ = await place.put_off("a", 100, 200)
    await index.nearest(MANY)

    await place.put_off("a", 50)
    await NatsJobStore(place.broker).remove(first)

    assert place.seconds(await index.nearest(MANY)) == {"a": [50, 200]}


async def test_each_message_is_read_once(place: Place) -> None:
    index, client = NatsDelayedCalls(place.broker), await place.broker.connection.client()
    await place.put_off("a", *range(100, 200))
    messages = []
    for _ in range(3):
        before = client.stats["in_msgs"]
        await index.nearest(MANY)
        messages.append(client.stats["in_msgs"] - before)

    assert messages[0] > 100
    assert max(messages[1:]) < 10


async def test_of_many_the_nearest_are_kept_and_the_others_once_these_are_gone(place: Place) -> None:
    index = NatsDelayedCalls(place.broker, max_kept=20)
    soon = await place.put_off("soon", *range(100, 120))
    await place.put_off("late", *range(2000, 2030))

    calls = await index.nearest(MANY)
    assert list(place.seconds(calls)) == ["soon"]
    assert round(calls.until - place.now) == 2000
    for job in soon:
        await NatsJobStore(place.broker).remove(job)
    index._known = [due._replace(at=0.0) for due in index._known]  # as if their time had come

    assert list(place.seconds(await index.nearest(MANY))) == ["late"]


async def test_many_hide_nobody(place: Place) -> None:
    await place.put_off("much", *(3600 + number for number in range(1500)))
    await place.put_off("hidden", 30)

    calls = await NatsDelayedCalls(place.broker).nearest(MANY)

    assert place.seconds(calls)["hidden"] == [30]
    assert len(calls.due[FunctionRef("openfaas-fn", "much")]) == MAX_OF_FUNCTION


async def test_several_within_a_second_are_one_instant(place: Place) -> None:
    await place.put_off("a", 100, 100.2, 100.9, 101.5)

    assert place.seconds(await NatsDelayedCalls(place.broker).nearest(MANY)) == {"a": [100, 102]}


async def test_server_that_began_anew_is_read_from_its_beginning(place: Place) -> None:
    index = NatsDelayedCalls(place.broker)
    await place.put_off("a", 100, 200)
    await index.nearest(MANY)
    await (await place.broker.connection.jetstream()).delete_stream(names.DELAYED)
    place.broker.streams.forget(names.DELAYED)
    await place.put_off("b", 100, 200, 300)

    assert list(place.seconds(await index.nearest(MANY))) == ["b"]


async def test_broker_that_is_away_is_not_known(tmp_path_factory: pytest.TempPathFactory) -> None:
    gone = NatsServer(tmp_path_factory.mktemp("gone"))
    broker = Broker(gone.settings, name="test")
    with pytest.raises(Unavailable):
        await NatsDelayedCalls(broker).nearest(MANY)
    await broker.aclose()
