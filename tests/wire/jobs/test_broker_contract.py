"""What every broker is asked of: the one on a real NATS server, and that in memory which tests of the worker have."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from springtide.runtime.errors import NotFound, TooMany
from springtide.wire.jobs.bounds import Bounds
from springtide.wire.jobs.job import CallbackJob, DeadLetter, JobState, JobStatus, Progress
from springtide.wire.jobs.job_id import new_token, place_of
from springtide.wire.jobs.nats.broker import Broker
from springtide.wire.jobs.nats.source import NatsJobSource
from springtide.wire.jobs.nats.store import NatsJobStore
from springtide.wire.jobs.ports import Claim, JobSource, JobStore
from tests.fakes.jobs import MemoryBroker, MemoryJobSource, MemoryJobStore
from tests.loops import virtual_loop
from tests.nats_server import NatsServer
from tests.wire.jobs.test_nats import BODY, a_job, done, pieces, taken, whole

ACK_WAIT_S = 5.0
MAX_LANE_JOBS = 10


@dataclass(frozen=True, slots=True)
class Kept:
    """A broker from both of its sides. ``source`` has one for a queue and for how long a lease lasts."""

    store: JobStore
    source: Callable[..., JobSource]
    wall: Callable[[], float]
    """Seconds since 1970."""


@pytest.fixture(params=["nats", pytest.param("memory", marks=pytest.mark.virtual_time)])
@asynccontextmanager
async def kept(request: pytest.FixtureRequest) -> AsyncIterator[Kept]:
    if request.param == "memory":
        clock = virtual_loop().clock
        memory = MemoryBroker(clock, max_lane_jobs=MAX_LANE_JOBS)

        def in_memory(queue: str, ack_wait_s: float = ACK_WAIT_S) -> JobSource:
            return MemoryJobSource(memory, queue, ack_wait_s=ack_wait_s)

        yield Kept(MemoryJobStore(memory), in_memory, clock.wall)
        return
    server: NatsServer = request.getfixturevalue("server")
    broker = Broker(server.settings, name="test", bounds=Bounds(max_lane_jobs=MAX_LANE_JOBS))

    def on_nats(queue: str, ack_wait_s: float = ACK_WAIT_S) -> JobSource:
        return NatsJobSource(broker, queue, ack_wait_s=ack_wait_s)

    yield Kept(NatsJobStore(broker), on_nats, time.time)
    await broker.aclose()


async def test_a_job_is_taken_as_it_was_stored(kept: Kept, queue: str) -> None:
    job = a_job(queue)
    job_id = await kept.store.submit(job, b"\x00body")
    lease = await taken(kept.source(queue), job.lane)
    assert (lease.job, lease.id, lease.deliveries) == (job, job_id, 1)
    assert await whole(lease) == b"\x00body"


async def test_a_queued_job_is_found_by_its_id_and_gone_once_settled(kept: Kept, queue: str) -> None:
    store, jobs, job = kept.store, kept.source(queue), a_job(queue)
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


async def test_the_same_job_stored_twice_is_one(kept: Kept, queue: str) -> None:
    store, job = kept.store, a_job(queue)
    assert await store.submit(job, b"x") == await store.submit(job, b"x")
    assert await kept.source(queue).backlog() == {job.lane: 1}


async def test_progress_is_shown_while_a_job_runs(kept: Kept, queue: str) -> None:
    store, jobs, job = kept.store, kept.source(queue), a_job(queue)
    job_id = await store.submit(job, b"")
    running_now = Progress(state=JobState.RUNNING, attempts=2, started_at=5.0)
    await jobs.tell(job.token, running_now)
    found = await store.find(job_id)
    while found is None or found.state is not JobState.RUNNING:  # told, not stored: it comes a moment later
        found = await store.find(job_id)
    assert found.progress == running_now


async def told(kept: Kept, job_id: str, what: Callable[[JobStatus], Progress | None]) -> Progress:
    """What is told, and not stored, comes a moment later."""
    while True:
        found = await kept.store.find(job_id)
        if found is not None and (progress := what(found)) is not None:
            return progress


async def test_a_try_is_newer_than_the_failure_of_the_one_before(kept: Kept, queue: str) -> None:
    store, jobs, job = kept.store, kept.source(queue), a_job(queue)
    job_id = await store.submit(job, b"")
    failed = Progress(state=JobState.RETRYING, attempts=1, started_at=5.0, next_attempt_at=15.0, status=503)
    again = Progress(state=JobState.RUNNING, attempts=2, started_at=15.0)
    failed_again = replace(failed, attempts=2, status=502)
    for progress in (replace(failed, state=JobState.RUNNING), failed, again, failed_again):
        await jobs.tell(job.token, progress)
        while await told(kept, job_id, lambda status: status.progress) != progress:
            pass


async def test_a_job_cancelled_between_two_tries_says_after_how_many(kept: Kept, queue: str) -> None:
    store, jobs, job = kept.store, kept.source(queue), a_job(queue)
    job_id = await store.submit(job, b"")
    lease = await taken(jobs, job.lane)
    await jobs.tell(job.token, Progress(state=JobState.RETRYING, attempts=2, started_at=5.0, next_attempt_at=9e9))
    await told(kept, job_id, lambda status: status.progress)
    await lease.hand_back(3600.0)
    removed = await store.remove(job_id)
    assert removed is not None
    assert removed.outcome is not None
    assert removed.outcome.attempts == 2
    assert removed.outcome.reason == "it was cancelled after 2 attempts, while it waited for the next"


async def test_telling_a_caller_is_shown_with_the_job_that_has_ended(kept: Kept, queue: str) -> None:
    store, jobs, job = kept.store, kept.source(queue), replace(a_job(queue), callback="http://x/")
    job_id = await store.submit(job, b"")
    tried = Progress(state=JobState.RETRYING, attempts=3, started_at=5.0, next_attempt_at=15.0, status=500)
    lease = await taken(jobs, job.lane)
    found = await store.find(job_id)
    assert found is not None
    assert (found.tells, found.delivery) == (False, None)
    await jobs.store_outcome(job, job_id, done())
    await lease.settle()
    found = await store.find(job_id)
    assert found is not None
    assert (found.tells, found.delivery) == (True, None)
    for progress in (tried, replace(tried, state=JobState.FAILED, next_attempt_at=0.0, reason="10 times")):
        await jobs.tell_delivery(job.token, progress)
        while await told(kept, job_id, lambda status: status.delivery) != progress:
            pass


async def test_a_job_handed_back_comes_again(kept: Kept, queue: str) -> None:
    jobs, job = kept.source(queue), a_job(queue)
    await kept.store.submit(job, b"")
    await (await taken(jobs, job.lane)).hand_back(0.5)
    handed_back = kept.wall()
    assert (await taken(jobs, job.lane)).deliveries == 2
    assert kept.wall() - handed_back > 0.4


async def test_calls_that_were_begun_are_counted_and_not_how_often_a_job_was_given_out(kept: Kept, queue: str) -> None:
    jobs, job = kept.source(queue), a_job(queue)
    running_now = Progress(state=JobState.RUNNING, attempts=1, started_at=5.0)
    await jobs.tell(new_token(), running_now)  # from the first that is told on, all is remembered
    job_id = await kept.store.submit(job, b"")
    await (await taken(jobs, job.lane)).hand_back(0.0)
    lease = await taken(jobs, job.lane)
    assert (lease.deliveries, await jobs.begun(lease)) == (2, 0)
    await jobs.tell(job.token, running_now)
    await told(kept, job_id, lambda status: status.progress)
    await lease.hand_back(0.0)
    lease = await taken(jobs, job.lane)
    assert (lease.deliveries, await jobs.begun(lease)) == (3, 1)


async def test_lanes_are_taken_from_by_themselves(kept: Kept, queue: str) -> None:
    store, jobs = kept.store, kept.source(queue)
    one, other = a_job(queue, name="one"), a_job(queue, name="other")
    for job in (one, one, other):
        await store.submit(replace(job, token=new_token()), b"")
    assert await jobs.backlog() == {one.lane: 2, other.lane: 1}
    assert [lease.job.lane for lease in await jobs.take(one.lane, 10, 0.0)] == [one.lane, one.lane]
    assert [lease.job.lane for lease in await jobs.take(other.lane, 10, 0.0)] == [other.lane]


async def test_who_waits_for_a_job_is_told_that_it_came(kept: Kept, queue: str) -> None:
    store, jobs, job = kept.store, kept.source(queue), a_job(queue)
    rings = jobs.rings()
    ring = asyncio.ensure_future(anext(rings))
    while not ring.done():  # the first may come before the subscription
        await store.submit(replace(job, token=new_token()), b"")
        await asyncio.wait([ring], timeout=0.05)
    assert ring.result() == job.lane
    await rings.aclose()


async def test_a_delayed_job_waits_for_its_time_and_keeps_its_id(kept: Kept, queue: str) -> None:
    store, jobs = kept.store, kept.source(queue)
    job = a_job(queue, not_before=kept.wall() + 1.5)
    job_id = await store.submit(job, b"later")
    found = await store.find(job_id)
    assert found is not None
    assert found.state is JobState.DELAYED
    assert (await store.depths()).delayed >= 1
    assert await jobs.backlog() == {}
    while not await jobs.move_due(10, 1.0):
        pass
    assert kept.wall() >= job.not_before - 1.0
    lease = await taken(jobs, job.lane)
    assert (lease.id, lease.job.token, await whole(lease)) == (job_id, job.token, b"later")
    found = await store.find(job_id)
    assert found is not None
    assert found.state is JobState.QUEUED


async def test_a_queued_job_can_be_taken_away(kept: Kept, queue: str) -> None:
    store, jobs, job = kept.store, kept.source(queue), a_job(queue)
    job_id = await store.submit(job, b"")
    removed = await store.remove(job_id)
    assert removed is not None
    assert removed.state is JobState.CANCELLED
    assert await jobs.take(job.lane, 1, 0.0) == []
    assert await store.find(job_id) == removed
    assert await store.remove(job_id) == removed


async def test_a_delayed_job_can_be_taken_away(kept: Kept, queue: str) -> None:
    store, job = kept.store, a_job(queue, not_before=kept.wall() + 3600)
    job_id = await store.submit(job, b"")
    removed = await store.remove(job_id)
    assert removed is not None
    assert removed.state is JobState.CANCELLED


async def test_a_running_job_is_not_taken_away_but_its_worker_told(kept: Kept, queue: str) -> None:
    store, jobs, job = kept.store, kept.source(queue), a_job(queue)
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


async def test_a_job_that_was_forbidden_has_an_outcome_for_the_next_worker(kept: Kept, queue: str) -> None:
    store, jobs, job = kept.store, kept.source(queue), a_job(queue)
    job_id = await store.submit(job, b"")
    await store.forbid(job_id)
    outcome = await jobs.outcome(job)
    assert outcome is not None
    assert outcome.state is JobState.CANCELLED
    await jobs.store_outcome(job, job_id, done())  # a worker that ran it all the same
    await store.forbid(job_id)
    assert await jobs.outcome(job) == done()


async def test_nobody_has_heard_of_other_ids(kept: Kept, queue: str) -> None:
    store = kept.store
    job_id = await store.submit(a_job(queue), b"")
    other = str(place_of(job_id))
    assert await store.find(other) is None
    last = "0" if job_id[-1] != "0" else "1"
    assert await store.find(job_id[:-1] + last) is None  # the place of another job
    assert await store.remove(job_id[:-1] + last) is None


async def test_the_end_of_a_job_is_waited_for(kept: Kept, queue: str) -> None:
    store, jobs, job = kept.store, kept.source(queue), a_job(queue)
    job_id = await store.submit(job, b"")
    waits = asyncio.ensure_future(store.ended(job_id, 100.0))
    await asyncio.sleep(0)
    await jobs.store_outcome(job, job_id, done())
    ended = await waits
    assert ended is not None
    assert ended.state is JobState.DONE


async def test_a_key_is_whose_that_claimed_it_first(kept: Kept, queue: str) -> None:
    store = kept.store
    first, second = (Claim(new_token(), "digest", float(at)) for at in (1, 2))
    assert await store.claimed(f"{queue} key \x00") is None
    assert await store.claim(f"{queue} key \x00", first) == first
    assert await store.claim(f"{queue} key \x00", second) == first
    await store.confirm(f"{queue} key \x00", first._replace(id="an id"))
    assert (await store.claim(f"{queue} key \x00", second)).id == "an id"
    assert await store.claimed(f"{queue} key \x00") == first._replace(id="an id")


async def test_a_job_whose_claim_was_not_confirmed_is_found(kept: Kept, queue: str) -> None:
    store, since = kept.store, kept.wall()
    job, later = a_job(queue), a_job(queue, not_before=since + 3600)
    await store.submit(a_job(queue), b"before it")
    job_id = await store.submit(job, b"")
    later_id = await store.submit(later, b"")
    assert await store.stored_under(job.lane, job.token, since) == job_id
    assert await store.stored_under(later.lane, later.token, since) == later_id
    assert await store.stored_under(job.lane, new_token(), since) == ""


async def test_a_callback_is_taken_as_it_was_stored(kept: Kept, queue: str) -> None:
    jobs, job = kept.source(queue), a_job(queue)
    callback = CallbackJob(job=job, id="an id", headers=(("A", "b"),), finished_at=3.0)
    await jobs.store_callback(callback, b"answer")
    while not (leases := await jobs.take_callbacks(10, 1.0)):
        pass
    assert [(lease.callback, lease.body, lease.attempt) for lease in leases] == [(callback, b"answer", 1)]
    for lease in leases:
        await lease.settle()


async def test_a_lease_that_is_not_extended_ends(kept: Kept, queue: str) -> None:
    jobs, job = kept.source(queue, 1.0), a_job(queue)
    await kept.store.submit(job, b"")
    assert (await taken(jobs, job.lane)).deliveries == 1
    lost = kept.wall()
    assert (await taken(jobs, job.lane)).deliveries == 2
    assert kept.wall() - lost > 0.8


async def test_a_settled_job_is_not_taken_again(kept: Kept, queue: str) -> None:
    jobs, job = kept.source(queue), a_job(queue)
    await kept.store.submit(job, b"")
    lease = await taken(jobs, job.lane)
    await lease.settle()
    assert await jobs.backlog() == {}
    assert await jobs.take(job.lane, 1, 0.5) == []


async def test_an_outcome_is_that_of_its_round(kept: Kept, queue: str) -> None:
    """A job that was put back is not taken for ended because it had failed before."""
    jobs, job = kept.source(queue), a_job(queue)
    assert await jobs.outcome(job) is None
    await jobs.store_outcome(job, "an id", done(500))
    assert await jobs.outcome(job) == done(500)
    assert await jobs.outcome(replace(job, round=1)) is None


async def test_a_full_lane_refuses_and_others_do_not(kept: Kept, queue: str) -> None:
    for _ in range(MAX_LANE_JOBS):
        await kept.store.submit(a_job(queue), b"")
    with pytest.raises(TooMany, match="full"):
        await kept.store.submit(a_job(queue), b"")
    await kept.store.submit(a_job(queue, name="other"), b"")


async def test_a_due_job_waits_until_its_queue_has_room(kept: Kept, queue: str) -> None:
    jobs, job = kept.source(queue), a_job(queue, not_before=kept.wall() + 1.0)
    job_id = await kept.store.submit(job, b"later")
    others = [replace(job, token=new_token(), not_before=0.0) for _ in range(MAX_LANE_JOBS)]
    for other in others:
        await kept.store.submit(other, b"")
    while kept.wall() < job.not_before + 1.0:
        assert await jobs.move_due(10, 1.0) == 0
    found = await kept.store.find(job_id)
    assert found is not None
    assert found.state is JobState.DELAYED
    await (await taken(jobs, job.lane)).settle()
    while not await jobs.move_due(10, 1.0):
        pass
    assert await jobs.backlog() == {job.lane: MAX_LANE_JOBS}


async def test_a_letter_has_the_job_whole_and_is_one_however_often_it_is_stored(kept: Kept, queue: str) -> None:
    store, jobs, job = kept.store, kept.source(queue), a_job(queue)
    job = replace(job, stored_body=await store.store_body(job.token, pieces(BODY)))
    job_id = await store.submit(job, b"")
    lease = await taken(jobs, job.lane)
    outcome = replace(done(503), state=JobState.FAILED)
    for _ in range(2):
        await jobs.store_dead(DeadLetter(job=job, outcome=outcome), lease)
    await lease.settle()
    (depth,) = [depth for depth in (await store.depths()).queues if depth.queue == queue]
    assert (depth.dead, depth.lanes) == (1, {})
    found = await store.find(job_id)
    assert found is not None
    assert (found.state, found.outcome, found.job.token) == (JobState.FAILED, outcome, job.token)
    assert await whole(lease) == BODY  # the stored body is the letter's now


async def test_a_stored_body_goes_with_its_job(kept: Kept, queue: str) -> None:
    store, jobs, job = kept.store, kept.source(queue), a_job(queue)
    job = replace(job, stored_body=await store.store_body(job.token, pieces(BODY)))
    await store.submit(job, b"")
    lease = await taken(jobs, job.lane)
    assert (await whole(lease), lease.size) == (BODY, len(BODY))
    await lease.settle()
    with pytest.raises(NotFound):
        await whole(lease)


async def test_a_callback_handed_back_comes_again(kept: Kept, queue: str) -> None:
    jobs, job = kept.source(queue), a_job(queue)
    await jobs.store_callback(CallbackJob(job=job, id="an id", headers=(), finished_at=3.0), b"answer")
    for attempt in (1, 2):
        while not (leases := await jobs.take_callbacks(10, 1.0)):
            pass
        (lease,) = leases
        assert lease.attempt == attempt
        await (lease.hand_back(0.1) if attempt == 1 else lease.settle())
