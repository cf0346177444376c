"""The broker on a real NATS server: what is stored, found, taken, given up and taken away."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from nats.aio.msg import Msg

from springtide.runtime.errors import BodyTooLarge, TooMany, Unavailable
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.jobs import names
from springtide.wire.jobs.bounds import Bounds
from springtide.wire.jobs.job import (
    Answer,
    CallbackJob,
    DeadLetter,
    Job,
    JobState,
    JobStatus,
    Lane,
    Outcome,
    Progress,
)
from springtide.wire.jobs.job_id import new_token, queue_number
from springtide.wire.jobs.nats.broker import Broker
from springtide.wire.jobs.nats.listing import NatsJobList
from springtide.wire.jobs.nats.source import MAX_MADE, NatsJobSource
from springtide.wire.jobs.nats.store import NatsJobStore
from springtide.wire.jobs.ports import JobSource, Lease, Wanted
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


async def taken(jobs: JobSource, lane: Lane) -> Lease:
    """The next one of the lane; waits for it."""
    while True:
        leases = await jobs.take(lane, 1, 2.0)
        if leases:
            return leases[0]


async def test_a_lane_that_was_forgotten_is_taken_from_again(broker: Broker, queue: str) -> None:
    store, jobs, job = NatsJobStore(broker), source(broker, queue), a_job(queue)
    await store.submit(job, b"")
    await (await taken(jobs, job.lane)).hand_back(0.0)
    await (await broker.connection.jetstream()).delete_consumer(names.stream(queue), names.consumer(job.lane))
    assert [lease.job for lease in await jobs.take(job.lane, 1, 0.0)] == [job]  # at once: it is made anew
    jobs.forget(job.lane)
    jobs.forget(job.lane)


async def test_the_server_forgets_a_lane_but_not_while_a_job_of_it_is_out(broker: Broker, queue: str) -> None:
    jobs, job = NatsJobSource(broker, queue, ack_wait_s=600.0, idle_s=1.0), a_job(queue)
    await NatsJobStore(broker).submit(job, b"")
    lease = await taken(jobs, job.lane)
    jetstream, until = await broker.connection.jetstream(), time.monotonic() + 3.0
    while time.monotonic() < until:
        assert await jetstream.consumers_info(names.stream(queue))
    await lease.settle()
    while await jetstream.consumers_info(names.stream(queue)):
        pass
    assert await jobs.backlog() == {}


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


async def test_hundreds_of_new_lanes_are_made_a_few_at_a_time(
    broker: Broker, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    durable, at_once, most = broker.streams.durable, 0, 0

    async def counted(*about: Any, **more: Any) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await durable(*about, **more)
        at_once -= 1

    monkeypatch.setattr(broker.streams, "durable", counted)
    jobs, store = NatsJobSource(broker, queue, ack_wait_s=5.0), NatsJobStore(broker)
    names_ = [f"f{number}" for number in range(3 * MAX_MADE)]
    for name in names_:
        await store.submit(a_job(queue, name=name), b"")
    leases = await asyncio.gather(*(taken(jobs, a_job(queue, name=name).lane) for name in names_))
    assert {lease.job.lane.function.name for lease in leases} == set(names_)
    assert most <= MAX_MADE


async def test_a_queue_has_room_for_more_lanes_than_a_server_left_to_itself(broker: Broker, queue: str) -> None:
    stream = await broker.streams.queue(queue)
    found = await (await broker.connection.jetstream()).stream_info(stream)
    assert found.config.max_consumers == Bounds().max_lanes > 1000


async def test_callers_make_only_so_many_queues(folder: Path) -> None:
    with running(folder) as server:
        broker = Broker(server.settings, name="test", bounds=Bounds(max_queues=2))
        try:
            store = NatsJobStore(broker)
            for queue in ("one", "two", "one"):
                await store.submit(a_job(queue), b"")
            with pytest.raises(TooMany, match="three"):
                await store.submit(a_job("three"), b"")
        finally:
            await broker.aclose()


async def test_callers_who_make_queues_at_once_make_no_more_of_them(folder: Path) -> None:
    with running(folder) as server:
        broker = Broker(server.settings, name="test", bounds=Bounds(max_queues=2))
        try:
            store = NatsJobStore(broker)
            made = await asyncio.gather(
                *(store.submit(a_job(f"queue-{number}"), b"") for number in range(6)), return_exceptions=True
            )
            assert sum(isinstance(one, str) for one in made) == 2
            assert sum(isinstance(one, TooMany) for one in made) == 4
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


async def test_a_job_is_settled_whose_progress_was_lost_with_the_servers_memory(folder: Path) -> None:
    """Otherwise it would run again and again."""
    with running(folder) as server:
        broker = Broker(server.settings, name="test")
        store, jobs = NatsJobStore(broker), source(broker, "mail")
        job = a_job("mail")
        job_id = await store.submit(job, b"")
        await jobs.tell(job.token, Progress(state=JobState.RUNNING, attempts=1, started_at=1.0))
        server.kill()
        server.start()
        leases: list[Lease] = []
        while not leases:
            leases = await again(jobs, job.lane)

        await jobs.store_outcome(job, job_id, done())
        await leases[0].settle()

        assert (await jobs.backlog()).get(job.lane, 0) == 0
        await jobs.tell(job.token, Progress(state=JobState.RUNNING, attempts=2, started_at=2.0))
        while await broker.outcomes.progress(job.token) is None:  # noqa: ASYNC110 - it is told without waiting
            await asyncio.sleep(0.02)
        await broker.aclose()


async def test_how_often_a_job_was_tried_outlives_a_kill_of_the_server(folder: Path) -> None:
    """Nobody tells it again before the next try."""
    with running(folder) as server:
        broker = Broker(server.settings, name="test")
        store, jobs, listing = NatsJobStore(broker), source(broker, "mail"), NatsJobList(broker)
        job, told = a_job("mail"), replace(a_job("mail"), callback="http://x/")
        job_id, told_id = await store.submit(job, b""), await store.submit(told, b"")
        await (await taken(jobs, job.lane)).hand_back(3600.0)
        await jobs.store_outcome(told, told_id, done())
        await (await taken(jobs, job.lane)).settle()
        tried = Progress(state=JobState.RETRYING, attempts=4, started_at=1.0, next_attempt_at=9e9, status=503)
        await jobs.tell(job.token, tried)
        await jobs.tell_delivery(told.token, tried)
        while (await broker.outcomes.progress(job.token), await broker.outcomes.delivery(told.token)) != (tried, tried):
            pass

        server.kill()
        server.start()

        found: dict[str, JobStatus] = {}
        while told_id not in found:
            with contextlib.suppress(Unavailable):
                found = {status.id: status for status in (await listing.jobs(Wanted(), 10))[0]}
        assert (found[job_id].state, found[job_id].progress) == (JobState.RETRYING, tried)
        assert found[told_id].delivery == tried
        retrying, complete = await listing.jobs(Wanted(states=frozenset({JobState.RETRYING})), 10)
        assert ([status.id for status in retrying], complete) == ([job_id], True)
        await jobs.store_outcome(job, job_id, replace(done(), attempts=5))
        while await broker.outcomes.progress(job.token) is not None:
            pass
        await broker.aclose()


async def test_description_of_a_stream_that_was_damaged_is_made_anew_while_its_jobs_stay(folder: Path) -> None:
    with running(folder) as server:
        broker = Broker(server.settings, name="test")
        store, jobs = NatsJobStore(broker), source(broker, "mail")
        job_id = await store.submit(a_job("mail"), b"kept")
        await jobs.store_outcome(a_job("other"), "", done())
        server.kill()
        for file in folder.glob("data/jetstream/$G/streams/*/meta.inf"):
            file.write_text("no description")
        server.start()
        got: list[Lease] = []
        while not got:
            got = await again(jobs, a_job("mail").lane)

        assert [lease.id for lease in got] == [job_id]
        await jobs.store_outcome(got[0].job, job_id, done())
        await got[0].settle()
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


async def test_what_a_server_takes_is_what_answers_are_cut_to(folder: Path) -> None:
    """A server closes the connection on a larger message, headers counted."""
    with running(folder, also="max_payload: 256KB") as server:
        broker = Broker(server.settings, name="test")
        store, jobs, job = NatsJobStore(broker), source(broker, "mail"), a_job("mail")
        job_id = await store.submit(job, b"b" * 180 * 1024)
        lease = await taken(jobs, job.lane)
        size = jobs.max_answer()
        assert 100 * 1024 < size < 256 * 1024
        headers = tuple((f"X-{n}", "x" * 100) for n in range(100))
        outcome = replace(done(500), answer=Answer(500, headers, b"\xff" * size), state=JobState.FAILED)
        await jobs.store_outcome(job, job_id, outcome)
        await jobs.store_callback(CallbackJob(job=job, id=job_id, headers=headers, finished_at=3.0), b"\xff" * size)
        short = replace(outcome, answer=Answer(500, headers, b"\xff" * 64 * 1024))
        await jobs.store_dead(DeadLetter(job=job, outcome=short), lease)
        await lease.settle()
        assert broker.connection.reconnects == 0
        (depth,) = (await store.depths()).queues
        assert (depth.dead, depth.lanes) == (1, {})
        await broker.aclose()


@pytest.mark.parametrize("delay_s", [0.0, 3600.0])
async def test_job_larger_than_the_server_takes_is_refused_with_the_bound(folder: Path, delay_s: float) -> None:
    with running(folder, also="max_payload: 256KB") as server:
        broker = Broker(server.settings, name="test")
        store, job = NatsJobStore(broker), a_job("mail")
        job = replace(job, not_before=time.time() + delay_s if delay_s else 0.0)
        for body in (bytes(230 * 1024), bytes(10 * 1024 * 1024)):
            with pytest.raises(BodyTooLarge, match=r"may have 229376 .* messages of 262144: max_payload: 8MB in its"):
                await store.submit(job, body)
        assert await store.submit(job, bytes(200 * 1024))
        assert broker.connection.reconnects == 0
        await broker.aclose()


async def test_answer_whose_headers_leave_no_room_is_kept_without_them(folder: Path) -> None:
    with running(folder, also="max_payload: 64KB") as server:
        broker = Broker(server.settings, name="test")
        store, jobs, job = NatsJobStore(broker), source(broker, "mail"), a_job("mail")
        job_id = await store.submit(job, b"")
        headers = tuple((f"X-{n}", "x" * 1000) for n in range(60))
        outcome = replace(done(200), answer=Answer(200, headers, b"body" * 10_000))

        await jobs.store_outcome(job, job_id, outcome)

        status = await store.find(job_id)
        assert status is not None
        assert status.outcome is not None
        assert status.outcome.answer == Answer(200, (), b"", truncated=True)
        await broker.aclose()


async def test_job_of_a_new_queue_is_found_beside_an_older_one_of_the_same_number(broker: Broker) -> None:
    """An id tells the number of its queue, of which there are few: what was known a moment ago is not all there is."""
    first = f"q{new_token()}"
    second = next(name for name in map(str, itertools.count()) if queue_number(f"r{name}") == queue_number(first))
    store = NatsJobStore(broker)
    ids = [await store.submit(a_job(first), b"")]
    assert await store.find(ids[0]) is not None

    ids.append(await store.submit(a_job(f"r{second}"), b""))

    found = [await store.find(job_id) for job_id in ids]
    assert [status and status.job.lane.queue for status in found] == [first, f"r{second}"]
    removed = await store.remove(ids[1])
    assert removed is not None
    assert removed.state is JobState.CANCELLED


async def test_job_whose_removal_is_broken_off_is_not_gone_without_an_outcome(folder: Path) -> None:
    with running(folder) as server:
        broker = Broker(server.settings, name="test")
        store, job = NatsJobStore(broker), a_job("mail")
        job_id = await store.submit(job, b"")
        client = await broker.connection.client()
        seen, over = list[str](), asyncio.Event()

        async def hear(message: Msg) -> None:
            if message.subject.startswith((f"$KV.{names.RESULTS}.", "$JS.API.STREAM.MSG.DELETE.", "over")):
                seen.append(message.subject.split(".")[0])
            if message.subject == "over":
                over.set()

        await client.subscribe(">", cb=hear)
        await store.remove(job_id)
        await client.publish("over")
        await over.wait()

        assert seen == ["$KV", "$JS", "over"]
        await broker.aclose()
