"""Several copies of the worker: together they take what a function has room for, and no more."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from springtide.queue_worker.copies import decoded, encoded
from springtide.queue_worker.service import QueueWorkerDeps, Work
from springtide.queue_worker.settings import QueueWorkerSettings
from springtide.queue_worker.sharing import LEASE_S, MAX_DEAF_S, Said
from springtide.runtime.clock import SystemClock
from springtide.wire.endpoint_stream import Endpoint, Event, FunctionEndpoints, Snapshot
from springtide.wire.jobs.job import Answer
from springtide.wire.jobs.nats.broker import Broker
from springtide.wire.jobs.nats.hearing import NatsCopyChannel
from springtide.wire.jobs.nats.source import NatsJobSource
from springtide.wire.jobs.nats.store import NatsJobStore
from springtide.wire.jobs.ports import CallbackLease, Lease
from tests.nats_server import running
from tests.provider.process.world import eventually
from tests.queue_worker.values import QUEUE, a_job, ref
from tests.queue_worker.world import ACK_WAIT_S, Unseen, World, takes


@pytest.mark.virtual_time
async def test_two_copies_take_the_room_together_and_no_more(world: World) -> None:
    world.functions.deploy("echo", takes(1.0), replicas=10, limit=5)
    workers = [world.worker(), world.worker()]
    await asyncio.sleep(2.0)
    began = world.loop.time()
    ids = await world.post(count=500)
    await asyncio.sleep(0.5)
    assert [worker.work.dispatch.running for worker in workers] == [25, 25]
    await world.ended(*ids)
    assert world.functions.most["echo"] == 50
    assert world.loop.time() - began <= 1.1 * 500 / 50
    assert len(world.functions.runs) == 500


@pytest.mark.virtual_time
async def test_a_copy_that_comes_later_gets_its_part_as_jobs_end(world: World) -> None:
    world.functions.deploy("echo", takes(10.0), replicas=2, limit=5)
    first = world.worker()
    ids = await world.post(count=100)
    await asyncio.sleep(5.0)
    later = world.worker()
    await asyncio.sleep(4.0)
    assert (first.work.dispatch.running, later.work.dispatch.running) == (10, 0)
    await asyncio.sleep(5.0)
    assert (first.work.dispatch.running, later.work.dispatch.running) == (5, 5)
    await world.ended(*ids)
    assert world.functions.most["echo"] == 10


@pytest.mark.virtual_time
async def test_two_copies_wake_a_function_with_one_job(world: World) -> None:
    world.functions.deploy("echo", takes(60.0), replicas=0)
    world.worker()
    world.worker()
    await world.post(count=20)
    await asyncio.sleep(30.0)
    assert world.functions.in_flight["echo"] == 1


@pytest.mark.virtual_time
async def test_the_part_of_a_copy_that_is_stopped_is_the_others_at_once(world: World) -> None:
    world.functions.deploy("echo", takes(1.0), replicas=1, limit=10)
    one, other = world.worker(), world.worker()
    await world.post(count=1000)
    await asyncio.sleep(5.0)
    await other.stop()
    await asyncio.sleep(1.0)
    assert one.work.dispatch.running == 10


@pytest.mark.virtual_time
async def test_a_copy_takes_nothing_while_it_is_saying_that_it_leaves(world: World) -> None:
    world.functions.deploy("echo", takes(1.0))
    worker = world.worker()
    await asyncio.sleep(2.0)
    world.broker.saying_s = 1.0
    stopping = asyncio.create_task(worker.stop())
    await asyncio.sleep(0.1)
    await world.post(count=5)
    await stopping
    assert world.functions.runs == []


@pytest.mark.virtual_time
async def test_the_part_of_a_copy_that_is_killed_is_the_others_soon_and_its_jobs_when_its_leases_end(
    world: World,
) -> None:
    world.functions.deploy("echo", takes(1.0), replicas=1, limit=10)
    one, other = world.worker(), world.worker()
    await world.post(count=5000)
    await asyncio.sleep(5.0)
    await other.kill()
    await asyncio.sleep(LEASE_S + 2.0)
    assert one.work.dispatch.running >= 5
    await asyncio.sleep(ACK_WAIT_S)
    assert one.work.dispatch.running == 10
    assert world.functions.most["echo"] == 10


@pytest.mark.virtual_time
async def test_where_copies_cannot_hear_one_another_jobs_go_out_all_the_same(world: World) -> None:
    world.broker.silent = True
    world.functions.deploy("echo", takes(1.0))
    world.worker()
    (job_id,) = await world.post()
    await world.ended(job_id)
    assert world.loop.time() == pytest.approx(MAX_DEAF_S + 1.0, abs=2.1)


@pytest.mark.virtual_time
async def test_jobs_go_on_after_the_broker_was_away(world: World) -> None:
    world.functions.deploy("echo", takes(1.0), replicas=1, limit=10)
    world.worker()
    world.worker()
    await asyncio.sleep(2.0)
    world.broker.away = True
    await asyncio.sleep(60.0)
    world.broker.away = False
    began = world.loop.time()
    await world.ended(*await world.post(count=100))
    assert world.loop.time() - began <= 10.0 + 4.0
    assert world.functions.most["echo"] == 10


def test_what_a_copy_says_is_read_as_it_was_written() -> None:
    said = Said(copy="one", number=7, heard={"other": 3}, holds={"openfaas-fn/echo": 2}, leaving=True)
    assert decoded(encoded(said)) == said


@pytest.mark.parametrize("text", [b"", b"[]", b'{"v":1}', b"\xff", json.dumps({"v": 2, "copy": "x"}).encode()])
def test_what_no_copy_says_is_passed_over(text: bytes) -> None:
    assert decoded(text) is None


class Room:
    """A function of so many replicas that each take five calls at once; beyond that it answers 429."""

    def __init__(self, replicas: int) -> None:
        self._replicas = replicas
        self.in_flight = self.most = 0
        self.calls: Counter[str] = Counter()
        self.refused = 0

    async def watch_endpoints(self) -> AsyncGenerator[Event]:
        there = tuple(Endpoint(f"echo-{n}", "127.0.0.1", 9000 + n, 5) for n in range(self._replicas))
        yield Snapshot((FunctionEndpoints(ref("echo"), self._replicas, "1", there),))
        await asyncio.Event().wait()

    async def call(self, lease: Lease) -> Answer:
        if self.in_flight >= 5 * self._replicas:
            self.refused += 1
            return Answer(429)
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        self.calls[lease.job.token] += 1
        try:
            await asyncio.sleep(random.uniform(0.0, 0.05))
        finally:
            self.in_flight -= 1
        return Answer(200)


class NobodyTold:
    async def tell(self, lease: CallbackLease) -> Answer:
        raise AssertionError(lease)


def a_worker(broker: Broker, room: Room) -> Work:
    deps = QueueWorkerDeps(
        source=NatsJobSource(broker, QUEUE, ack_wait_s=ACK_WAIT_S),
        copies=NatsCopyChannel(broker.connection, QUEUE),
        broker=Unseen(),
        endpoints=room,
        caller=room,
        teller=NobodyTold(),
        clock=SystemClock(),
        chance=random.random,
        registry=CollectorRegistry(),
        version="1",
    )
    return Work(QueueWorkerSettings(queue=QUEUE, ack_wait_s=ACK_WAIT_S), deps)


async def test_copies_over_a_real_server_are_never_refused_for_want_of_room(tmp_path: Path) -> None:
    """One of them comes while the other is in the middle of it, and one goes."""
    room = Room(replicas=3)
    with running(tmp_path / "nats", sync="2m") as server:
        brokers = [Broker(server.settings, name=name) for name in ("gateway", "one", "other")]
        store = NatsJobStore(brokers[0])
        jobs = [a_job("echo") for _ in range(1000)]
        await asyncio.gather(*(store.submit(job, b"") for job in jobs))
        one, later = (a_worker(broker, room) for broker in brokers[1:])
        first = asyncio.gather(one.follow(), one.run())
        await eventually(lambda: len(room.calls) >= 200)
        second = asyncio.gather(later.follow(), later.run())
        await eventually(lambda: later.dispatch.running)
        assert len(room.calls) < len(jobs)
        await eventually(lambda: len(room.calls) >= 800)
        await one.drain(30.0)
        first.cancel()
        await eventually(lambda: len(room.calls) == len(jobs))
        await later.drain(30.0)
        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        for broker in brokers:
            await broker.aclose()
    assert room.refused == 0
    assert room.most == 15
    assert set(room.calls.values()) == {1}
