"""What a server that dies and comes back leaves behind, and what is stored at once."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from springtide.runtime.errors import Unavailable
from springtide.wire.jobs import names
from springtide.wire.jobs.job import Job, JobState, Progress
from springtide.wire.jobs.job_id import new_token
from springtide.wire.jobs.nats.broker import Broker
from springtide.wire.jobs.nats.connection import REQUEST_S
from springtide.wire.jobs.nats.source import LOOK_EVERY, STRANDED_AFTER, NatsJobSource
from springtide.wire.jobs.nats.store import NatsJobStore
from springtide.wire.jobs.ports import Lease
from tests.nats_server import NatsServer, running
from tests.wire.jobs.test_nats import a_job, done, source, taken

pytestmark = pytest.mark.uvloop
"""As the processes do that lose their server; the other tests here are told of what is left open."""


@pytest.fixture
def own_server(folder: Path) -> Iterator[NatsServer]:
    with running(folder) as server:
        yield server


@pytest.fixture
@asynccontextmanager
async def own_broker(own_server: NatsServer) -> AsyncIterator[Broker]:
    broker = Broker(own_server.settings, name="test")
    yield broker
    await broker.aclose()


async def answering(broker: Broker) -> None:
    """Until the server has answered: what was said before is done."""
    while True:
        try:
            await broker.streams.names()
        except Unavailable:
            await asyncio.sleep(0.05)
        else:
            return


async def settled(jobs: NatsJobSource, lease: Lease) -> None:
    """As a worker does it: a server that was killed before it noted that it gave the job out gives it out anew, and
    knows nothing of this lease."""
    while True:
        try:
            await lease.settle()
        except Unavailable:
            lease = await taken(jobs, lease.job.lane)
        else:
            return


async def test_a_job_is_settled_by_whoever_had_it_when_the_server_died(
    own_server: NatsServer, own_broker: Broker, queue: str
) -> None:
    """What it had in memory only, how jobs are getting on, is gone then."""
    jobs, job = source(own_broker, queue), a_job(queue)
    job_id = await NatsJobStore(own_broker).submit(job, b"")
    lease = await taken(jobs, job.lane)
    await jobs.tell(job.token, Progress(state=JobState.RUNNING, attempts=1, started_at=1.0))
    own_server.kill()
    own_server.start()
    await answering(own_broker)

    await jobs.store_outcome(job, job_id, done())
    await settled(jobs, lease)

    status = await NatsJobStore(own_broker).find(job_id)
    assert status is not None
    assert status.state is JobState.DONE
    assert not await jobs.backlog()


def halted(pid: int) -> bool:
    states = [(task / "stat").read_text().rpartition(")")[2].split()[0] for task in Path(f"/proc/{pid}/task").iterdir()]
    return set(states) == {"T"}


async def test_whoever_waits_for_an_answer_is_told_at_once_that_the_server_died(
    own_server: NatsServer, own_broker: Broker, queue: str
) -> None:
    store = NatsJobStore(own_broker)
    await store.submit(a_job(queue), b"")
    os.kill(own_server.pid, signal.SIGSTOP)
    while not halted(own_server.pid):  # noqa: ASYNC110 - a thread of it may answer still
        await asyncio.sleep(0.01)
    storing = [asyncio.create_task(store.submit(a_job(queue), b"")) for _ in range(3)]
    await asyncio.wait(storing, timeout=0.1)
    began = asyncio.get_running_loop().time()
    own_server.kill()

    for one in await asyncio.gather(*storing, return_exceptions=True):
        assert isinstance(one, Unavailable)
    assert asyncio.get_running_loop().time() - began < REQUEST_S / 2


async def test_a_stream_that_somebody_removed_is_made_anew(broker: Broker, queue: str) -> None:
    store = NatsJobStore(broker)
    await store.submit(a_job(queue), b"")
    await (await broker.connection.jetstream()).delete_stream(f"OF_{queue}")
    job_id = await store.submit(a_job(queue), b"")
    status = await store.find(job_id)
    assert status is not None
    assert status.state is JobState.QUEUED


async def test_jobs_that_come_at_once_ring_once_and_one_that_comes_later_again(broker: Broker, queue: str) -> None:
    store, heard, job = NatsJobStore(broker), source(broker, queue).rings(), a_job(queue)
    first = asyncio.create_task(anext(heard))
    await answering(broker)
    await asyncio.gather(*(store.submit(replace(job, token=new_token()), b"") for _ in range(20)))
    assert await first == job.lane
    assert await anext(heard) == job.lane
    others = asyncio.create_task(anext(heard))
    await answering(broker)
    assert not others.done()
    await store.submit(replace(job, token=new_token()), b"")
    assert await others == job.lane


async def removal_lost(server: NatsServer, broker: Broker, folder: Path, job: Job) -> str:
    """The stream's files are put back to before the acknowledgement, which its consumer has kept."""
    jobs = source(broker, job.lane.queue)
    job_id = await NatsJobStore(broker).submit(job, b"body")
    (stored,) = (folder / "data").rglob(f"{names.stream(job.lane.queue)}/msgs")
    shutil.copytree(stored, folder / "before")
    lease = await taken(jobs, job.lane)
    await jobs.store_outcome(job, job_id, done())
    await lease.settle()
    server.kill(signal.SIGTERM)
    shutil.rmtree(stored)
    shutil.copytree(folder / "before", stored)
    server.start()
    await answering(broker)
    return job_id


async def test_a_job_whose_removal_a_dying_server_lost_is_given_out_again(
    own_server: NatsServer, own_broker: Broker, folder: Path, queue: str
) -> None:
    jobs, job = source(own_broker, queue), a_job(queue)
    job_id = await removal_lost(own_server, own_broker, folder, job)
    assert await jobs.backlog() == {job.lane: 1}
    given = [await jobs.take(job.lane, 1, 0.0) for _ in range(STRANDED_AFTER + 1)]
    assert [len(leases) for leases in given] == [0] * STRANDED_AFTER + [1]
    assert (given[-1][0].id, await jobs.outcome(job)) == (job_id, done())


async def test_a_job_whose_removal_was_lost_does_not_stay_in_a_lane_that_is_never_empty(
    own_server: NatsServer, own_broker: Broker, folder: Path, queue: str
) -> None:
    """It would be run again by a later consumer, once its outcome is forgotten."""
    jobs, job = source(own_broker, queue), a_job(queue)
    await removal_lost(own_server, own_broker, folder, job)
    await NatsJobStore(own_broker).submit(replace(job, token=new_token()), b"another")
    lease = await taken(jobs, job.lane)
    assert await jobs.backlog() == {job.lane: 2}
    for _ in range(LOOK_EVERY):
        await jobs.take(job.lane, 1, 0.0)
    assert await jobs.backlog() == {job.lane: 1}
    await lease.settle()
    assert await jobs.backlog() == {}


async def test_a_lane_whose_jobs_are_out_is_left_alone(own_broker: Broker, queue: str) -> None:
    jobs, job = source(own_broker, queue), a_job(queue)
    await NatsJobStore(own_broker).submit(job, b"body")
    lease = await taken(jobs, job.lane)
    assert [await jobs.take(job.lane, 1, 0.0) for _ in range(STRANDED_AFTER + 1)] == [[]] * (STRANDED_AFTER + 1)
    await lease.settle()
    assert await jobs.backlog() == {}
