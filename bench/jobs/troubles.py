"""What happens meanwhile: parts are killed in turn, functions are updated and put to sleep."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections import Counter
from typing import Any

import httpx

from bench.jobs.ledger import Kill
from bench.jobs.suite import Suite, put_to_sleep

PARTS = ("gateway", "queue-worker", "nats", "provider")
"""The queue worker is a part of the control process, which dies as a whole."""

BACK_S = 60.0


class Killer:
    def __init__(self, suite: Suite, *, pause_s: float) -> None:
        self.kills: list[Kill] = []
        self.problems: list[str] = []
        self._suite, self._pause_s = suite, pause_s

    async def run(self, over: asyncio.Event) -> None:
        while not over.is_set():
            for part in random.sample(PARTS, k=len(PARTS)):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(over.wait(), random.uniform(0.5, 1.5) * self._pause_s)
                    return
                await self._kill(part)

    async def _kill(self, part: str) -> None:
        pid = self._suite.pid(part)
        if not pid:
            return
        at = time.time()
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        await self._until_replaced(part, pid)
        self.kills.append(Kill(at, part, time.time()))

    async def _until_replaced(self, part: str, pid: int) -> None:
        deadline = time.monotonic() + BACK_S
        while self._suite.pid(part) in (0, pid):
            if time.monotonic() > deadline:
                self.problems.append(f"{part} was not replaced within {BACK_S:g} s")
                return
            await asyncio.sleep(0.1)


class Changes:
    """A function at a time is updated, or goes to zero as if a person had asked for it."""

    def __init__(self, suite: Suite, functions: dict[str, dict[str, Any]], *, pause_s: float) -> None:
        self.done: Counter[str] = Counter()
        self._suite, self._functions, self._pause_s = suite, functions, pause_s
        self._generation = 0

    async def run(self, over: asyncio.Event) -> None:
        async with self._suite.client() as client:
            while not over.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(over.wait(), random.uniform(0.5, 1.5) * self._pause_s)
                    return
                name = random.choice(list(self._functions))
                with contextlib.suppress(httpx.HTTPError):
                    await random.choice((self._update, self._sleep))(client, name)

    async def _update(self, client: httpx.AsyncClient, name: str) -> None:
        self._generation += 1
        body = self._functions[name]
        body = {**body, "envVars": {**body["envVars"], "GENERATION": str(self._generation)}}
        (await client.put("/system/functions", json=body)).raise_for_status()
        self.done["updates"] += 1

    async def _sleep(self, client: httpx.AsyncClient, name: str) -> None:
        await put_to_sleep(client, name)
        self.done["to_zero"] += 1
