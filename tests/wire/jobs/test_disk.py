"""A full disk, and one that tells wrong: what was accepted stays as far as it can, and what is not stored is told."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from springtide.runtime.errors import SpringtideError, TooMany, Unavailable
from springtide.wire.jobs.bounds import Bounds
from springtide.wire.jobs.job import Lane
from springtide.wire.jobs.job_id import place_of
from springtide.wire.jobs.nats.broker import Broker
from springtide.wire.jobs.nats.connection import Connection
from springtide.wire.jobs.nats.inspection import NatsBrokerView
from springtide.wire.jobs.nats.store import NatsJobStore
from springtide.wire.jobs.nats.streams import Streams
from tests.nats_server import running
from tests.provider.process.world import eventually
from tests.wire.jobs.test_nats import a_job, source

pytestmark = pytest.mark.uvloop
"""As the processes do that lose their server; the other tests here are told of what is left open."""

DISK_MIB = 24
BODY = b"x" * 500_000


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Skips where nothing may be mounted."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "test", str(folder)]
    if os.getuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("nothing may be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def in_queue(broker: Broker, lane: Lane) -> list[str]:
    """The tokens of what is there, each taken as a worker takes it."""
    jobs, found = source(broker, lane.queue), []
    while leases := await jobs.take(lane, 100, 0.5):
        found += [lease.job.token for lease in leases]
    return found


async def filled(store: NatsJobStore) -> tuple[list[str], SpringtideError]:
    """What was accepted until the first refusal, and that."""
    accepted: list[str] = []
    while True:
        job = a_job("mail")
        try:
            await store.submit(job, BODY)
        except (Unavailable, TooMany) as error:
            return accepted, error
        accepted.append(job.token)


@pytest.mark.parametrize("others_mib", [0, 15])
async def test_a_full_disk_refuses_and_loses_nothing(folder: Path, others_mib: int) -> None:
    """The server keeps some room; where other files take that it does not even answer."""
    disk = folder / "disk"
    with small_disk(disk), running(disk) as server:
        broker = Broker(server.settings, name="test")
        (disk / "others").write_bytes(bytes(others_mib * 1024 * 1024))
        accepted, refusal = await filled(NatsJobStore(broker))
        assert "storing a job" in str(refusal)
        assert len(accepted) > 10
        await broker.aclose()

        server.kill()
        (disk / "others").unlink()
        subprocess.run(["mount", "-o", f"remount,size={4 * DISK_MIB}m", str(disk)], check=True)
        server.start()
        broker = Broker(server.settings, name="test")
        assert set(accepted) <= set(await in_queue(broker, a_job("mail").lane))
        await NatsJobStore(broker).submit(a_job("mail"), BODY)
        await broker.aclose()


async def test_a_server_that_cannot_write_is_known_until_it_was_started_anew(folder: Path) -> None:
    """Whoever calls after the first is not kept waiting, and what was accepted can be taken."""
    disk = folder / "disk"
    with small_disk(disk), running(disk) as server:
        broker = Broker(server.settings, name="test")
        monitoring = f"http://127.0.0.1:{server.monitoring}"
        view = NatsBrokerView(broker.connection, broker.requests.unstored)
        of_others = NatsBrokerView(broker.connection, monitoring_url=monitoring)
        store = NatsJobStore(broker)
        first = a_job("mail")
        await store.submit(first, b"")
        assert (await view.seen()).stores
        assert (await of_others.seen()).stores
        (disk / "others").write_bytes(bytes(15 * 1024 * 1024))
        await filled(store)

        refusals = await asyncio.gather(*(store.submit(a_job("mail"), BODY) for _ in range(3)), return_exceptions=True)
        assert [str(refusal)[:35] for refusal in refusals] == ["the queue's server stores nothing i"] * 3
        assert not (await view.seen()).stores
        assert not (await of_others.seen()).stores
        (lease,) = await source(broker, "mail").take(first.lane, 1, 0.0)
        assert lease.job == first

        server.kill()
        (disk / "others").unlink()
        server.start()
        await eventually(lambda: broker.connection.reconnects)
        assert (await view.seen()).stores
        await store.submit(a_job("mail"), BODY)
        await broker.aclose()


@pytest.mark.parametrize("harm", ["bits", "cut", "gone"])
async def test_a_damaged_file_takes_no_other_queue_along(folder: Path, harm: str) -> None:
    with running(folder) as server:
        broker = Broker(server.settings, name="test")
        store = NatsJobStore(broker)
        ids = {queue: [await store.submit(a_job(queue), BODY) for _ in range(20)] for queue in ("mail", "other")}
        await broker.aclose()
        server.kill()
        (block,) = (folder / "data").rglob("OF_mail/msgs/1.blk")
        content = bytearray(block.read_bytes())
        if harm == "bits":
            content[len(content) // 2 :] = uuid.uuid4().bytes * (len(content) // 32)
            block.write_bytes(content)
        elif harm == "cut":
            block.write_bytes(content[: len(content) // 2])
        else:
            block.unlink()
        server.start()
        broker = Broker(server.settings, name="test")
        there = {queue: await in_queue(broker, a_job(queue).lane) for queue in ids}
        tokens = {queue: [place.token for one in those if (place := place_of(one))] for queue, those in ids.items()}
        assert sorted(there["other"]) == sorted(tokens["other"])
        assert set(there["mail"]) <= set(tokens["mail"])
        if harm != "gone":
            assert there["mail"]
        await NatsJobStore(broker).submit(a_job("mail"), BODY)
        await broker.aclose()


@pytest.mark.parametrize("index", [True, False], ids=["found when it is read", "found at the start"])
async def test_what_the_server_could_not_read_is_told(folder: Path, index: bool) -> None:
    """A flipped bit. A server that was killed has no index of its messages, and reads them all as it starts."""
    with running(folder) as server:
        broker = Broker(server.settings, name="test")
        for _ in range(20):
            await NatsJobStore(broker).submit(a_job("mail"), b"x" * 1000)
        await NatsJobStore(broker).submit(a_job("other"), b"")
        assert set((await lost(broker)).values()) == {0}
        await broker.aclose()
        server.kill(signal.SIGTERM if index else signal.SIGKILL)
        (block,) = (folder / "data").rglob("OF_mail/msgs/1.blk")
        content = bytearray(block.read_bytes())
        content[len(content) // 2] ^= 1
        block.write_bytes(content)
        server.start()
        broker = Broker(server.settings, name="test")
        jobs, settled = source(broker, "mail"), 0
        while leases := await jobs.take(a_job("mail").lane, 5, 0.5):
            for lease in leases:
                await lease.settle()
            settled += len(leases)
        found = await lost(broker)
        await broker.aclose()
    assert 0 < settled < 20
    assert (found["OF_mail"] or 0) > 1000 * (20 - settled)
    assert found["OF_other"] == 0


async def lost(broker: Broker) -> dict[str, int | None]:
    seen = await NatsBrokerView(broker.connection).seen()
    return {stream.name: stream.lost_bytes for stream in seen.server.streams}


async def test_buckets_fit_into_the_least_room_and_are_found_again(folder: Path) -> None:
    """The server looks for room for what a bucket sets aside before it sees that it is there."""
    bounds = Bounds()
    room = f"jetstream {{ store_dir: {str(folder / 'data')!r}, max_file_store: {bounds.set_aside_bytes} }}"

    async def made(bounds: Bounds) -> int:
        connection = Connection(server.settings, name="test")
        streams = Streams(connection, bounds)
        try:
            return len({await each() for each in (streams.keys, streams.places, streams.tries, streams.results)})
        finally:
            await connection.aclose()

    with running(folder, also=room, jetstream=False) as server:
        with pytest.raises(Unavailable, match="insufficient storage"):
            await made(replace(bounds, max_result_bytes=bounds.max_result_bytes + 1))
        assert await made(bounds) == 4
        assert await made(bounds) == 4
