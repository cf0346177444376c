"""An even, modest stream of calls, and how they were answered."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

import httpx

MAX_IN_FLIGHT = 64
"""Beyond it calls are left out: a demo must not bury a machine that cannot keep up."""
DEADLINE_S = 30.0


@dataclass(slots=True)
class Answers:
    """What came back; a broken or late connection counts as 0."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    @property
    def failed(self) -> int:
        return self.statuses.total() - self.statuses[200]

    def __str__(self) -> str:
        calls = self.statuses.total()
        if not calls:
            return "no call was made"
        ordered = sorted(self.seconds)
        median, slow = ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
        others = ", ".join(
            f"{count} × {status or 'no answer'}" for status, count in self.statuses.items() if status != 200
        )
        told = f"{calls} calls, " + (f"all answered 200 but {others}" if others else "all answered 200")
        return f"{told}; half within {median * 1000:.0f} ms, 99 of 100 within {slow * 1000:.0f} ms"


class Load:
    """Calls ``url`` at an even rate from ``async with`` until its end."""

    def __init__(self, url: str, *, per_second: float, max_in_flight: int = MAX_IN_FLIGHT) -> None:
        self._url, self._max_in_flight = url, max_in_flight
        self._pause_s = 1 / per_second
        limits = httpx.Limits(max_connections=max_in_flight)
        self._http = httpx.AsyncClient(timeout=DEADLINE_S, limits=limits, trust_env=False)
        self._calls: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None
        self.answers = Answers()

    def __repr__(self) -> str:
        return f"<Load {self._url} {self.answers.statuses.total()} answered, {len(self._calls)} in flight>"

    async def __aenter__(self) -> Load:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Begin no more calls, and wait for those under way."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task, *self._calls])
        await self._http.aclose()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            if len(self._calls) < self._max_in_flight:
                call = asyncio.create_task(self._call())
                self._calls.add(call)
                call.add_done_callback(self._calls.discard)
            due = max(due + self._pause_s, loop.time() - 1.0)
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def _call(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            status = (await self._http.get(self._url)).status_code
        except httpx.HTTPError:
            status = 0
        self.answers.statuses[status] += 1
        self.answers.seconds.append(loop.time() - began)
