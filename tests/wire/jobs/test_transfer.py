"""A queue from one NATS server to another: all of it, once, under the ids that callers have."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springtide.runtime.errors import BadInput
from springtide.wire.jobs import names
from springtide.wire.jobs.job import CallbackJob, DeadLetter, JobState, StoredBody
from springtide.wire.jobs.message import HEADER, encode_job
from springtide.wire.jobs.nats.broker import Broker
from springtide.wire.jobs.nats.dead import NatsDeadLetters
from springtide.wire.jobs.nats.store import NatsJobStore
from springtide.wire.jobs.nats.transfer import NatsTransfer
from springtide.wire.jobs.ports import TakenIn
from springtide.wire.jobs.transfer_lines import (
    Broken,
    End,
    JobLine,
    LetterLine,
    Line,
    Piece,
    decode_line,
    encode_line,
)
from tests.nats_server import NatsServer, running
from tests.wire.jobs.test_dead import backlog, failed, state_of
from tests.wire.jobs.test_nats import BODY, a_job, done, pieces, source, taken, whole
from tests.wire.jobs.written import JOBS, OUTCOMES


@pytest.fixture(scope="module")
def other_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with running(tmp_path_factory.mktemp("other")) as server:
        yield server


@pytest.fixture
@asynccontextmanager
async def other(other_server: NatsServer) -> AsyncIterator[Broker]:
    broker = Broker(other_server.settings, name="other")
    yield broker
    await broker.aclose()


async def exported(broker: Broker, queue: str) -> list[Line]:
    return [line async for line in NatsTransfer(broker).export(queue)]


async def brought(broker: Broker, lines: Sequence[Line]) -> TakenIn:
    async def all_of() -> AsyncGenerator[Line]:
        for line in lines:
            yield line

    return await NatsTransfer(broker).take_in(all_of())


@given(
    st.builds(JobLine, JOBS, st.binary(max_size=50), st.integers(0, 2**40))
    | st.builds(
        LetterLine,
        st.builds(DeadLetter, job=JOBS, outcome=OUTCOMES, callback=st.booleans()),
        st.binary(max_size=50),
        st.none() | st.builds(CallbackJob, job=JOBS, id=st.text(), headers=st.just(()), finished_at=st.floats(0, 2e9)),
    )
    | st.builds(Piece, st.binary(max_size=50))
    | st.builds(End, st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
    | st.builds(Broken, st.text())
)
def test_a_line_is_read_as_it_was_written(line: Line) -> None:
    text = encode_line(line)
    assert text.count(b"\n") == 1
    assert decode_line(text) == line


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b'{"v":2,"kind":"end"}',
        b'{"v":1,"kind":"cow"}',
        b'{"v":1,"kind":"job"}',
        b'{"v":1,"kind":"piece","data":"?"}',
    ],
)
def test_what_is_no_line_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_line(text)


async def test_jobs_go_over_with_bodies_and_ids(broker: Broker, other: Broker, queue: str) -> None:
    store, job, large = NatsJobStore(broker), a_job(queue), a_job(queue)
    job_id = await store.submit(job, b"\x00body")
    large = replace(large, stored_body=await store.store_body(large.token, pieces(BODY)))
    large_id = await store.submit(large, b"")
    delayed_id = await store.submit(a_job(queue, not_before=time.time() + 3600), b"later")
    middle_id = await store.submit(a_job(queue), BODY[:300_000])
    lines = await exported(broker, queue)
    assert lines[-1] == End(4, 0)
    assert max(len(encode_line(line)) for line in lines) < 200_000
    assert await brought(other, lines) == TakenIn(4, 0, 0)
    states = [await state_of(other, known_as) for known_as in (job_id, large_id, delayed_id)]
    assert states == [JobState.QUEUED, JobState.QUEUED, JobState.DELAYED]
    leases = [await taken(source(other, queue), job.lane) for _ in range(3)]
    expected = {job_id: b"\x00body", large_id: BODY, middle_id: BODY[:300_000]}
    assert {lease.id: await whole(lease) for lease in leases} == expected
    assert await backlog(broker, queue) == 3  # nothing was taken away


async def test_jobs_keep_their_order(broker: Broker, other: Broker, queue: str) -> None:
    store = NatsJobStore(broker)
    ids = [await store.submit(a_job(queue), b"x" * (200_000 if number == 50 else 1)) for number in range(100)]
    lines = await exported(broker, queue)
    assert [line.job.id for line in lines if isinstance(line, JobLine)] == ids
    assert await brought(other, lines) == TakenIn(100, 0, 0)
    jobs, lane = source(other, queue), a_job(queue).lane
    assert [lease.id for lease in await jobs.take(lane, 100, 0.0)] == ids


async def test_dead_letters_go_over_and_can_be_put_back_there(broker: Broker, other: Broker, queue: str) -> None:
    job = a_job(queue)
    job = replace(job, stored_body=await NatsJobStore(broker).store_body(job.token, pieces(BODY)))
    job_id = await failed(broker, job)
    jobs, told = source(broker, queue), replace(a_job(queue), callback="http://x/")
    callback = CallbackJob(
        job=told, id=await NatsJobStore(broker).submit(told, b""), headers=(("A", "b"),), finished_at=1.0
    )
    await jobs.store_callback(callback, b"answer")
    while not (leases := await jobs.take_callbacks(1, 1.0)):
        pass
    await jobs.store_dead(DeadLetter(job=told, outcome=done(500), callback=True), leases[0])
    await leases[0].settle()

    lines = await exported(broker, queue)
    assert lines[-1] == End(1, 2)
    assert await brought(other, lines) == TakenIn(1, 2, 0)

    letters = NatsDeadLetters(other)
    assert {letter.id async for letter in letters.letters(queue)} == {job_id, f"{callback.id}-callback"}
    await letters.put_back(f"{callback.id}-callback")
    while not (leases := await source(other, queue).take_callbacks(1, 1.0)):
        pass
    assert (leases[0].callback, leases[0].body) == (callback, b"answer")
    await leases[0].settle()
    await letters.put_back(job_id)
    got = [await taken(source(other, queue), job.lane) for _ in range(2)]
    assert {lease.id: await whole(lease) for lease in got} == {callback.id: b"", job_id: BODY}


async def test_an_import_that_is_repeated_adds_nothing(broker: Broker, other: Broker, queue: str) -> None:
    store = NatsJobStore(broker)
    jobs = [a_job(queue) for _ in range(3)]
    jobs[1] = replace(jobs[1], stored_body=await store.store_body(jobs[1].token, pieces(BODY)))
    await failed(broker, a_job(queue))
    for job in jobs:
        await store.submit(job, b"")
    await store.submit(a_job(queue, not_before=time.time() + 3600), b"")
    lines = await exported(broker, queue)
    await brought(other, lines)
    lease = await taken(source(other, queue), jobs[0].lane)
    await source(other, queue).store_outcome(lease.job, lease.id, done())
    await lease.settle()  # one has run meanwhile

    assert await brought(other, lines) == TakenIn(0, 0, 5)
    assert await backlog(other, queue) == 2
    lease = await taken(source(other, queue), jobs[0].lane)
    assert lease.job.token == jobs[1].token
    assert await whole(lease) == BODY


async def test_an_import_that_broke_off_between_storing_and_noting_is_finished(
    broker: Broker, other: Broker, queue: str
) -> None:
    job = a_job(queue)
    job = replace(job, id=await NatsJobStore(broker).submit(job, b"body"))
    lines = await exported(broker, queue)
    await other.streams.queue(queue)
    await other.lookup.note(job.token, queue, 0)
    jetstream = await other.connection.jetstream()
    for _ in range(2):  # so that its place is not the one that its id tells
        await jetstream.publish(names.job_subject(job.lane), b"", headers={HEADER: encode_job(a_job(queue))})
    await jetstream.publish(names.job_subject(job.lane), b"body", headers={HEADER: encode_job(job)})
    assert await state_of(other, job.id) is None
    assert await brought(other, lines) == TakenIn(0, 0, 1)
    assert await backlog(other, queue) == 3
    assert await state_of(other, job.id) is JobState.QUEUED


async def test_a_job_whose_body_is_gone_is_left_out_and_counted(broker: Broker, queue: str) -> None:
    store, job = NatsJobStore(broker), a_job(queue)
    job = replace(job, stored_body=await store.store_body(job.token, pieces(BODY)))
    await store.submit(job, b"")
    await broker.bodies.discard(job.token)
    await store.submit(a_job(queue), b"")
    lines = await exported(broker, queue)
    assert [type(line) for line in lines] == [JobLine, End]
    assert lines[-1] == End(1, 0, unreadable=1)


async def test_a_file_that_makes_no_sense_brings_nothing_of_it_in(broker: Broker, queue: str) -> None:
    job = a_job(queue)
    known = replace(job, id="00000000-0000-8000-8000-000000000000")
    right = replace(job, id=await NatsJobStore(broker).submit(a_job(queue), b""))
    with pytest.raises(BadInput, match="is not that of its token"):
        await brought(broker, [JobLine(known, b"")])
    with pytest.raises(BadInput, match="is not that of its token"):
        await brought(broker, [JobLine(right, b"")])
    with pytest.raises(BadInput, match="stands behind no job"):
        await brought(broker, [Piece(b"x")])
    cut = replace(a_job(queue), stored_body=StoredBody("other", 5))
    cut = replace(cut, id=await NatsJobStore(broker).submit(cut, b""))
    await source(broker, queue).take(cut.lane, 9, 0.0)
    jetstream = await broker.connection.jetstream()
    await jetstream.purge_stream(names.stream(queue))
    with pytest.raises(BadInput, match="cut off"):
        await brought(broker, [JobLine(cut, b"", 5), Piece(b"xx")])
    with pytest.raises(BadInput, match="not behind its job"):
        await brought(broker, [JobLine(cut, b"")])
    with pytest.raises(BadInput, match="too large for a message"):
        await brought(broker, [JobLine(replace(cut, stored_body=None), b"", 2**30)])
    assert await backlog(broker, queue) == 0
