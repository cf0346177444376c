"""Schedules of a whole suite while what sends and takes their ticks is killed and halted: is one missed, or doubled?"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote

import httpx

from bench.children import WITHOUT_WALLS
from bench.herd import percentile
from bench.jobs.suite import Suite, running
from bench.report import Row
from springtide.wire.schedules.expression import parse

HANDLER = Path(__file__).parent / "ticking"
SCHEDULES = ("@every 1s", "@every 2s", "@every 3s")
PER_SECOND = 11 / 6
FUNCTION = "ticking"
HALT_S = 3.0
TAKEOVER_S = 10.0
"""After the last kill, for the part to be there again."""
QUIET_S = 60.0

Tick = tuple[str, str]
"""A schedule, and an instant of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CronOptions:
    ticks: int = 300
    kill_every_s: float = 10.0


def cron(options: CronOptions, folder: Path, tell: Callable[[str], None]) -> tuple[Row, list[str]]:
    """What happened, and what is wrong with it."""
    (folder / "ledger").mkdir(parents=True)
    with running(folder / "state") as suite:
        return asyncio.run(_run(options, suite, folder / "ledger", tell))


async def _run(options: CronOptions, suite: Suite, ledger: Path, tell: Callable[[str], None]) -> tuple[Row, list[str]]:
    async with suite.client() as client:
        await deploy(client, ledger, "; ".join(SCHEDULES), method="POST")
        deployed = await created_at(client)
        kills = await _interfere(suite, deployed + options.ticks / PER_SECOND, options.kill_every_s)
        tell(f"{kills} times a process was killed or halted")
        await asyncio.sleep(TAKEOVER_S)
        until = time.time() - 1.0
        expected = set(expected_ticks(deployed, until))
        seen = await until_all(ledger, expected)
        await deploy(client, ledger, "0 0 1 1 *")
        late = [
            max(0.0, await accepted_at(client, job) - float(tick[1])) for tick, jobs in seen.items() for job in jobs
        ]
    missed, doubled = expected - seen.keys(), [tick for tick, jobs in seen.items() if len(jobs) > 1]
    row: Row = {
        "ticks": len(expected),
        "missed": len(missed),
        "doubled": len(doubled),
        "kills": kills,
        "late_p50_s": percentile(late, 0.5) if late else 0.0,
        "late_p99_s": percentile(late, 0.99) if late else 0.0,
        "late_max_s": max(late, default=0.0),
        "missing": " ".join(sorted(f"{text}@{at}" for text, at in missed))[:300],
    }
    problems = [
        f"{len(wrong)} ticks were {what}" for what, wrong in (("missed", missed), ("doubled", doubled)) if wrong
    ]
    return row, problems


async def deploy(client: httpx.AsyncClient, ledger: Path, schedule: str, *, method: str = "PUT") -> None:
    body = {
        "service": FUNCTION,
        "image": "springtide/python",
        "annotations": {"com.springtide.handler": str(HANDLER), "topic": "cron-function", "schedule": schedule},
        "labels": WITHOUT_WALLS,
        "envVars": {"LEDGER": str(ledger)},
    }
    (await client.request(method, "/system/functions", json=body)).raise_for_status()


async def created_at(client: httpx.AsyncClient) -> float:
    told = (await client.get(f"/system/function/{FUNCTION}")).raise_for_status().json()
    return datetime.fromisoformat(told["createdAt"]).timestamp()


async def _interfere(suite: Suite, until: float, every_s: float) -> int:
    """Kill, or halt for a while, the process that sends ticks, or the gateway that takes them."""
    number = 0
    while time.time() < until:
        await asyncio.sleep(random.uniform(0.5, 1.5) * every_s)
        part = ("cron", "cron", "gateway")[number % 3]
        process = suite.pid(part)
        if not process:
            continue  # it is being started again, and 0 would be ourselves
        with suppress(ProcessLookupError):
            if number % 3 == 1:
                os.kill(process, signal.SIGSTOP)
                await asyncio.sleep(HALT_S)
                os.kill(process, signal.SIGCONT)
            else:
                os.kill(process, signal.SIGKILL)
        number += 1
    return number


def expected_ticks(deployed: float, until: float) -> list[Tick]:
    found = []
    for text in SCHEDULES:
        schedule, at = parse(text), deployed
        while (at := schedule.next_after(at, deployed)) <= until:
            found.append((text, _text(at)))
    return found


def _text(at: float) -> str:
    return f"{round(at)}"


async def until_all(ledger: Path, expected: set[Tick]) -> dict[Tick, set[str]]:
    """The calls of each of them, once all have been made, or none comes any more."""
    end = time.monotonic() + QUIET_S
    while True:
        seen = await asyncio.to_thread(_noted, ledger)
        if expected <= seen.keys() or time.monotonic() > end:
            return {tick: jobs for tick, jobs in seen.items() if tick in expected}
        await asyncio.sleep(0.5)


def _noted(ledger: Path) -> dict[Tick, set[str]]:
    seen: dict[Tick, set[str]] = defaultdict(set)
    for line in (line for file in ledger.iterdir() for line in file.read_text().splitlines()):
        text, at, job = line.split(" ")
        seen[unquote(text), _text(datetime.fromisoformat(at).timestamp())].add(job)
    return seen


async def accepted_at(client: httpx.AsyncClient, job: str) -> float:
    """When its call was stored."""
    told = (await client.get(f"/async-function/{job}")).raise_for_status().json()
    return datetime.fromisoformat(told["accepted_at"]).timestamp()
