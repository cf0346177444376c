"""Dead letters on a real NATS server: put back once, whatever was broken off before, and purged with their bodies."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from springtide.runtime.errors import NotFound, TooMany
from springtide.wire.jobs import names
from springtide.wire.jobs.bounds import Bounds
from springtide.wire.jobs.job import CallbackJob, DeadLetter, Job, JobState, Progress, StoredLetter
from springtide.wire.jobs.job_id import job_id
from springtide.wire.jobs.message import HEADER, encode_job
from springtide.wire.jobs.nats.broker import Broker
from springtide.wire.jobs.nats.dead import NatsDeadLetters
from springtide.wire.jobs.nats.requeue import Requeue
from springtide.wire.jobs.nats.store import NatsJobStore
from tests.nats_server import NatsServer
from tests.wire.jobs.test_nats import BODY, a_job, done, pieces, source, taken, whole


async def failed(broker: Broker, job: Job, body: bytes = b"") -> str:
    """A job that a worker has given up; its id."""
    known_as = await NatsJobStore(broker).submit(job, body)
    await fail_again(broker, job)
    return known_as


async def fail_again(broker: Broker, job: Job) -> None:
    jobs = source(broker, job.lane.queue)
    lease = await taken(jobs, job.lane)
    outcome = replace(done(503, b"no"), state=JobState.FAILED, reason="10 attempts")
    await jobs.store_outcome(lease.job, lease.id, outcome)
    await jobs.store_dead(DeadLetter(job=lease.job, outcome=outcome), lease)
    await lease.settle()


GIVEN_UP = Progress(state=JobState.FAILED, attempts=10, started_at=5.0, status=500, reason="10 times")


async def delivery(broker: Broker, known_as: str) -> Progress | None:
    found = await NatsJobStore(broker).find(known_as)
    assert found is not None
    return found.delivery


async def all_of(broker: Broker, queue: str) -> list[StoredLetter]:
    return [letter async for letter in NatsDeadLetters(broker).letters(queue)]


async def state_of(broker: Broker, known_as: str) -> JobState | None:
    found = await NatsJobStore(broker).find(known_as)
    return found.state if found else None


async def backlog(broker: Broker, queue: str) -> int:
    return sum((await source(broker, queue).backlog()).values())


async def test_letters_are_listed_in_their_order_with_the_ids_of_their_jobs(broker: Broker, queue: str) -> None:
    ids = [await failed(broker, a_job(queue), b"x" * number) for number in range(3)]
    found = await all_of(broker, queue)
    assert [(letter.id, letter.size) for letter in found] == [(known_as, n) for n, known_as in enumerate(ids)]
    assert found[0].letter.outcome.reason == "10 attempts"
    rest = [letter.id async for letter in NatsDeadLetters(broker).letters(queue, after=found[0].sequence)]
    assert rest == ids[1:]
    assert await all_of(broker, "nobody-has-it") == []


async def test_a_letter_is_shown_with_its_body(broker: Broker, queue: str) -> None:
    known_as = await failed(broker, a_job(queue), b"\x00body")
    letter, body = await NatsDeadLetters(broker).letter(known_as)
    assert (letter.id, body) == (known_as, b"\x00body")


async def test_a_letter_that_is_put_back_is_the_same_job_with_its_attempts_counted_anew(
    broker: Broker, queue: str
) -> None:
    job = a_job(queue)
    known_as = await failed(broker, job, b"body")
    began = time.time()
    await NatsDeadLetters(broker).put_back(known_as)
    assert await state_of(broker, known_as) is JobState.QUEUED
    assert await all_of(broker, queue) == []
    lease = await taken(source(broker, queue), job.lane)
    assert (lease.id, lease.deliveries, await whole(lease)) == (known_as, 1, b"body")
    assert (lease.job.token, lease.job.round) == (job.token, 1)
    assert lease.job.not_before >= began  # its age begins anew, or it would be given up at once


async def test_a_job_that_fails_again_is_a_letter_again(broker: Broker, queue: str) -> None:
    job, letters = a_job(queue), NatsDeadLetters(broker)
    known_as = await failed(broker, job)
    for round_ in (1, 2):
        await letters.put_back(known_as)
        await fail_again(broker, job)
        (letter,) = await all_of(broker, queue)
        assert (letter.id, letter.letter.job.round) == (known_as, round_)
    assert await state_of(broker, known_as) is JobState.FAILED


async def test_a_stored_body_goes_back_with_its_job(broker: Broker, queue: str) -> None:
    job = a_job(queue)
    job = replace(job, stored_body=await NatsJobStore(broker).store_body(job.token, pieces(BODY)))
    known_as = await failed(broker, job)
    assert [letter.size for letter in await all_of(broker, queue)] == [len(BODY)]
    await NatsDeadLetters(broker).put_back(known_as)
    assert await whole(await taken(source(broker, queue), job.lane)) == BODY


@pytest.mark.parametrize("step", ["noted", "queued", "noted where", "has run", "failed again"])
async def test_what_was_broken_off_is_finished_and_nothing_twice(broker: Broker, queue: str, step: str) -> None:
    """Each state that a crash can leave, long after: the broker does not know the message any more."""
    job, letters = a_job(queue), NatsDeadLetters(broker)
    known_as = await failed(broker, job, b"body")
    again = replace(job, id=known_as, round=1)
    await broker.lookup.note(job.token, queue, 0, round_=1)
    await broker.outcomes.forget(job.token)
    if step != "noted":
        jetstream = await broker.connection.jetstream()
        ack = await jetstream.publish(names.job_subject(job.lane), b"body", headers={HEADER: encode_job(again)})
        if step != "queued":
            await broker.lookup.note(job.token, queue, ack.seq, round_=1)
    if step == "has run":
        lease = await taken(source(broker, queue), job.lane)
        await broker.outcomes.store(lease.job, lease.id, done())
        await lease.settle()
    if step == "failed again":
        await fail_again(broker, job)

    if step in ("noted", "queued"):
        assert await state_of(broker, known_as) is JobState.FAILED  # lost sight of by no one
    await letters.put_back(known_as)

    assert await all_of(broker, queue) == []
    assert await backlog(broker, queue) == (0 if step == "has run" else 1)
    assert await state_of(broker, known_as) is (JobState.DONE if step == "has run" else JobState.QUEUED)


async def test_a_job_that_was_given_up_and_not_settled_is_run_in_its_new_round_alone(
    broker: Broker, queue: str
) -> None:
    job, jobs = a_job(queue), source(broker, queue)
    known_as = await NatsJobStore(broker).submit(job, b"")
    lease = await taken(jobs, job.lane)
    outcome = replace(done(503), state=JobState.FAILED)
    await jobs.store_outcome(lease.job, lease.id, outcome)
    await jobs.store_dead(DeadLetter(job=lease.job, outcome=outcome), lease)
    await NatsDeadLetters(broker).put_back(known_as)  # the worker was killed before it settled
    assert await backlog(broker, queue) == 1
    assert (await taken(jobs, job.lane)).job.round == 1
    await lease.settle()  # or was it only slow


async def test_a_letter_whose_queue_is_full_stays(server: NatsServer, queue: str) -> None:
    broker = Broker(server.settings, name="test", bounds=Bounds(max_lane_jobs=1))
    try:
        known_as = await failed(broker, a_job(queue))
        await NatsJobStore(broker).submit(a_job(queue), b"")
        with pytest.raises(TooMany):
            await NatsDeadLetters(broker).put_back(known_as)
        assert [letter.id for letter in await all_of(broker, queue)] == [known_as]
        assert await state_of(broker, known_as) is JobState.FAILED
    finally:
        await broker.aclose()


async def test_a_purged_letter_is_gone_with_its_body(broker: Broker, queue: str) -> None:
    job, letters = a_job(queue), NatsDeadLetters(broker)
    job = replace(job, stored_body=await NatsJobStore(broker).store_body(job.token, pieces(BODY)))
    known_as = await failed(broker, job)
    await letters.purge(known_as)
    assert await all_of(broker, queue) == []
    assert (await broker.streams.state("OBJ_OF_BODIES", subjects=f"$O.OF_BODIES.C.{job.token}")).subjects == {}
    for act in (letters.purge, letters.put_back):
        with pytest.raises(NotFound, match=known_as):
            await act(known_as)


@pytest.mark.parametrize("letter_id", ["no id", "00000000-0000-8000-8000-000000000000", "x-callback"])
async def test_what_is_no_letter_is_not_found(broker: Broker, letter_id: str) -> None:
    with pytest.raises(NotFound, match="no dead letter"):
        await NatsDeadLetters(broker).letter(letter_id)


async def test_a_callback_that_was_given_up_is_sent_again_as_it_was(broker: Broker, queue: str) -> None:
    jobs, job, letters = source(broker, queue), replace(a_job(queue), callback="http://x/"), NatsDeadLetters(broker)
    known_as = await failed(broker, job)
    callback = CallbackJob(job=job, id=known_as, headers=(("X-Retry", "9"), ("Content-Type", "a/b")), finished_at=3.0)
    await jobs.store_callback(callback, b"answer")
    while not (leases := await jobs.take_callbacks(1, 1.0)):
        pass
    await jobs.store_dead(DeadLetter(job=job, outcome=done(500), callback=True), leases[0])
    await jobs.tell_delivery(job.token, GIVEN_UP)
    await leases[0].settle()
    while await delivery(broker, known_as) is None:
        pass
    assert {letter.id for letter in await all_of(broker, queue)} == {known_as, f"{known_as}-callback"}

    await letters.put_back(f"{known_as}-callback")

    while not (leases := await jobs.take_callbacks(1, 1.0)):
        pass
    assert [(lease.callback, lease.body) for lease in leases] == [(callback, b"answer")]
    await leases[0].settle()
    while await delivery(broker, known_as) is not None:  # it begins anew
        pass
    assert [letter.id for letter in await all_of(broker, queue)] == [known_as]


async def test_a_callbacks_letter_that_was_thrown_away_is_told_with_its_call(broker: Broker, queue: str) -> None:
    jobs, job = source(broker, queue), replace(a_job(queue), callback="http://x/")
    known_as = await failed(broker, job)
    await jobs.store_callback(CallbackJob(job=job, id=known_as, headers=(), finished_at=3.0), b"answer")
    while not (leases := await jobs.take_callbacks(1, 1.0)):
        pass
    outcome = replace(done(500), state=JobState.FAILED, attempts=10, reason="10 times")
    await jobs.store_dead(DeadLetter(job=job, outcome=outcome, callback=True), leases[0])
    await leases[0].settle()
    await NatsDeadLetters(broker).purge(f"{known_as}-callback")
    while (told := await delivery(broker, known_as)) is None:
        pass
    assert (told.state, told.attempts, told.status, told.reason) == (JobState.CANCELLED, 10, 500, "10 times")


async def test_a_job_is_put_into_its_queue_once(broker: Broker, queue: str) -> None:
    requeue, job = Requeue(broker), a_job(queue)
    job = replace(job, id=job_id(queue, 0, job.token))
    assert await requeue.put(job, b"") is True
    assert await requeue.put(job, b"") is False
    assert await backlog(broker, queue) == 1


async def test_a_new_queue_is_seen_at_once(server: NatsServer, queue: str) -> None:
    """Another gateway may have made it a moment ago."""
    one, other = Broker(server.settings, name="one"), Broker(server.settings, name="other")
    try:
        await one.lookup.queues()
        known_as = await NatsJobStore(other).submit(a_job(queue), b"")
        assert await state_of(one, known_as) is JobState.QUEUED
    finally:
        await one.aclose()
        await other.aclose()
