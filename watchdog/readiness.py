"""Whether a function wants calls: asked every few milliseconds while it starts, and later by whoever wants to know."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from .calls import INTERIM, App
from .log import log
from .timeouts import timeout

MIN_PAUSE_S, MAX_PAUSE_S = 0.005, 0.05
PATIENCE_S = 5.0
"""For one answer. Later it is no answer: the function is asked again."""
SILENT_S = 1.0
"""Of waiting, before the log says what is waited for."""


class SelfReport:
    """What a function that runs in this process says of itself at its ``ready_path``: any 2xx is yes."""

    def __init__(self, app: App, path: str) -> None:
        self._app, self._path = app, path

    async def __call__(self) -> bool:
        answer = _Status()
        try:
            async with timeout(PATIENCE_S):
                await self._app(self._scope(), _Empty(), answer)
        except Exception:  # noqa: BLE001 - whatever it is, the function is not ready, and has said why in its log
            return False
        return 200 <= answer.status < 300

    def _scope(self) -> dict[str, Any]:
        path, _, query = self._path.partition("?")
        return {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(b"host", b"127.0.0.1")],
            "extensions": {INTERIM: {"send": lambda _status, _headers: None}},
        }


class _Empty:
    """A request without a body, whose caller stays."""

    def __init__(self) -> None:
        self._read = False

    async def __call__(self) -> MutableMapping[str, Any]:
        if self._read:
            await asyncio.Event().wait()
        self._read = True
        return {"type": "http.request", "body": b"", "more_body": False}


class _Status:
    """Keeps the status of an answer and drops the rest."""

    def __init__(self) -> None:
        self.status = 0

    async def __call__(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]


async def until_ready(
    ready: Callable[[], Awaitable[bool]], ends: Callable[[], Awaitable[None]], ready_path: str
) -> bool:
    """True once the function is ready, False when it ends before that."""
    loop = asyncio.get_running_loop()
    ending = asyncio.ensure_future(ends())
    tell_at, pause_s = loop.time() + SILENT_S, MIN_PAUSE_S
    try:
        while not ending.done():
            if await ready():
                return True
            if loop.time() > tell_at:
                log(f"not ready yet: waits until ready_path {ready_path} answers 2xx")
                tell_at = float("inf")
            await asyncio.wait([ending], timeout=pause_s)
            pause_s = min(2 * pause_s, MAX_PAUSE_S)
        return False
    finally:
        ending.cancel()
