"""One request of a connection and its answer, in ASGI's shape on one side and in HTTP/1.1's bytes on the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Protocol
from urllib.parse import unquote

from .calls import INTERIM, INTERNAL, UPGRADE, App, CallerLeftError, SlowCallerError
from .http1.body import LAST_CHUNK, Body, body_of, chunk
from .http1.fields import CHUNKED, UNTIL_CLOSE
from .http1.request import RequestHead
from .http1.response import NO_BODY, Unsendable, write_interim, write_response, write_switch
from .log import log, log_exception
from .tunnel import Tunnel

Switch = Callable[[Any, asyncio.Transport, bytes], Tunnel]

_CANNOT = b"The function's answer cannot be sent; see its log.\n"
_OWN = ((b"content-type", b"text/plain; charset=utf-8"), (INTERNAL, b"of-watchdog"))


class ExchangeConnection(Protocol):
    """What an exchange needs of the connection that its request came by."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop: ...

    @property
    def closed(self) -> bool: ...

    @property
    def full(self) -> bool:
        """More is written than the caller has taken: wait for ``writable``."""

    @property
    def read_timeout_s(self) -> float: ...

    def date(self) -> bytes: ...

    def read_on(self) -> None: ...

    def write(self, data: bytes) -> None: ...

    async def writable(self) -> None: ...

    def answered(self, exchange: Exchange, *, keep_alive: bool) -> None: ...

    def abort(self) -> None: ...

    def detached(self) -> tuple[asyncio.Transport, bytes]: ...

    def forget(self) -> None: ...


class Exchange:
    """One request and its answer, as the application sees them."""

    __slots__ = (
        "_chunks",
        "_connection",
        "_deadline",
        "_delivered",
        "_flushing",
        "_framing",
        "_gone",
        "_head",
        "_keep_alive",
        "_pending",
        "_waiter",
        "answering",
        "awaits_permission",
        "body",
        "complete",
        "scope",
        "unread",
    )

    def __init__(self, connection: ExchangeConnection, head: RequestHead) -> None:
        self._connection, self._head = connection, head
        self.body: Body = body_of(head.length)
        self._chunks: list[bytes] = []
        self.unread = 0
        self.awaits_permission = head.expects_continue
        self._waiter: asyncio.Future[None] | None = None
        self._deadline = 0.0
        self._gone = self._delivered = False
        self._pending = b""
        self._flushing: asyncio.Handle | None = None
        self._framing = UNTIL_CLOSE
        self._keep_alive = head.keep_alive
        self.answering = self.complete = False
        self.scope = self._scope()

    def __repr__(self) -> str:
        state = "complete" if self.complete else "answering" if self.answering else "new"
        return f"<Exchange {self._head.method} {state}>"

    def _scope(self) -> dict[str, Any]:
        raw_path, _, query = self._head.target.partition(b"?")
        path = raw_path.decode("latin-1")
        extensions: dict[str, Any] = {INTERIM: {"send": self._interim}}
        if self._head.upgrade:
            extensions[UPGRADE] = {"protocols": self._head.upgrade, "switch": self._switch}
        return {
            "type": "http",
            "http_version": "1.1" if self._head.http11 else "1.0",
            "method": self._head.method,
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": self._head.headers,
            "extensions": extensions,
        }

    async def run(self, app: App) -> None:
        """Call the application; whatever it does, the caller gets one answer or sees that it broke off."""
        try:
            await app(self.scope, self.receive, self.send)
            if not self.complete and not self._connection.closed:
                self._failed("the function's mode ended without an answer")
        except Unsendable as problem:
            self._failed(f"cannot send the answer: {problem}")
        except (CallerLeftError, ConnectionAbortedError):
            self._broken_off()
        except Exception as error:  # noqa: BLE001 - one call's failure is not the replica's
            log_exception(error)
            self._failed("the function's mode failed; see the lines before")

    # The request.

    @property
    def body_complete(self) -> bool:
        return self.body.done

    def arrived(self, payload: bytes) -> None:
        if payload and not self.complete:
            self._chunks.append(payload)
            self.unread += len(payload)
        self._wake()

    def caller_left(self) -> None:
        self._gone = True
        self._wake()

    def refused(self) -> None:
        """The rest of the body is malformed: the function hears that the caller left, and nothing more is sent."""
        self.complete = True
        self.caller_left()

    async def receive(self) -> MutableMapping[str, Any]:
        """The next piece of the body; once it is read, wait for the caller to leave. Raises SlowCallerError."""
        if self.awaits_permission and not self.body.done and not self.answering:
            self._connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.awaits_permission = False
        while not self._chunks and not self.body.done and not self._gone:
            await self._wait(self._connection.read_timeout_s)
        if self._chunks or (self.body.done and not self._delivered):
            body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
            self._chunks.clear()
            self.unread = 0
            self._connection.read_on()
            self._delivered = self.body.done
            return {"type": "http.request", "body": body, "more_body": not self.body.done}
        while not self._gone and not self.complete:
            await self._wait(0.0)
        return {"type": "http.disconnect"}

    async def _wait(self, limit_s: float) -> None:
        loop = self._connection.loop
        timer = None
        if limit_s:
            self._deadline = self._deadline or loop.time() + limit_s
            timer = loop.call_at(self._deadline, self._too_slow)
        self._waiter = loop.create_future()
        try:
            await self._waiter
        finally:
            if timer is not None:
                timer.cancel()

    def _too_slow(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(SlowCallerError(self._connection.read_timeout_s))
        self._waiter = None

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # The answer.

    async def send(self, message: Mapping[str, Any]) -> None:
        """Raises CallerLeftError, or Unsendable for what HTTP has no bytes for."""
        if message["type"] == "http.response.start":
            self._start(message["status"], message["headers"])
            return
        connection = self._connection
        if self.complete:
            raise CallerLeftError("the answer is over")
        more = message.get("more_body", False)
        data = self._framed(message.get("body", b""), last=not more)
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        if self._pending:
            data, self._pending = self._pending + data, b""
        if data:
            connection.write(data)
        if not more:
            self.complete = True
            if not connection.full:
                connection.answered(self, keep_alive=self._keep_alive)
                self._wake()
                return
        await connection.writable()
        if not more:
            connection.answered(self, keep_alive=self._keep_alive)
            self._wake()

    def _start(self, status: int, headers: Any) -> None:
        if self.answering:
            raise RuntimeError("an answer has one head")
        head = self._head
        written = write_response(
            status,
            headers,
            date=self._connection.date(),
            to_head=head.method == "HEAD",
            http11=head.http11,
            keep_alive=head.keep_alive,
        )
        self.answering = True
        self._pending, self._framing, self._keep_alive = written
        # With the body's first piece, if that comes at once; one write is half the price of two.
        self._flushing = self._connection.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = None
        data, self._pending = self._pending, b""
        if data:
            self._connection.write(data)

    def _framed(self, body: bytes, *, last: bool) -> bytes:
        if self._framing == CHUNKED:
            return chunk(body) + LAST_CHUNK if last else chunk(body)
        if self._framing == UNTIL_CLOSE:
            return body
        if self._framing == NO_BODY:
            return b""
        self._framing -= len(body)
        if self._framing < 0 or (last and self._framing):
            self._framing = 0
            raise Unsendable("its content-length is not the length of its body")
        return body

    def _failed(self, why: str) -> None:
        log(why)
        if self.complete:
            return
        if self.answering and not self._pending:
            self._broken_off()
            return
        if self._flushing is not None:
            self._flushing.cancel()
        self._pending, self.answering, self.complete = b"", True, True
        self._connection.write(own_answer(500, _CANNOT, self._connection.date(), to_head=self._head.method == "HEAD"))
        self._connection.answered(self, keep_alive=False)
        self._wake()

    def _broken_off(self) -> None:
        if not self.complete:
            self._connection.abort()

    def _interim(self, status: int, headers: Any) -> None:
        """A head before the answer. 100 is this server's own to send, and 101 opens a tunnel."""
        if not self.answering and not self._gone and self._head.http11 and status not in (100, 101):
            self._connection.write(write_interim(status, headers))

    def _switch(self, headers: Any, other: asyncio.Transport, early: bytes) -> Tunnel:
        """Answer 101 and join the caller with another connection; ``early`` is what that one has sent already."""
        head = write_switch(headers)
        self.answering = self.complete = True
        self._connection.write(head + early)
        transport, data = self._connection.detached()
        tunnel = Tunnel(transport, other, self._connection.forget)
        if data:
            other.write(data)
        return tunnel


def own_answer(status: int, body: bytes, date: bytes, *, to_head: bool = False) -> bytes:
    """A whole answer of ours, after which the connection ends."""
    headers = (*_OWN, (b"content-length", b"%d" % len(body)))
    written = write_response(status, headers, date=date, to_head=to_head, http11=False, keep_alive=False)
    return written.head + (b"" if to_head else body)
