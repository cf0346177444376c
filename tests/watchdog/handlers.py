"""Calling Python handlers as the watchdog calls them, without a process or a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from springtide.watchdog.calls import CallerLeftError
from springtide.watchdog.config import Mode, WatchdogConfig
from springtide.watchdog.python_handler import PythonHandler

HTTP, FLASK, CLASSIC = "python3-http", "python3-flask", "python3"


@dataclass
class Seen:
    """What was sent back for one call, in the server's terms."""

    heads: list[MutableMapping[str, Any]] = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list)
    ended: bool = False
    broken: bool = False
    caller_left: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if self.caller_left.is_set():
            raise CallerLeftError
        if message["type"] == "http.response.start":
            self.heads.append(message)
            return
        assert self.heads, "a body before its head"
        assert not self.ended, "a body after its end"
        self.pieces.append(message["body"])
        self.ended = not message.get("more_body", False)

    @property
    def status(self) -> int:
        assert len(self.heads) == 1, f"{len(self.heads)} heads"
        return int(self.heads[0]["status"])

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        return list(self.heads[0]["headers"])

    def header(self, name: str) -> str | None:
        return next((value.decode("latin-1") for key, value in self.headers if key == name.encode()), None)

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)


class Caller:
    """Sends a body, and stays until it is told to leave."""

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body
        self.left = asyncio.Event()

    async def receive(self) -> MutableMapping[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body}
        await self.left.wait()
        return {"type": "http.disconnect"}


async def called(  # every part of a request may matter
    handle: Callable[..., Any],
    lang: str = "",
    *,
    body: bytes = b"",
    method: str = "POST",
    target: str = "/",
    headers: list[tuple[bytes, bytes]] | None = None,
    env: dict[str, str] | None = None,
    folder: Path = Path("/nonexistent"),
    exec_timeout_s: float = 0.0,
    leaves: asyncio.Event | None = None,
) -> Seen:
    """One call of the handler; what it raises out of the watchdog, but for a broken answer, is raised."""
    config = WatchdogConfig(mode=Mode.PYTHON, handler=folder, lang=lang, exec_timeout_s=exec_timeout_s)
    app = PythonHandler(config, handle, env or {}, "here")
    path, _, query = target.partition("?")
    scope = {"method": method, "path": path, "query_string": query.encode(), "headers": headers or []}
    seen, caller = Seen(), Caller(body)
    if leaves is not None:
        caller.left = seen.caller_left = leaves
    try:
        await app(scope, caller.receive, seen.send)
    except ConnectionAbortedError:
        seen.broken = True
    finally:
        app.close()
    return seen


def returning(value: Any) -> Callable[..., Any]:
    """A handler of either kind that returns this."""
    return lambda *_: value
