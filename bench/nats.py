"""A NATS server under measurement, of its own, as the suite would start it but for its login."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from os import environ
from pathlib import Path

from bench.children import Child, child, free_port
from springtide.cli import nats_server as programs
from springtide.cli.tools import Missing
from springtide.runtime.errors import Unsupported


@dataclass(frozen=True, slots=True)
class NatsServer:
    """``monitoring``: where it tells of itself."""

    process: Child
    url: str
    monitoring: str


@contextlib.contextmanager
def nats_server(folder: Path, *, sync: str = "always") -> Iterator[NatsServer]:
    """Raises Unsupported where there is no program."""
    found = programs.find(environ.get("PATH", ""))
    if isinstance(found, Missing):
        raise Unsupported(found.why)
    port, monitoring, config = free_port(), free_port(), folder / "server.conf"
    said = {
        "listen": f"127.0.0.1:{port}",
        "http": f"127.0.0.1:{monitoring}",
        "max_payload": 1 << 23,
        "jetstream": {"store_dir": str(folder / "jetstream"), "sync_interval": sync},
    }
    config.write_text(json.dumps(said))
    command = (str(found.program), "--config", str(config))
    with child("nats", command, port=port, log=folder / "nats.log") as process:
        yield NatsServer(process, f"nats://127.0.0.1:{port}", f"http://127.0.0.1:{monitoring}")
