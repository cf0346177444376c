"""The broker on a real NATS server: what is stored, found, taken, given up and taken away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from springtide.runtime.errors import TooMany, Unavailable
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.jobs.job import (
    Answer,
    CallbackJob,
    DeadLetter,
    Job,
    JobState,
    Lane,
    Outcome,
    Progress,
)
from springtide.wire.jobs.job_id import new_token, place_of
from springtide.wire.jobs.nats.broker import Broker
from springtide.wire.jobs.nats.source import NatsJobSource
from springtide.wire.jobs.nats.store import NatsJobStore
from springtide.wire.jobs.nats.streams import Bounds
from springtide.wire.jobs.ports import Claim, Lease
from tests.nats_server import NatsServer, running

ECHO = FunctionRef("openfaas-fn", "echo")
BODY = bytes(range(256)) * 3000
"""More than half a megabyte, so several chunks."""


def a_job(queue: str, *, name: str = "echo", not_before: float = 0.0) -> Job:
    return Job(
        token=new_token(),
        lane=Lane(queue, FunctionRef("openfaas-fn", name)),
        method="POST",
        path="/rest",
        query="a=b",
        headers=(("Content-Type", "text/plain"), ("X-Latin", "\xe4\xff")),
        accepted_at=1000.5,
        not_before=not_before,
    )


def done(status: int = 200, body: bytes = b"answer") -> Outcome:
    answer = Answer(status, (("Content-Type", "text/plain"),), body)
    return Outcome(state=JobState.DONE, attempts=1, started_at=1.0, finished_at=2.0, answer=answer)


def source(broker: Broker, queue: str) -> NatsJobSource:
    return NatsJobSource(broker, queue, ack_wait_s=5.0)


async def whole(lease: Lease) -> bytes:
    return b"".join([piece async for piece in lease.body()])


async def taken(jobs: NatsJobSource, lane: Lane) -> Lease:
    """The next one of the lane; waits for it."""
    while True:
        leases = await jobs.take(lane, 1, 2.0)
        if leases:
            return leases[0]


async def test_a_job_is_taken_as_it_was_stored(broker: Broker, queue: str) -> None:
    job = a_job(queue)
    job_id = await NatsJobStore(broker).submit(job, b"\x00body")
    lease = await taken(source(broker, queue), job.lane)
    assert (lease.job, lease.id, lease.attempt) == (job, job_id, 1)
    assert await whole(lease) == b"\x00body"


async def test_a_queued_job_is_found_by_its_id_and_gone_once_settled(broker: Broker, queue: str) -> None:
    store, jobs, job = NatsJobStore(broker), source(broker, queue), a_job(queue)
    job_id = await store.submit(job, b"")
    found = await store.find(job_id)
    assert found is not None
    assert (found.job, found.state) == (job, JobState.QUEUED)
    lease = await taken(jobs, job.lane)
    await jobs.store_outcome(job, job_id, done())
    await lease.settle()
    found = await store.find(job_id)
    assert found is not None
    assert (found.state, found.outcome) == (JobState.DONE, done())
    assert await jobs.backlog() == {}


async def test_the_same_job_stored_twice_is_one(broker: Broker, queue: str) -> None:
    store, job = NatsJobStore(broker), a_job(queue)
    assert await store.submit(job, b"x") == await store.submit(job, b"x")
    assert await source(broker, queue).backlog() == {job.lane: 1}


async def test_progress_is_shown_while_a_job_runs(broker: Broker, queue: str) -> None:
    store, jobs, job = NatsJobStore(broker), source(broker, queue), a_job(queue)
    job_id = await store.submit(job, b"")
    running_now = Progress(state=JobState.RUNNING, attempts=2, started_at=5.0)
    await jobs.tell(job.token, running_now)
    found = await store.find(job_id)
    while found is None or found.state is not JobState.RUNNING:  # told, not stored: it comes a moment later
        found = await store.find(job_id)
    assert found.progress == running_now


async def test_a_job_handed_back_comes_again_as_the_next_attempt(broker: Broker, queue: str) -> None:
    jobs, job = source(broker, queue), a_job(queue)
    await NatsJobStore(broker).submit(job, b"")
    await (await taken(jobs, job.lane)).hand_back(0.2)
    assert await jobs.take(job.lane, 1, 0.0) == []
    assert (await taken(jobs, job.lane)).attempt == 2


async def test_lanes_are_taken_from_by_themselves(broker: Broker, queue: str) -> None:
    store, jobs = NatsJobStore(broker), source(broker, queue)
    one, other = a_job(queue, name="one"), a_job(queue, name="other")
    for job in (one, one, other):
        await store.submit(replace(job, token=new_token()), b"")
    assert await jobs.backlog() == {one.lane: 2, other.lane: 1}
    assert [lease.job.lane for lease in await jobs.take(one.lane, 10, 0.0)] == [one.lane, one.lane]
    assert [lease.job.lane for lease in await jobs.take(other.lane, 10, 0.0)] == [other.lane]


async def test_a_lane_that_was_forgotten_is_taken_from_again(broker: Broker, queue: str) -> None:
    store, jobs, job = NatsJobStore(broker), source(broker, queue), a_job(queue)
    await store.submit(job, b"")
    await (await taken(jobs, job.lane)).hand_back(0.0)
    other = source(broker, queue)
    await other.forget(job.lane)  # jobs' own consumer is gone, and it does not know
    assert (await taken(jobs, job.lane)).job == job
    await jobs.forget(job.lane)
    await jobs.forget(job.lane)


async def test_who_waits_for_a_job_is_told_that_it_came(broker: Broker, queue: str) -> None:
    store, jobs, job = NatsJobStore(broker), source(broker, queue), a_job(queue)
    rings = jobs.rings()
    ring = asyncio.ensure_future(anext(rings))
    while not ring.done():  # the first may come before the subscription
        await store.submit(replace(job, token=new_token()), b"")
        await asyncio.wait([ring], timeout=0.05)
    assert ring.result() == job.lane
    await rings.aclose()


async def test_a_delayed_job_waits_for_its_time_and_keeps_its_id(broker: Broker, queue: str) -> None:
    store, jobs = NatsJobStore(broker), source(broker, queue)
    job = a_job(queue, not_before=time.time() + 1.5)
    job_id = await store.submit(job, b"later")
    found = await store.find(job_id)
    assert found is not None
    assert found.state is JobState.DELAYED
    assert (await store.depths()).delayed >= 1
    assert await jobs.backlog() == {}
    while not await jobs.move_due(10, 1.0):
        pass
    assert time.time() >= job.not_before - 1.0
    lease = await taken(jobs, job.lane)
    assert (lease.id, lease.job.token, await whole(lease)) == (job_id, job.token, b"later")
    found = await store.find(job_id)
    assert found is not None
    assert found.state is JobState.QUEUED


async def test_a_large_body_is_stored_apart_and_goes_with_its_job(broker: Broker, queue: str) -> None:
    store, jobs, job = NatsJobStore(broker), source(broker, queue), a_job(queue)
    body = await store.store_body(job.token, pieces(BODY))
    assert body.size == len(BODY)
    await store.submit(replace(job, stored_body=body), b"")
    lease = await taken(jobs, job.lane)
    assert await whole(lease) == BODY
    object_store = await (await broker.connection.jetstream()).object_store("OF_BODIES")
    assert (await object_store.get(job.token)).data == BODY  # as the client's own tools read it
    await lease.settle()
    assert (await broker.streams.state("OBJ_OF_BODIES", subjects=f"$O.OF_BODIES.C.{job.token}")).subjects == {}


async def test_a_body_that_breaks_off_leaves_nothing(broker: Broker) -> None:
    token = new_token()

    async def broken() -> AsyncIterator[bytes]:
        yield BODY
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await broker.bodies.store(token, broken())
    assert (await broker.streams.state("OBJ_OF_BODIES", subjects=f"$O.OF_BODIES.C.{token}")).subjects == {}


async def test_a_queued_job_can_be_taken_away(broker: Broker, queue: str) -> None:
    store, jobs, job = NatsJobStore(broker), source(broker, queue), a_job(queue)
    job_id = await store.submit(job, b"")
    removed = await store.remove(job_id)
    assert removed is not None
    assert removed.state is JobState.CANCELLED
    assert await jobs.take(job.lane, 1, 0.0) == []
    assert await store.find(job_id) == removed
    assert await store.remove(job_id) == removed


async def test_a_delayed_job_can_be_taken_away(broker: Broker, queue: str) -> None:
    store, job = NatsJobStore(broker), a_job(queue, not_before=time.time() + 3600)
    job_id = await store.submit(job, b"")
    removed = await store.remove(job_id)
    assert removed is not None
    assert removed.state is JobState.CANCELLED


async def test_a_running_job_is_not_taken_away_but_its_worker_told(broker: Broker, queue: str) -> None:
    store, jobs, job = NatsJobStore(broker), source(broker, queue), a_job(queue)
    job_id = await store.submit(job, b"")
    await jobs.tell(job.token, Progress(state=JobState.RUNNING, attempts=1, started_at=5.0))
    status = await store.find(job_id)
    while status is None or status.state is not JobState.RUNNING:
        status = await store.find(job_id)
    assert await store.remove(job_id) == status
    stops = jobs.stops()
    heard = asyncio.ensure_future(anext(stops))
    while not heard.done():
        await store.stop_running(job_id)
        await asyncio.wait([heard], timeout=0.05)
    assert heard.result() == job.token
    await stops.aclose()


async def test_nobody_has_heard_of_other_ids(broker: Broker, queue: str) -> None:
    store = NatsJobStore(broker)
    job_id = await store.submit(a_job(queue), b"")
    other = str(place_of(job_id))
    assert await store.find(other) is None
    last = "0" if job_id[-1] != "0" else "1"
    assert await store.find(job_id[:-1] + last) is None  # the place of another job
    assert await store.remove(job_id[:-1] + last) is None


async def test_the_end_of_a_job_is_waited_for(broker: Broker, queue: str) -> None:
    store, jobs, job = NatsJobStore(broker), source(broker, queue), a_job(queue)
    job_id = await store.submit(job, b"")
    waits = asyncio.ensure_future(store.ended(job_id, 100.0))
    await asyncio.sleep(0)
    await jobs.store_outcome(job, job_id, done())
    ended = await waits
    assert ended is not None
    assert ended.state is JobState.DONE


async def test_a_key_is_whose_that_claimed_it_first(broker: Broker, queue: str) -> None:
    store = NatsJobStore(broker)
    first, second = (Claim(new_token(), "digest", float(at)) for at in (1, 2))
    assert await store.claim(f"{queue} key \x00", first) == first
    assert await store.claim(f"{queue} key \x00", second) == first
    await store.confirm(f"{queue} key \x00", first._replace(id="an id"))
    assert (await store.claim(f"{queue} key \x00", second)).id == "an id"


async def test_a_job_whose_claim_was_not_confirmed_is_found(broker: Broker, queue: str) -> None:
    store, since = NatsJobStore(broker), time.time()
    job, later = a_job(queue), a_job(queue, not_before=since + 3600)
    await store.submit(a_job(queue), b"before it")
    job_id = await store.submit(job, b"")
    later_id = await store.submit(later, b"")
    assert await store.stored_under(job.lane, job.token, since) == job_id
    assert await store.stored_under(later.lane, later.token, since) == later_id
    assert await store.stored_under(job.lane, new_token(), since) == ""


async def test_what_was_given_up_is_kept_whole(broker: Broker, queue: str) -> None:
    store, jobs, job = NatsJobStore(broker), source(broker, queue), a_job(queue)
    body = await store.store_body(job.token, pieces(BODY))
    job = replace(job, stored_body=body)
    job_id = await store.submit(job, b"")
    lease = await taken(jobs, job.lane)
    letter = DeadLetter(job=job, outcome=done(500))
    await jobs.store_dead(letter, lease)
    await jobs.store_dead(letter, lease)  # repeated after a crash
    await lease.settle()
    depth = next(depth for depth in (await store.depths()).queues if depth.queue == queue)
    assert (depth.dead, depth.lanes) == (1, {})
    assert b"".join([piece async for piece in broker.bodies.read(body)]) == BODY
    found = await store.find(job_id)
    assert found is not None
    assert found.state is JobState.FAILED


async def test_a_callback_is_taken_as_it_was_stored(broker: Broker, queue: str) -> None:
    jobs, job = source(broker, queue), a_job(queue)
    callback = CallbackJob(job=job, id="an id", headers=(("A", "b"),), finished_at=3.0)
    await jobs.store_callback(callback, b"answer")
    while not (leases := await jobs.take_callbacks(10, 1.0)):
        pass
    assert [(lease.callback, lease.body, lease.attempt) for lease in leases] == [(callback, b"answer", 1)]
    for lease in leases:
        await lease.settle()


async def test_a_full_lane_refuses_and_others_do_not(server: NatsServer, queue: str) -> None:
    broker = Broker(server.settings, name="test", bounds=Bounds(max_lane_jobs=1))
    try:
        store = NatsJobStore(broker)
        await store.submit(a_job(queue), b"")
        with pytest.raises(TooMany, match="full"):
            await store.submit(a_job(queue), b"")
        await store.submit(a_job(queue, name="other"), b"")
    finally:
        await broker.aclose()


async def test_what_was_accepted_outlives_a_kill_and_the_connection_comes_back(folder: Path) -> None:
    with running(folder) as server:
        broker = Broker(server.settings, name="test")
        store, jobs = NatsJobStore(broker), source(broker, "mail")
        ids = [await store.submit(a_job("mail"), str(number).encode()) for number in range(20)]
        lane = a_job("mail").lane
        await jobs.take(lane, 5, 0.0)  # out when the server dies
        server.kill()
        with pytest.raises(Unavailable):
            await store.submit(a_job("mail"), b"")
        server.start()
        got: dict[str, bytes] = {}
        while len(got) < 20:
            for lease in await again(jobs, lane):
                got[lease.id] = await whole(lease)
        assert got == {job_id: str(number).encode() for number, job_id in enumerate(ids)}
        await broker.aclose()


async def test_a_server_that_is_not_there_is_named(folder: Path) -> None:
    server = NatsServer(folder)
    broker = Broker(server.settings, name="test")
    with pytest.raises(Unavailable, match=str(server.port)):
        await NatsJobStore(broker).submit(a_job("mail"), b"")
    await broker.aclose()


async def again(jobs: NatsJobSource, lane: Lane) -> list[Lease]:
    """Through the time in which the server is not there yet."""
    try:
        return list(await jobs.take(lane, 10, 1.0))
    except Unavailable:
        await asyncio.sleep(0.05)
        return []


async def pieces(body: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(body), 50_000):
        yield body[at : at + 50_000]
