"""What a worker sees of the broker as a whole, on a real NATS server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from springtide.runtime.errors import Unavailable
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.jobs.job import Job, Lane
from springtide.wire.jobs.job_id import new_token
from springtide.wire.jobs.nats.broker import Broker
from springtide.wire.jobs.nats.inspection import NatsBrokerView
from springtide.wire.jobs.nats.store import NatsJobStore
from springtide.wire.jobs.server_seen import BrokerSeen, StreamSeen
from tests.nats_server import NatsServer, running


def a_job(queue: str) -> Job:
    lane = Lane(queue, FunctionRef("openfaas-fn", "echo"))
    return Job(token=new_token(), lane=lane, method="POST", path="", query="", headers=(), accepted_at=1.0)


def of_queue(seen: BrokerSeen, queue: str) -> list[StreamSeen]:
    return [stream for stream in seen.server.streams if stream.name == f"OF_{queue}"]


async def test_jobs_that_came_are_seen_with_the_time_of_the_oldest(broker: Broker, queue: str) -> None:
    view, store = NatsBrokerView(broker.connection), NatsJobStore(broker)
    before = of_queue(await view.seen(), queue)
    for _ in range(3):
        await store.submit(a_job(queue), b"body")

    seen = await view.seen()

    [stream] = of_queue(seen, queue)
    assert before == []
    assert (stream.messages, stream.last_number) == (3, 3)
    assert stream.first_at > 1_700_000_000
    assert seen.server.stored_bytes > 0
    assert seen.monitoring is None, "its port was not named"


@pytest.mark.parametrize(
    ("sync", "always"), [pytest.param("always", True, id="always"), pytest.param("2m", False, id="now and then")]
)
async def test_monitoring_port_tells_when_writes_are_synced(tmp_path: Path, sync: str, always: bool) -> None:
    with running(tmp_path, sync=sync) as server:
        there = Broker(server.settings, name="test")
        seen = await NatsBrokerView(there.connection, monitoring_url=f"http://127.0.0.1:{server.monitoring}").seen()
        await there.aclose()

    assert seen.monitoring is not None
    assert seen.monitoring.sync_always is always
    assert seen.monitoring.max_stored_bytes > 0


async def test_monitoring_port_of_another_server_is_not_believed(tmp_path: Path, server: NatsServer) -> None:
    with running(tmp_path, sync="2m") as other:
        there = Broker(server.settings, name="test")
        seen = await NatsBrokerView(there.connection, monitoring_url=f"http://127.0.0.1:{other.monitoring}").seen()
        await there.aclose()

    assert seen.monitoring is None


async def test_server_that_was_away_and_is_back_counts_as_reconnected(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        there = Broker(server.settings, name="test")
        view = NatsBrokerView(there.connection)
        await view.seen()
        server.kill()
        with pytest.raises(Unavailable):
            await view.seen()

        server.start()
        async with asyncio.timeout(60):
            while True:
                try:
                    await view.seen()
                    break
                except Unavailable:
                    await asyncio.sleep(0.05)

        assert view.reconnects == 1
        await there.aclose()
