"""A local suite's own NATS server: how it is set up, and what is done when it cannot read what it kept."""

from __future__ import annotations

import json
from pathlib import Path

from springtide.cli.nats_server import NatsServer

CONFIGURATION = "nats-server.conf"
MEBIBYTE = 1024 * 1024
MAX_PAYLOAD = 8 * MEBIBYTE
"""More than a job's largest body in a message, its headers included; and the most that NATS advises."""

MAX_MEMORY_STORE = 256 * MEBIBYTE
"""For what is a view only, such as the calls that run now; jobs are never kept in memory."""

LOGIN_DEADLINE_S = 10
"""bcrypt takes its time, and on a busy machine longer."""

MIN_SYNC_S, MAX_SYNC_S = 0.1, 3600.0


def configuration(
    folder: Path, *, listen: str, monitoring: str, user: str, password_hash: str, sync_every_s: float
) -> str:
    """The server's configuration, which may be JSON. ``sync_every_s`` 0: at each write, before it is acknowledged."""
    said = {
        "server_name": "springtide",
        "listen": listen,
        "http": monitoring,
        "max_payload": MAX_PAYLOAD,
        "jetstream": {
            "store_dir": str(folder),
            "sync_interval": f"{round(sync_every_s * 1000)}ms" if sync_every_s else "always",
            "max_memory_store": MAX_MEMORY_STORE,
        },
        "authorization": {"user": user, "password": password_hash, "timeout": LOGIN_DEADLINE_S},
    }
    return json.dumps(said, indent=2, ensure_ascii=False) + "\n"


def command(server: NatsServer, folder: Path) -> tuple[str, ...]:
    return (str(server.program), "--config", str(folder / CONFIGURATION))
