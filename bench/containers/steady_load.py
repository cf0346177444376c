"""Callers of functions that run what they are sent by a shell: each call has to come back with the word in it."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Sequence
from types import TracebackType

import httpx

CALL_DEADLINE_S = 90.0
"""Longer than any time-out of the gateway: it is the gateway that must give up first."""
PAUSE_S = 0.02
LONG_EACH, LONG_S = 5, 0.5
"""So that whatever happens, calls are running."""
SHELL = "sh"
"""What the functions run."""


class SteadyLoad:
    """From its begin to its end, when calls that have begun are waited for. ``lost`` says what came instead."""

    def __init__(self, port: int, names: Sequence[str], *, callers: int) -> None:
        self.calls = 0
        self.lost: list[str] = []
        self._names, self._callers = names, callers
        self._over = asyncio.Event()
        self._client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}",
            timeout=CALL_DEADLINE_S,
            limits=httpx.Limits(max_connections=None),
            trust_env=False,
        )
        self._calling: list[asyncio.Task[None]] = []

    def __repr__(self) -> str:
        return f"<SteadyLoad {self.calls} calls, {len(self.lost)} lost>"

    async def __aenter__(self) -> SteadyLoad:
        self._calling = [asyncio.create_task(self._call_on(number)) for number in range(self._callers)]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._over.set()
        await asyncio.gather(*self._calling)
        await self._client.aclose()

    async def _call_on(self, first: int) -> None:
        for turn in itertools.count(first):
            if self._over.is_set():
                return
            takes_s = 0.0 if turn % LONG_EACH else LONG_S
            await self._call(self._names[turn % len(self._names)], takes_s)
            await asyncio.sleep(PAUSE_S)

    async def _call(self, name: str, takes_s: float) -> None:
        word = secrets.token_hex(8)
        script = f"sleep {takes_s:g}; echo {word}" if takes_s else f"echo {word}"
        self.calls += 1
        try:
            answer = await self._client.post(f"/function/{name}", content=script)
            came = f"{answer.status_code} {answer.text.strip()[:200]}"
        except httpx.HTTPError as error:
            came = repr(error)
        if came != f"200 {word}":
            self.lost.append(f"{name}: {came}")
