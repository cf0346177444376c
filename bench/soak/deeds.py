"""What happens to one function while it is called: it sleeps, wakes, grows, shrinks, is updated, and loses replicas."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx

from bench.soak.caller import Callers
from bench.soak.parts import Api
from bench.soak.tally import Log

DEADLINE_S = 90.0
"""For a deed to show its effect on a machine that has much else to do, and parts in trouble."""

KILL_PAUSE_S = 11.0
"""A replica that dies sooner after the last is a crash loop, whose callers are told so on purpose."""

MAX_REPLICAS = 4
MAX_HISTORY = 2_000
NAME_BYTES = 15
"""As much of a process's name as the kernel keeps."""


class Cycle:
    """The rounds of one function: all deeds, in another order each time, some while the last is still under way."""

    def __init__(self, callers: Callers, api: Api, log: Log, *, pause_s: float) -> None:
        self.name = callers.function
        self.done: Counter[str] = Counter()
        self.problems: list[str] = []
        self.history: deque[tuple[float, str]] = deque(maxlen=MAX_HISTORY)
        """What was done to the function and what came of it, on the monotonic clock."""
        self._callers, self._api, self._log, self._pause_s = callers, api, log, pause_s
        self._generation = 0
        self._killed_at = 0.0
        self._over = asyncio.Event()
        self._doing = asyncio.Lock()

    async def run(self, over: asyncio.Event) -> None:
        self._over = over
        while not over.is_set():
            deeds: list[Callable[[], Awaitable[None]]] = [
                self.fall_asleep,
                self.go_to_zero_under_load,
                self.grow,
                self.shrink,
                self.update,
                self.kill,
                self.kill,
            ]
            random.shuffle(deeds)
            for deed in deeds:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(over.wait(), random.expovariate(1 / self._pause_s))
                if over.is_set():
                    return
                await self._do(deed)

    async def _do(self, deed: Callable[[], Awaitable[None]]) -> None:
        self._note(deed.__name__)
        try:
            async with self._doing:
                await deed()
            self._note(f"{deed.__name__} done")
        except httpx.HTTPError as error:
            self._problem(f"{deed.__name__}: {type(error).__name__} {error}")

    # Deeds.

    async def fall_asleep(self) -> None:
        """Callers fall silent, the function goes to zero for a while, and all its callers wake it together."""
        self._callers.calling.clear()
        try:
            await self._until("callers are silent", self._silent)
            await self._api.scale(self.name, 0)
            await self._until("it sleeps", lambda: self._counts(0, 0))
            await asyncio.sleep(random.uniform(0, 1))
        finally:
            self._callers.calling.set()
        await self._until("it is awake", self._awake)
        self.done["sleeps"] += 1

    async def go_to_zero_under_load(self) -> None:
        await self._api.scale(self.name, 0)
        self.done["to_zero_under_load"] += 1
        await self._until("it is awake", self._awake)

    async def grow(self) -> None:
        await self._scale(random.randint(2, MAX_REPLICAS))
        self.done["scaled_up"] += 1

    async def shrink(self) -> None:
        await self._scale(1)
        self.done["scaled_down"] += 1

    async def update(self) -> None:
        """Replace the function under load; the new generation must be the one that answers in the end."""
        self._generation += 1
        await self._api.deploy(self.name, self._generation)
        wanted = str(self._generation)

        async def answers() -> bool:
            return wanted in self._callers.generations

        await self._until("the update answers", answers)
        self.done["updates"] += 1

    async def kill(self) -> None:
        """kill -9 one of the replicas that answered lately, whatever it is doing, if somebody can replace it now."""
        now = time.monotonic()
        lately = list(self._callers.seen.items())[-MAX_REPLICAS:]
        if not lately or self._log.calm_since > now or now - self._killed_at < KILL_PAUSE_S:
            return
        pid, replica = random.choice(lately)
        if _kill(pid, replica):
            self._note(f"killed {replica}")
            self._killed_at = self._log.kills[pid] = now
            self.done["kills"] += 1
        del self._callers.seen[pid]

    # For what happens to the parts.

    @contextlib.asynccontextmanager
    async def silenced(self) -> AsyncIterator[None]:
        """Nobody calls the function, nor does anything else to it."""
        async with self._doing:
            self._callers.calling.clear()
            try:
                await self._until("callers are silent", self._silent)
                yield
            finally:
                self._callers.calling.set()

    async def deploy_anew(self) -> None:
        self._generation += 1
        await self._api.deploy(self.name, self._generation)
        await self._until("it is awake", self._awake)

    # Inside.

    async def _scale(self, replicas: int) -> None:
        self._note(f"wants {replicas}")
        await self._api.scale(self.name, replicas)
        if random.random() < 0.5:  # the next deed comes while this one is under way
            await self._until(f"{replicas} answer", lambda: self._counts(replicas, replicas))

    async def _silent(self) -> bool:
        return not self._callers.in_flight

    async def _awake(self) -> bool:
        return (await self._api.counts(self.name))[1] > 0

    async def _counts(self, wanted: int, ready: int) -> bool:
        return await self._api.counts(self.name) == (wanted, ready)

    async def _until(self, what: str, condition: Callable[[], Awaitable[bool]]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not self._over.is_set() and not await condition():
            if time.monotonic() > deadline:
                self._problem(f"not within {DEADLINE_S:g} s: {what}")
                return
            await asyncio.sleep(0.1)

    def _note(self, what: str) -> None:
        self.history.append((round(time.monotonic(), 3), what))

    def _problem(self, what: str) -> None:
        if not self._over.is_set():
            self.problems.append(f"{self.name}: {what}")


def _kill(pid: int, replica: str) -> bool:
    """Kill the process if it still is that replica; its number may belong to another by now."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if Path(f"/proc/{pid}/comm").read_text().strip() != replica[:NAME_BYTES]:
            return False
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
