"""Never cold: functions at zero with schedules, on real processes. Does a tick meet a replica that starts?

Each function sleeps between its ticks, which come at another second than those of its neighbours; every fifth takes
three seconds to start. Told are the calls that waited for a start, as the gateway counts them, and what being awake
costs, by the decisions.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bench import rest
from bench.jobs.suite import Suite, put_to_sleep
from bench.report import Row
from springtide.scaler.core import catalogue

HANDLER = Path(__file__).parent / "scheduled"
SLOW_S = 3.0
LOOK_S = 2.0
MARGIN_S = 60.0
"""After its last tick a function has so long until the last look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrewarmOptions:
    """Awake a function is for its lead, its call, ``zero_duration_s`` and until the idler's next sweep: with a shorter
    period it would not sleep between ticks."""

    ticks: int = 200
    functions: int = 40
    period_s: int = 180
    zero_duration_s: int = 60


@dataclass(frozen=True, slots=True)
class Counts:
    """Of all functions, as the gateway has counted since it began."""

    called: float
    waited: float


def prewarm(options: PrewarmOptions, folder: Path, tell: Callable[[str], None]) -> tuple[Row, list[str]]:
    """The figures, and what is wrong with them."""
    state = folder / "state"
    command = (*rest.SPRINGTIDE, "up", "--state-dir", str(state), "--no-samples", "--nats-port", "0")
    with rest.suite(state, command):
        return asyncio.run(_Run(options, Suite(state), tell).run())


class _Run:
    def __init__(self, options: PrewarmOptions, suite: Suite, tell: Callable[[str], None]) -> None:
        self._options, self._suite, self._tell = options, suite, tell
        self._names = [f"tick-{number:02}" for number in range(options.functions)]

    async def run(self) -> tuple[Row, list[str]]:
        options = self._options
        async with self._suite.client() as client:
            for number, name in enumerate(self._names):
                await self._deploy(client, name, slow=number % 5 == 0)
                await asyncio.sleep(options.period_s / options.functions)
            began = time.time()
            before = await self._counts(client)
            await self._until(client, before, began)
            after, decisions, met = await self._counts(client), await self._decisions(client), await self._met(client)
        row, problems = self._account(before, after, decisions, began)
        return row | {f"met_{how}": count for how, count in met.items()}, problems

    async def _deploy(self, client: httpx.AsyncClient, name: str, *, slow: bool) -> None:
        body = {
            "service": name,
            "image": "springtide/python",
            "labels": {
                "com.openfaas.scale.zero": "true",
                "com.openfaas.scale.zero-duration": f"{self._options.zero_duration_s}s",
            },
            "annotations": {
                "com.springtide.handler": str(HANDLER),
                "topic": "cron-function",
                "schedule": f"@every {self._options.period_s}s",
            },
            "envVars": {"SLOW_START": f"{SLOW_S:g}"} if slow else {},
        }
        (await client.post("/system/functions", json=body)).raise_for_status()
        await put_to_sleep(client, name)

    async def _until(self, client: httpx.AsyncClient, before: Counts, began: float) -> None:
        """The ticks are over, or time enough for them is."""
        options, told = self._options, 0
        end = began + options.ticks / options.functions * options.period_s * 1.5 + MARGIN_S
        while time.time() < end:
            await asyncio.sleep(LOOK_S)
            now = await self._counts(client)
            called = int(now.called - before.called)
            if called // 20 > told:
                told = called // 20
                self._tell(f"{called} ticks, {now.waited - before.waited:.0f} waited for a start")
            if called >= options.ticks:
                break
        await asyncio.sleep(LOOK_S)

    async def _counts(self, client: httpx.AsyncClient) -> Counts:
        told = self._suite.told
        gateway = (await client.get(f"{told['metrics']}/metrics")).text.splitlines()
        return Counts(
            called=_sum(gateway, catalogue.INVOCATIONS.name, 'function_name="tick-'),
            waited=_sum(gateway, f"{catalogue.COLD_START.name}_count", 'function_name="tick-'),
        )

    async def _met(self, client: httpx.AsyncClient) -> dict[str, float]:
        """How calls were met, as the part says that wakes ahead, since it began; nothing without a Prometheus."""
        if (prometheus := self._suite.told.get("prometheus")) is None:
            return {}
        asked = {"query": f"sum by (met) ({catalogue.EXPECTED_CALLS.name})"}
        answer = (await client.get(f"{prometheus}/api/v1/query", params=asked)).raise_for_status().json()
        return {each["metric"]["met"]: float(each["value"][1]) for each in answer["data"]["result"]}

    async def _decisions(self, client: httpx.AsyncClient) -> list[Any]:
        answer = (await client.get("/system/scaling/decisions")).raise_for_status()
        told = [json.loads(line) for line in answer.text.splitlines()]
        return [each for each in told if each["before"] != each["after"] and each["function"].startswith("tick-")]

    def _account(self, before: Counts, after: Counts, decisions: list[Any], began: float) -> tuple[Row, list[str]]:
        options, ended = self._options, time.time()
        called, waited = after.called - before.called, after.waited - before.waited
        awake_s = sum(
            _awake_s([each for each in decisions if each["function"].startswith(f"{name}.")], began, ended)
            for name in self._names
        )
        writers = [each["writer"] for each in decisions if each["t"] >= began and each["after"] > each["before"]]
        row: Row = {
            "ticks": called,
            "met_a_starting_replica": waited,
            "woken_ahead": writers.count("prewarm"),
            "woken_by_callers": writers.count("wake"),
            "replica_seconds_a_tick": round(awake_s / called, 1) if called else None,
            "seconds": round(ended - began),
        }
        allowed_s = SLOW_S + 0.1 + options.zero_duration_s + MARGIN_S
        problems = [f"{waited:.0f} of {called:.0f} ticks met a replica that was starting"] if waited else []
        problems += [] if called >= options.ticks else [f"{called:.0f} ticks of {options.ticks} were called"]
        if called and awake_s / called > allowed_s:
            problems.append(f"a tick costs {awake_s / called:.0f} replica-seconds, more than {allowed_s:.0f}")
        return row, problems


def _sum(lines: Iterable[str], name: str, labels: str) -> float:
    found = (line for line in lines if line.startswith((f"{name}{{", f"{name} ")) and labels in line)
    return sum(float(line.rpartition(" ")[2]) for line in found)


def _awake_s(changes: list[Any], began: float, ended: float) -> float:
    """Replica-seconds of one function between two instants."""
    total, count, since = 0.0, 0, began
    for change in [*sorted(changes, key=lambda each: float(each["t"])), {"t": ended, "after": 0}]:
        at = max(float(change["t"]), began)
        total, count, since = total + count * (at - since), int(change["after"]), at
    return total
