"""A local suite's own NATS server: how it is set up, and what is done when it cannot read what it kept."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from springtide.cli.monitoring_data import put_away
from springtide.cli.nats_server import NatsServer
from springtide.runtime.http_probe import fetch
from springtide.runtime.liveness import Probe
from springtide.wire.jobs.bounds import Bounds
from springtide.wire.jobs.server_seen import WRITE_ERROR

CONFIGURATION = "nats-server.conf"
MEBIBYTE = 1024 * 1024
MAX_PAYLOAD = 8 * MEBIBYTE
"""More than a job's largest body in a message, its headers included; and the most that NATS advises."""

MAX_MEMORY_STORE = 256 * MEBIBYTE
"""For what is a view only, such as the calls that run now; jobs are never kept in memory."""

LOGIN_DEADLINE_S = 10
"""bcrypt takes its time, and on a busy machine longer."""

MIN_SYNC_S, MAX_SYNC_S = 0.1, 3600.0


MIN_FREE_BYTES = 64 * MEBIBYTE
"""A server that could not write is started again once there is so much room, or a twentieth of a small disk."""

MAX_RESERVE_BYTES = 1024 * MEBIBYTE
MIN_ROOM_BYTES = Bounds().set_aside_bytes + MEBIBYTE
"""With less it makes some of its buckets, and then accepts jobs that are never run."""

PROBE_DEADLINE_S = 3.0
ABLE_TO_STORE = "/healthz?js-enabled-only=true"
"""Whether its storage is open; not whether each stream is as it should be, which no restart would change."""

_FOLDERS = ("jetstream", "jetstream/*", "jetstream/*/streams", "jetstream/*/streams/*", "jetstream/*/streams/*/msgs")
_FILES = ("jetstream/*/streams/*/meta.*", "jetstream/*/streams/*/msgs/*.blk")

Clock = Callable[[], float]


def configuration(
    folder: Path, *, listen: str, monitoring: str, user: str, password_hash: str, sync_every_s: float
) -> str:
    """The server's configuration, which may be JSON. ``sync_every_s`` 0: at each write, before it is acknowledged.

    Raises OSError when it cannot be told how much room there is.
    """
    disk = shutil.disk_usage(folder)
    said = {
        "server_name": "springtide",
        "listen": listen,
        "http": monitoring,
        "max_payload": MAX_PAYLOAD,
        "jetstream": {
            "store_dir": str(folder),
            "sync_interval": f"{round(sync_every_s * 1000)}ms" if sync_every_s else "always",
            "max_memory_store": MAX_MEMORY_STORE,
            "max_file_store": room_bytes(kept_bytes(folder), disk.free, disk.total),
        },
        "authorization": {"user": user, "password": password_hash, "timeout": LOGIN_DEADLINE_S},
    }
    return json.dumps(said, indent=2, ensure_ascii=False) + "\n"


def command(server: NatsServer, folder: Path) -> tuple[str, ...]:
    return (str(server.program), "--config", str(folder / CONFIGURATION))


def kept_bytes(folder: Path) -> int:
    """What it has on disk."""
    return sum(file.lstat().st_blocks * 512 for file in folder.rglob("*"))


def room_bytes(kept_bytes: int, free_bytes: int, total_bytes: int) -> int:
    """How much it may keep: all that the disk has left but a reserve, and what it keeps already.

    Left to itself it takes three quarters of what is free as it starts, so one that keeps much refuses all that comes
    after a restart. A bound there has to be: on a full disk it does not even answer. It is never less than what its
    buckets set aside, though they need not have it.
    """
    return max(MIN_ROOM_BYTES, kept_bytes + free_bytes - min(MAX_RESERVE_BYTES, total_bytes // 20))


def stores(port: int, folder: Path) -> Probe:
    """Whether it answers on its monitoring port, and no stream waits for a restart.

    One that could not write, for the disk was full, is not tried again by the server when there is room.
    """

    async def probe() -> bool:
        try:
            async with asyncio.timeout(PROBE_DEADLINE_S):
                answer = await fetch("127.0.0.1", port, "/healthz")
            disk = await asyncio.to_thread(shutil.disk_usage, folder)
        except (OSError, TimeoutError):
            return False
        if answer is None:
            return False
        return WRITE_ERROR.encode() not in answer.body or disk.free < min(MIN_FREE_BYTES, disk.total // 20)

    return probe


def mend(folder: Path, said: str = "", *, now: Clock = time.time) -> str | None:  # noqa: ARG001 - it does not say which
    """Set aside what is no folder, or no file, where the server keeps one: it ends over that, or drops the stream.

    Nothing else goes, for nothing else stops it: a stream's description that is damaged is made anew with the stream,
    over the same messages, and of a damaged file it takes what is whole.
    """
    wrong = [path for pattern in _FOLDERS for path in folder.glob(pattern) if not path.is_dir()]
    wrong += [path for pattern in _FILES for path in folder.glob(pattern) if not path.is_file()]
    # Beside the others it would be taken for a stream that is damaged.
    return put_away(wrong, now(), into=folder)
