"""Runs one controller: keys that changed, one after another, again where that is asked for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from tests.kubernetes.emulator.statuses import ApiError

Key = tuple[str, str]
"""Namespace and name."""

Sync = Callable[[Key], float | None]
"""Brings one object closer to what is wanted; returns in how many seconds to look again, None for not by itself."""

RETRY_FIRST_S, RETRY_MOST_S = 0.02, 5.0


class Worker:
    def __init__(self, name: str, sync: Sync, delay_s: Callable[[], float] = lambda: 0.0) -> None:
        self.name = name
        self._sync, self._delay_s = sync, delay_s
        self._due: dict[Key, float] = {}
        self._failures: dict[Key, int] = {}
        self._woken = asyncio.Event()
        self._going = asyncio.Event()
        self._going.set()
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Worker {self.name} {len(self._due)} due{'' if self._going.is_set() else ' paused'}>"

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=self.name)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def pause(self) -> None:
        self._going.clear()

    def resume(self) -> None:
        self._going.set()

    def poke(self, key: Key) -> None:
        """Look at an object soon."""
        self._at(key, self._delay_s())

    def _at(self, key: Key, after_s: float) -> None:
        when = asyncio.get_running_loop().time() + after_s
        if when < self._due.get(key, float("inf")):
            self._due[key] = when
            self._woken.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._going.wait()
            now = loop.time()
            ready = [key for key, when in self._due.items() if when <= now]
            for key in ready:
                del self._due[key]
                self._once(key)
                # Requests are answered between two objects, however many are due.
                await asyncio.sleep(0)
            if not ready:
                await self._wait(min(self._due.values(), default=float("inf")) - now)

    def _once(self, key: Key) -> None:
        try:
            again_s = self._sync(key)
        except ApiError:
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            again_s = min(RETRY_FIRST_S * 2.0 ** min(failures, 30), RETRY_MOST_S)
        else:
            self._failures.pop(key, None)
        if again_s is not None:
            self._at(key, again_s)

    async def _wait(self, timeout_s: float) -> None:
        self._woken.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if timeout_s == float("inf") else timeout_s):
                await self._woken.wait()
