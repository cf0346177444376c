"""A local suite's NATS server as it is set up: real ones, which are killed, find damaged files, or are not let in."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from nats.errors import Error as NatsError

from springtide.cli import local_broker
from springtide.runtime.http_probe import probe
from tests.cli.suite_broker import DEADLINE_S, HASH, PASSWORD, Broker, suite_broker

STREAM = "jetstream/$G/streams/OF_jobs"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with suite_broker(tmp_path / 'na"ts {$HOME} \u00fc') as broker:
        yield broker


async def test_what_was_acknowledged_is_there_after_a_kill(broker: Broker) -> None:
    await broker.start()
    await broker.publish(500)
    broker.end()

    await broker.start()
    assert await broker.messages() == 500


async def test_it_syncs_each_write_and_says_so(broker: Broker) -> None:
    await broker.start()
    answer = await probe("127.0.0.1", broker.monitoring, "/jsz?config=1")

    assert answer is not None
    assert json.loads(answer.body)["config"]["sync_always"] is True
    assert json.loads(answer.body)["config"]["store_dir"] == str(broker.folder / "jetstream")


async def test_it_lets_in_nobody_without_the_password(broker: Broker) -> None:
    await broker.start()

    for wrong in ("", "S3cret", HASH):
        with pytest.raises(NatsError, match="Authorization Violation"):
            async with broker.client(wrong):
                pass
    assert PASSWORD not in broker.configuration


async def test_it_ends_in_order_when_asked_to(broker: Broker) -> None:
    await broker.start()
    await broker.publish(1)

    assert broker.end(signal.SIGTERM) == 0
    assert "Server Exiting" in broker.log
    await broker.start()
    assert await broker.messages() == 1


async def test_it_listens_on_loopback_alone(broker: Broker) -> None:
    told = json.loads(broker.configuration)

    assert {told["listen"].split(":")[0], told["http"].split(":")[0]} == {"127.0.0.1"}


@pytest.mark.parametrize(("sync_s", "said"), [(0.0, "always"), (0.25, "250ms"), (120.0, "120000ms")])
def test_sync_is_set_as_wished(tmp_path: Path, sync_s: float, said: str) -> None:
    told = local_broker.configuration(
        tmp_path, listen="", monitoring="", user="", password_hash="", sync_every_s=sync_s
    )

    assert json.loads(told)["jetstream"]["sync_interval"] == said


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param("echo nothing > meta.inf", id="the description"),
        pytest.param("rm meta.sum", id="a checksum is gone"),
        pytest.param("echo nothing > msgs/index.db", id="the index"),
        pytest.param("mkdir msgs/7.blk", id="a folder for a file"),
        pytest.param("mkfifo msgs/8.blk", id="a pipe for a file"),
        pytest.param("rm meta.inf; mkdir meta.inf", id="a folder for the description"),
        pytest.param("touch ../other", id="a file for a stream"),
    ],
)
async def test_damage_around_the_messages_takes_none_along(broker: Broker, damage: str) -> None:
    await broker.start()
    await broker.publish(20)
    broker.end()
    subprocess.run(["sh", "-c", damage], cwd=broker.folder / STREAM, check=True)

    local_broker.mend(broker.folder)
    await broker.start()

    assert await broker.messages() == 20


async def test_torn_last_write_takes_nothing_else_along(broker: Broker) -> None:
    await broker.start()
    await broker.publish(20)
    broker.end()
    with (broker.folder / STREAM / "msgs/1.blk").open("r+b") as block:
        block.truncate(block.seek(0, 2) - 10)

    assert local_broker.mend(broker.folder) is None
    await broker.start()

    assert await broker.messages() == 19


@pytest.mark.parametrize("what", ["jetstream", "jetstream/$G", "jetstream/$G/streams"])
async def test_file_in_the_place_of_a_folder_is_set_aside_and_told(broker: Broker, what: str) -> None:
    (broker.folder / what).parent.mkdir(parents=True, exist_ok=True)
    (broker.folder / what).write_text("no folder")
    if what == "jetstream":
        assert broker.spawn().wait(DEADLINE_S) == 1, "it ends over that one"

    told = local_broker.mend(broker.folder, broker.log if what == "jetstream" else "", now=lambda: 1_700_000_000.0)

    name = what.rpartition("/")[2]
    assert told == f"{broker.folder / what} is damaged and was set aside as {name}.damaged-20231114T221320Z"
    await broker.start()
    await broker.publish(3)
    assert await broker.messages() == 3


async def test_port_that_is_taken_sets_nothing_aside(broker: Broker) -> None:
    await broker.start()
    await broker.publish(1)

    asked = subprocess.run(
        local_broker.command(broker.program, broker.folder),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )

    assert asked.returncode != 0
    assert "address already in use" in asked.stderr
    assert local_broker.mend(broker.folder, asked.stderr) is None
    assert await broker.messages() == 1


GIB = 1024 * local_broker.MEBIBYTE


@pytest.mark.parametrize(
    ("kept", "free", "total", "room"),
    [
        pytest.param(0, 60 * GIB, 100 * GIB, 59 * GIB, id="a large disk keeps a reserve"),
        pytest.param(40 * GIB, 20 * GIB, 100 * GIB, 59 * GIB, id="a restart takes no room away"),
        pytest.param(0, 9 * GIB, 10 * GIB, 8.5 * GIB, id="a small one a twentieth"),
        pytest.param(0, GIB // 4, 10 * GIB, local_broker.MIN_ROOM_BYTES, id="a full one has what buckets set aside"),
    ],
)
def test_room_is_what_is_kept_and_what_is_free_but_for_a_reserve(kept: int, free: int, total: int, room: float) -> None:
    assert local_broker.room_bytes(kept, free, total) == room


async def test_server_is_told_its_room(broker: Broker) -> None:
    await broker.start()
    await broker.publish(200)

    assert local_broker.kept_bytes(broker.folder) > 200_000
    answer = await probe("127.0.0.1", broker.monitoring, "/jsz?config=1")
    assert answer is not None
    told = json.loads((broker.folder / local_broker.CONFIGURATION).read_text())
    assert json.loads(answer.body)["config"]["max_storage"] == told["jetstream"]["max_file_store"]


STUCK = b'{"status":"unavailable","error":"JetStream stream \'$G > OF_jobs\' write error: no space left on device"}'
UNREADABLE = b'{"status":"unavailable","error":"JetStream stream \'$G > OF_jobs\' could not be recovered"}'


@pytest.mark.parametrize(
    ("body", "stores"),
    [
        pytest.param(b'{"status":"ok"}', True, id="all is well"),
        pytest.param(UNREADABLE, True, id="no restart would change it"),
        pytest.param(STUCK, False, id="it waits for a restart"),
    ],
)
async def test_server_that_could_not_write_is_to_be_started_again(tmp_path: Path, body: bytes, stores: bool) -> None:
    """What a real one says; there is room on this disk."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Said\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        look = local_broker.stores(server.sockets[0].getsockname()[1], tmp_path)
        assert await look() is stores
    assert await look() is False, "nobody answers"
