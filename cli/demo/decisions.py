"""The suite's decisions about one function, as they are made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx

from springtide.runtime import bounded_json
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.errors import BadInput, SpringtideError, Unavailable
from springtide.scaler.core.vocabulary import Decision, FunctionRef, Reason
from springtide.wire import decision_log

RETRY_S = 0.2
SILENCE_S = 600.0
"""Longest time without any decision; the story's own deadlines are shorter."""


class Decisions:
    """Follows the log, across broken connections, and tells each decision once."""

    def __init__(
        self, url: str, credentials: Credentials | None, ref: FunctionRef, *, told: Callable[[Decision], None]
    ) -> None:
        headers = {"Authorization": credentials.header} if credentials else {}
        self._http = httpx.AsyncClient(
            base_url=url, headers=headers, trust_env=False, timeout=httpx.Timeout(5.0, read=SILENCE_S)
        )
        self.ref = ref
        self._told = told
        self._more = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.changes: list[Decision] = []

    def __repr__(self) -> str:
        return f"<Decisions {self.ref} {len(self.changes)} changes>"

    async def __aenter__(self) -> Decisions:
        self._task = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        await self._http.aclose()

    async def stop(self) -> None:
        """Tell no more."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])

    def steps(self, reason: Reason) -> list[tuple[int, int]]:
        """Counts before and after each change for one reason, in order."""
        return [(decision.before, decision.after) for decision in self.changes if decision.reason is reason]

    async def until(self, reason: Reason, after: int, *, within_s: float, what: str) -> Decision:
        """The first change for ``reason`` that led to ``after``; raises Unavailable saying ``what`` did not happen."""
        return await self.reach(reason, lambda count: count == after, within_s=within_s, what=what)

    async def reach(self, reason: Reason, there: Callable[[int], bool], *, within_s: float, what: str) -> Decision:
        """The same for the first change that led to a count that is ``there``."""
        assert self._task is not None
        try:
            async with asyncio.timeout(within_s):
                while True:
                    for decision in self.changes:
                        if decision.reason is reason and there(decision.after):
                            return decision
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError as error:
            raise Unavailable(f"{what} within {within_s:g} s; changes so far: {self._summary()}") from error

    async def _follow(self) -> None:
        while True:
            try:
                await self._read()
            except (httpx.HTTPError, SpringtideError):
                await asyncio.sleep(RETRY_S)

    async def _read(self) -> None:
        since = self.changes[-1].at if self.changes else 0.0
        params = {"function": str(self.ref), "follow": "true", "since": f"{since:.6f}"}
        async with self._http.stream("GET", "/system/scaling/decisions", params=params) as response:
            if response.status_code != 200:
                raise Unavailable(f"decisions: status {response.status_code}")
            async for line in response.aiter_lines():
                if line:
                    self._heard(line)

    def _heard(self, line: str) -> None:
        try:
            decision = decision_log.from_json(bounded_json.loads(line))
        except (BadInput, ValueError):
            return
        if decision.changes and decision not in self.changes:
            self.changes.append(decision)
            self._told(decision)
            self._more.set()

    def _summary(self) -> str:
        return (
            ", ".join(f"{decision.before} → {decision.after} ({decision.reason})" for decision in self.changes)
            or "none"
        )
