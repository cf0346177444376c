"""One call from the watchdog's side: the caller's body, whether the caller is still there, and plain answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from .values import parse_duration_s

T = TypeVar("T")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]

INTERNAL = b"x-openfaas-internal"
"""Marks an answer as the watchdog's own, not the function's."""


INTERIM = "springtide.interim"
"""The ASGI extension by which an application sends a head before its answer: ``send(status, headers)``."""

UPGRADE = "springtide.upgrade"
"""Of requests that offer to speak another protocol: the ``protocols``, and ``switch(headers, transport, early)``, which
answers 101 and joins the caller with another connection by the Tunnel that it returns."""


class CallerLeftError(ConnectionAbortedError):
    """The caller closed the connection before the answer was complete."""


class SlowCallerError(Exception):
    """The caller's body did not arrive within the read time-out; the text is for the caller and the log."""

    def __init__(self, read_timeout_s: float) -> None:
        super().__init__(f"The request body did not arrive within {own_limit('read_timeout', read_timeout_s)}.")


class Caller:
    """The other end of one call. Its body can be read once."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._body_read = asyncio.Event()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises CallerLeftError or SlowCallerError."""
        while not self._body_read.is_set():
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise CallerLeftError
            if not message.get("more_body", False):
                self._body_read.set()
            if message["body"]:
                yield message["body"]

    async def body(self) -> bytes:
        return b"".join([chunk async for chunk in self.chunks()])

    async def leaves(self) -> NoReturn:
        """Once somebody has read the body to its end, wait until the caller is gone; then raise CallerLeftError."""
        await self._body_read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
        raise CallerLeftError


async def guarded(work: Coroutine[Any, Any, T], guard: Coroutine[Any, Any, NoReturn]) -> T:
    """The result of ``work``, unless ``guard`` raises first. Both are over when this returns."""
    working, guarding = asyncio.create_task(work), asyncio.create_task(guard)
    try:
        await asyncio.wait([working, guarding], return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            guarding.result()
        return working.result()
    finally:
        for task in (working, guarding):
            task.cancel()
        await asyncio.gather(working, guarding, return_exceptions=True)


@dataclass(frozen=True)
class ExecLimit:
    """How long a call may take, ``seconds`` None for no limit; as text: which limit that is, and where it is set."""

    seconds: float | None
    text: str

    def __str__(self) -> str:
        return self.text


def exec_limit(headers: Headers, configured_s: float) -> ExecLimit:
    """The configured one, shortened by the caller's X-Timeout. Of both 0 is no limit."""
    limit = ExecLimit(configured_s or None, own_limit("exec_timeout", configured_s))
    for name, value in headers:
        if name == b"x-timeout":
            with contextlib.suppress(ValueError):
                asked_s = parse_duration_s(value.decode("latin-1"))
                if asked_s and (limit.seconds is None or asked_s < limit.seconds):
                    limit = ExecLimit(asked_s, f"X-Timeout ({asked_s:.10g} s), a header of the request")
    return limit


def own_limit(name: str, seconds: float) -> str:
    """A limit from the function's environment as it is told: name, value, and where to change it."""
    return f"{name} ({seconds:.10g} s) of the function; set {name} in its environment"


async def reply(send: Send, status: int, body: bytes, headers: Headers = (), *, content_type: str = "") -> None:
    """A whole answer."""
    kind = (content_type or "text/plain; charset=utf-8").encode("latin-1")
    head = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})
