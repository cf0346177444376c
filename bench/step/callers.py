"""Who calls: so many at once, each again as soon as it is answered, or an even stream whatever is answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

DEADLINE_S = 120.0


@dataclass(frozen=True, slots=True)
class Call:
    """``began`` in seconds since the epoch, ``took_s`` to the last byte; status 0 is a broken connection."""

    began: float
    took_s: float
    status: int


@dataclass(slots=True)
class Calls:
    """Those that ended so far, and how many are under way."""

    ended: list[Call] = field(default_factory=list)
    in_flight: int = 0

    async def make(self, client: httpx.AsyncClient, url: str) -> None:
        began, clock = time.time(), time.perf_counter()
        self.in_flight += 1
        try:
            status = (await client.get(url)).status_code
        except httpx.HTTPError:
            status = 0
        finally:
            self.in_flight -= 1
        self.ended.append(Call(began, time.perf_counter() - clock, status))


@asynccontextmanager
async def callers(url: str, count: int) -> AsyncIterator[Calls]:
    """All begin at once and end with their last call after the block."""
    calls, stop = Calls(), asyncio.Event()

    async def caller(client: httpx.AsyncClient) -> None:
        while not stop.is_set():
            await calls.make(client, url)

    async with _client() as client, asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(caller(client))
        try:
            yield calls
        finally:
            stop.set()


@asynccontextmanager
async def stream(url: str, per_second: float) -> AsyncIterator[Calls]:
    """Evenly, until the block ends; calls under way then are waited for."""
    calls, stop = Calls(), asyncio.Event()
    loop = asyncio.get_running_loop()

    async def calling(client: httpx.AsyncClient, group: asyncio.TaskGroup) -> None:
        due = loop.time()
        while not stop.is_set():
            group.create_task(calls.make(client, url))
            due += 1 / per_second
            await asyncio.sleep(max(0.0, due - loop.time()))

    async with _client() as client, asyncio.TaskGroup() as group:
        group.create_task(calling(client, group))
        try:
            yield calls
        finally:
            stop.set()


def _client() -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    return httpx.AsyncClient(timeout=DEADLINE_S, limits=limits, trust_env=False)
