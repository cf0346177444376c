"""What it costs to accept an asynchronous call, with and without a sync to disk, beside publishing alone.

wrk posts to a gateway over as many connections as there are clients; ``publishing`` is nats-py, in a process of its
own, storing messages that are as large with as many at once. Both store in the same server, in turns.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import nginx
from bench.children import Child, python
from bench.gateway import gateway
from bench.load import Load, Result, measure, median
from bench.nats import nats_server
from bench.programs import Programs
from bench.report import Row
from springtide.wire.jobs.settings import BrokerSettings

CLIENTS = (1, 64)
DEADLINE_S = 60.0
NOTED_BYTES = 220
"""What is noted of a small job."""


@dataclass(frozen=True, slots=True)
class Place:
    """What is measured with one setting of the server."""

    programs: Programs
    folder: Path
    server: Child
    url: str
    gateway: Child
    port: int
    seconds: int

    def accepted(self, clients: int, queue: str) -> Result:
        address = f"http://127.0.0.1:{self.port}/async-function/echo"
        load = Load(clients, post=True, seconds=self.seconds, size=64)
        return measure(self.programs, self.folder, address, load, self.gateway, headers={"X-Queue": queue})

    def published(self, clients: int, stream: str) -> Result:
        command = python("bench.publishing", self.url, stream, str(clients), str(self.seconds), str(NOTED_BYTES))
        output = subprocess.run(command, check=True, capture_output=True, timeout=self.seconds + DEADLINE_S).stdout
        return Result(**json.loads(output))


def accepting(programs: Programs, folder: Path, *, seconds: int, rounds: int) -> Iterator[Row]:
    """The median of the rounds; ``of_bare`` is of publishing alone, with as many clients."""
    for sync in ("always", "2m"):
        with contextlib.ExitStack() as stack:
            below = folder / sync
            below.mkdir()
            server = stack.enter_context(nats_server(below, sync=sync))
            _, backend_port = stack.enter_context(nginx.backend(programs, below))
            broker = BrokerSettings(nats_url=(server.url,))
            ours = stack.enter_context(gateway(below / "gateway", backend_port, broker=asdict(broker)))
            place = Place(programs, below, server.process, server.url, ours.process, ours.port, seconds)
            for clients in CLIENTS:
                yield from _rows(place, sync, clients, rounds)


def _rows(place: Place, sync: str, clients: int, rounds: int) -> Iterator[Row]:
    place.accepted(clients, f"warm-{clients}")
    pairs = [
        (place.accepted(clients, f"c{clients}-{number}"), place.published(clients, f"bare{clients}-{number}"))
        for number in range(rounds)
    ]
    ours, bare = median([one for one, _ in pairs]), median([other for _, other in pairs])
    for what, result in (("gateway, 202", ours), ("publishing alone", bare)):
        row = {"sync": sync, "clients": clients, "what": what, **asdict(result)}
        yield {**row, "of_bare": result.per_s / bare.per_s}
