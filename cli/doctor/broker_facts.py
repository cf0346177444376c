"""What the broker's checks go by: a local suite's own server, or one by its address."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from springtide.cli import nats_server
from springtide.cli.nats_server import NatsServer
from springtide.cli.state import StateFolder
from springtide.cli.tools import Missing
from springtide.runtime.errors import BadInput, SpringtideError
from springtide.wire.jobs.monitoring import monitored, of_same
from springtide.wire.jobs.nats_package import REMEDY
from springtide.wire.jobs.server_seen import Monitoring, ServerSeen
from springtide.wire.jobs.settings import BrokerSettings


class Disk(NamedTuple):
    folder: Path
    total_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerFacts:
    where: str
    settings: BrokerSettings
    program: NatsServer | Missing | None = None
    """None: another's server."""
    suite: str = ""
    """Why there is no server of a local suite's; empty: there is, or none is asked for."""
    server: ServerSeen | SpringtideError | None = None
    """None: nobody could be asked."""
    monitoring: Monitoring | str = ""
    """Or why it is not known."""
    disk: Disk | None = None
    unread: tuple[str, ...] = ()
    """Streams that lie on disk, and that the server does not know."""


async def of_url(settings: BrokerSettings, monitoring_url: str) -> BrokerFacts:
    told = await monitored(monitoring_url) if monitoring_url else "its monitoring port was not named"
    server = await _server(settings)
    if isinstance(told, Monitoring) and isinstance(server, ServerSeen):
        told = of_same(server, told, monitoring_url)
    return BrokerFacts(where=", ".join(settings.nats_url), settings=settings, server=server, monitoring=told)


async def of_suite(state: StateFolder, environ: Mapping[str, str]) -> BrokerFacts:
    facts = BrokerFacts(
        where=str(state.root),
        settings=BrokerSettings(),
        program=nats_server.find(environ.get("PATH", "")),
        disk=_disk(state.nats),
    )
    try:
        running = state.running()
    except BadInput as error:
        return replace(facts, suite=str(error))
    if running is None:
        return replace(facts, suite=f"no suite runs on {state.root}")
    if running.nats is None:
        return replace(facts, suite=f"the suite on {state.root} runs without a broker of its own")
    settings = BrokerSettings(nats_url=(running.nats,), nats_credentials_path=str(state.secrets))
    server = await _server(settings)
    return replace(
        facts,
        where=running.nats,
        settings=settings,
        server=server,
        monitoring=await monitored(running.nats_monitoring or ""),
        unread=unread(state.nats, server) if isinstance(server, ServerSeen) else (),
    )


async def _server(settings: BrokerSettings) -> ServerSeen | SpringtideError:
    if importlib.util.find_spec(nats_server.CLIENT) is None:
        return BadInput(f"the package nats-py is not installed; {REMEDY}")
    from springtide.wire.jobs.nats.connection import Connection  # noqa: PLC0415 - of an extra
    from springtide.wire.jobs.nats.inspection import inspect  # noqa: PLC0415 - of an extra

    connection = Connection(settings, name="springtide doctor")
    try:
        return await inspect(connection)
    except SpringtideError as error:
        return error
    finally:
        await connection.aclose()


def _disk(folder: Path) -> Disk | None:
    try:
        disk = shutil.disk_usage(folder)
    except OSError:
        return None
    return Disk(folder, disk.total, disk.free) if disk.total else None


def unread(folder: Path, server: ServerSeen) -> tuple[str, ...]:
    known = {stream.name for stream in server.streams}
    kept = {path.name for path in folder.glob("jetstream/$G/streams/*")}
    return tuple(sorted(kept - known))
