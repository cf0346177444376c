"""One kind of source: a whole suite, a connector as a process, the system's real server, and kills of both.

Nothing is published while one of them is dead, so what the system was told is what it had to keep.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import yaml

from bench.children import WITHOUT_WALLS
from bench.herd import percentile
from bench.jobs.suite import Suite, running
from bench.report import Row
from bench.rest import SPRINGTIDE
from springtide.cli import ports
from springtide.cli.ports import PortClaims
from tests.triggers.contract.stages import STAGES, EventSystem, unwrapped

HANDLER = Path(__file__).parent / "function"
TOPIC, OTHER_TOPIC = "orders", "nobodys"
BATCH = 50
QUIET_S = 90.0
"""No event more for so long, and those that are missing are lost."""
LOOK_S = 0.2
CONNECTED_S = 60.0
DEPLOYMENTS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggersOptions:
    events: int = 5000
    kills: int = 10
    """Of the connector, and half as many of the server."""
    deployments: int = DEPLOYMENTS


@dataclass(frozen=True, slots=True)
class TriggersAccount:
    row: Row
    problems: list[str]


def sources(kind: str, options: TriggersOptions, folder: Path, tell: Callable[[str], None]) -> TriggersAccount:
    """``kind`` is a stage of the contract."""
    (folder / "ledger").mkdir(parents=True)
    (folder / "system").mkdir()
    with running(folder / "state") as suite:
        return asyncio.run(_run(kind, options, suite, folder, tell))


async def _run(
    kind: str, options: TriggersOptions, suite: Suite, folder: Path, tell: Callable[[str], None]
) -> TriggersAccount:
    async with (
        STAGES[kind](folder / "system") as system,
        suite.client() as client,
        _connector(suite, system, folder) as own,
    ):
        await _deploy(client, "sink", TOPIC, folder / "ledger")
        waits = await _deployments(client, own, system, folder, options.deployments)
        tell(f"{len(waits)} deployments; now {options.events} events")
        began = time.monotonic()
        kills = await _publish(own, system, options)
        published = time.monotonic() - began
        seen = await _until_quiet(folder / "ledger", system, options.events, tell)
        row: Row = {
            "source": kind,
            "published": options.events,
            "executed": len(seen),
            "lost": options.events - len(seen),
            "run_again": sum(seen.values()) - len(seen),
            "kills_connector": kills["connector"],
            "kills_server": kills["server"],
            "missing": " ".join(str(event) for event in range(options.events) if b"%d" % event not in seen)[:200],
            "publishing_s": published,
            "all_s": time.monotonic() - began,
            "deploy_to_event_p50_s": percentile(waits, 0.5) if waits else 0.0,
            "deploy_to_event_p99_s": percentile(waits, 0.99) if waits else 0.0,
        }
    lost = row["lost"] if system.at_least_once else 0
    return TriggersAccount(row, [f"{lost} events were lost"] if lost else [])


class _Connector:
    """A process, killed and started again."""

    def __init__(self, suite: Suite, file: Path, port: int, log: Path) -> None:
        self._command = [*SPRINGTIDE, "connector", str(file), "--state-dir", str(suite.secrets.parent)]
        self._command += ["--port", str(port)]
        self._log = log
        self.client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False)
        self._secrets = suite.secrets
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def until_connected(self) -> None:
        end = time.monotonic() + CONNECTED_S
        while not await self._connected():
            if time.monotonic() > end:
                raise RuntimeError(f"the connector is not connected; see {self._log}:\n{self._log.read_text()[-2000:]}")
            await asyncio.sleep(LOOK_S)

    async def _connected(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            text = (await self.client.get("/metrics")).text
            return 'springtide_connector_source_connected{source="events"} 1.0' in text
        return False

    async def first_event(self, function: str, auth: Any) -> float | None:
        """When it was over for that function, in seconds since 1970."""
        asked = {"function": function, "limit": "1000"}
        events = (await self.client.get("/events", params=asked, auth=auth)).json()
        return datetime.fromisoformat(events[-1]["time"]).timestamp() if events else None


@contextlib.asynccontextmanager
async def _connector(suite: Suite, system: EventSystem, folder: Path) -> AsyncIterator[_Connector]:
    file = folder / "events.yaml"
    file.write_text(yaml.safe_dump({"sources": [{"name": "events", **system.asked}]}))
    with PortClaims() as claims:
        own = _Connector(suite, file, ports.free("127.0.0.1", claims), folder / "connector.log")
        own.start()
        try:
            await own.until_connected()
            yield own
        finally:
            own.kill()
            await own.client.aclose()


async def _deploy(client: httpx.AsyncClient, name: str, topic: str, ledger: Path) -> None:
    body = {
        "service": name,
        "image": "springtide/python",
        "annotations": {"com.springtide.handler": str(HANDLER), "topic": topic},
        "labels": WITHOUT_WALLS,
        "envVars": {"LEDGER": str(ledger)},
    }
    (await client.post("/system/functions", json=body)).raise_for_status()


async def _deployments(
    client: httpx.AsyncClient, own: _Connector, system: EventSystem, folder: Path, count: int
) -> list[float]:
    """Seconds from a deployment's answer until an event was over for the new function; events come all the time."""
    (folder / "late").mkdir()
    over = asyncio.Event()

    async def publish() -> None:
        number = 0
        while not over.is_set():
            number += 1
            await system.publish(OTHER_TOPIC, [b"late %d" % number])
            await asyncio.sleep(0.01)

    publishing, waits = asyncio.create_task(publish()), []
    for number in range(count):
        name = f"late-{number}"
        await _deploy(client, name, OTHER_TOPIC, folder / "late")
        deployed = time.time()
        while (first := await own.first_event(name, client.auth)) is None:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)
        waits.append(max(0.0, first - deployed))
        (await client.request("DELETE", "/system/functions", json={"functionName": name})).raise_for_status()
    over.set()
    await publishing
    return waits


async def _publish(own: _Connector, system: EventSystem, options: TriggersOptions) -> Counter[str]:
    """In batches, between some of which the connector is killed, or the server."""
    batches = [range(at, min(at + BATCH, options.events)) for at in range(0, options.events, BATCH)]
    kill_connector = set(random.sample(range(len(batches)), min(options.kills, len(batches))))
    kill_server = set(random.sample(range(len(batches)), min(options.kills // 2, len(batches))))
    kills: Counter[str] = Counter()
    for number, batch in enumerate(batches):
        await system.publish(TOPIC, [b"%d" % event for event in batch])
        if system.at_least_once and number in kill_connector:
            own.kill()
            own.start()
            kills["connector"] += 1
        if system.at_least_once and number in kill_server:
            await system.break_connections()
            kills["server"] += 1
        if number in kill_connector or number in kill_server:
            await own.until_connected()
    return kills


async def _until_quiet(ledger: Path, system: EventSystem, events: int, tell: Callable[[str], None]) -> Counter[bytes]:
    """How often each event was run, once all were, or nothing happens any more."""
    total, changed = -1, time.monotonic()
    while True:
        seen = await asyncio.to_thread(_noted, ledger, system)
        if seen.total() != total:
            total, changed = seen.total(), time.monotonic()
        if len(seen) == events and time.monotonic() - changed > 5.0:
            return seen
        if time.monotonic() - changed > QUIET_S:
            tell(f"{events - len(seen)} are missing")
            return seen
        await asyncio.sleep(LOOK_S)


def _noted(ledger: Path, system: EventSystem) -> Counter[bytes]:
    """A line that is being written has no end yet."""
    lines = (line for file in ledger.iterdir() for line in file.read_bytes().splitlines(keepends=True))
    return Counter(unwrapped(system, line[:-1]) for line in lines if line.endswith(b"\n"))
