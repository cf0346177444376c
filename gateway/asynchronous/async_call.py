"""One asynchronous call: its request is taken from the client, stored, and answered once it is on disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from springtide.gateway.asynchronous.acceptance import Acceptance
from springtide.gateway.client_connection import ClientConnection
from springtide.gateway.deadlines import DeadlineQueue
from springtide.gateway.http1.body import Body, body_of
from springtide.gateway.http1.fields import Malformed
from springtide.gateway.http1.forwarding import new_call_id, own_headers
from springtide.gateway.http1.reply import reply
from springtide.gateway.http1.request import RequestHead
from springtide.gateway.request_counts import RequestCounts
from springtide.gateway.time_limit import TimeLimit
from springtide.gateway.timeouts import TimedBody
from springtide.runtime.errors import SpringtideError, reason_of, status_of
from springtide.scaler.core.ports import Clock

MAX_BUFFERED_BYTES = 512 * 1024
"""Of a large body on its way to the store; beyond it the client is not read from."""

RETRY_AFTER_S = 1
_RETRY_LATER = (429, 503)
_ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0%b%b%b\r\n\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_log = structlog.get_logger(__name__)

COUNTED_AS = "/async-function/"


@dataclass(slots=True)
class Held:
    """Bytes of all requests that are being stored, of one process; beyond ``max_bytes`` no more are taken."""

    max_bytes: int
    bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AsyncPorts:
    """What all asynchronous calls share."""

    clock: Clock
    stopping: Callable[[], bool]
    body_timeout: DeadlineQueue[TimedBody]
    counts: RequestCounts
    held: Held
    max_inline: int
    max_body: int
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class AsyncCall:
    """``acceptance`` opens the store, and raises what its caller is to be told."""

    __slots__ = (
        "_acceptance",
        "_applied",
        "_arrived",
        "_body",
        "_buffered",
        "_client",
        "_done",
        "_held",
        "_http11",
        "_keep",
        "_more",
        "_pieces",
        "_ports",
        "_size",
        "_task",
        "request_open",
    )

    def __init__(
        self,
        ports: AsyncPorts,
        client: ClientConnection,
        head: RequestHead,
        acceptance: Callable[[], Awaitable[Acceptance]],
        *,
        applied: bool,
    ) -> None:
        """``applied``: it is asynchronous because the client prefers it so, which it is told."""
        self._ports = ports
        self._client = client
        self._acceptance = acceptance
        self._applied = applied
        self._keep = head.keep_alive
        self._http11 = head.http11
        self._arrived = ports.clock.now()
        self._body: Body = body_of(head.length)
        self._pieces: list[bytes] = []
        self._size = self._buffered = self._held = 0
        self._more = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._done = False
        self.request_open = not self._body.done
        """Also of what is refused at once: its body would be taken for the next request."""

    def __repr__(self) -> str:
        return f"<AsyncCall {self._size} bytes, {'open' if self.request_open else 'whole'}>"

    def begin(self, head: RequestHead) -> None:
        """Take the part of the body that came with the head."""
        if head.length > self._ports.max_body:
            self.refuse(413, _too_large(self._ports.max_body))
            return
        if self.request_open:
            data = self._client.take(head.length)
            if data:
                rest = self.request_data(data)
                if rest:
                    self._client.keep(rest)
            elif head.expects_continue:
                self._client.write(_CONTINUE)
            if self.request_open:
                self._ports.body_timeout.start(self)
        if not self.request_open and self._task is None and not self._done:
            self._store()

    # From the client.

    def request_data(self, data: bytes) -> bytes:
        try:
            payload, rest = self._body.feed(data)
        except Malformed as error:
            self.refuse(error.status, str(error))
            return b""
        if payload and not self._take(payload):
            return b""
        if self._body.done:
            self.request_open = False
            self._ports.body_timeout.stop(self)
            self._more.set()
            if self._task is None:
                self._store()
        else:
            self._ports.body_timeout.start(self)
        return rest

    def client_left(self) -> None:
        """What it sent whole is stored all the same: it may not have seen the answer that was on its way."""
        if self.request_open and self._task is not None:
            self._task.cancel()
        self._keep = False
        self._finish(499)

    def client_ended(self) -> bool:
        return not self.request_open

    def client_stopped(self) -> None:
        """It waits for its answer."""

    def client_full(self) -> None:
        """The answer is one small piece."""

    def client_drained(self) -> None: ...

    def body_timed_out(self) -> None:
        if self._client.paused:
            self._ports.body_timeout.start(self)
            return
        limit = TimeLimit("read_timeout", self._ports.body_timeout.seconds)
        self.refuse(408, f"no more of the request's body came within {limit}")

    def refuse(self, status: int, text: str) -> None:
        if self._done:
            return
        if self._task is not None and self.request_open:
            self._task.cancel()
        extra = own_headers(new_call_id(), self._ports.clock.wall())
        if status in _RETRY_LATER:
            extra += b"\r\nRetry-After: %d" % RETRY_AFTER_S
        if self.request_open:
            self._keep = False
        self._client.write(reply(status, text, extra=extra, close=not self._keeps))
        self._finish(status)

    # Inside.

    @property
    def _keeps(self) -> bool:
        if self._ports.stopping():
            self._keep = False
        return self._keep

    def _take(self, payload: bytes) -> bool:
        """False where that is too much."""
        ports = self._ports
        self._size += len(payload)
        if self._size > ports.max_body:
            self.refuse(413, _too_large(ports.max_body))
            return False
        if ports.held.bytes + len(payload) > ports.held.max_bytes:
            self.refuse(503, "too many asynchronous calls are being stored; try again")
            return False
        self._pieces.append(payload)
        self._buffered += len(payload)
        self._held += len(payload)
        ports.held.bytes += len(payload)
        if self._size > ports.max_inline:
            if self._task is None:
                self._store()
            self._more.set()
            if self._buffered > MAX_BUFFERED_BYTES:
                self._client.pause()
        return True

    def _store(self) -> None:
        self._task = task = asyncio.get_running_loop().create_task(self._stored())
        self._ports.tasks.add(task)
        task.add_done_callback(self._ports.tasks.discard)

    async def _stored(self) -> None:
        try:
            acceptance = await self._acceptance()
            if self._size > self._ports.max_inline:
                job_id = await acceptance.streamed(self._streamed())
            else:
                job_id = await acceptance.whole(b"".join(self._pieces))
        except SpringtideError as error:
            self.refuse(status_of(error), reason_of(error))
        except Exception:  # noqa: BLE001 - whatever it was, the caller is answered, and may try again
            _log.exception("an asynchronous call could not be stored")
            self.refuse(500, "the call could not be stored: a fault of the gateway's, which its log has")
        else:
            self._accepted(job_id)

    async def _streamed(self) -> AsyncGenerator[bytes]:
        while True:
            pieces, self._pieces = self._pieces, []
            self._let_go(self._buffered)
            self._buffered = 0
            self._more.clear()
            if not self._done and self.request_open:
                self._client.resume()
            for piece in pieces:
                yield piece
            if not self._pieces:
                if not self.request_open:
                    return
                await self._more.wait()

    def _accepted(self, job_id: str) -> None:
        if self._done:
            return
        own = own_headers(job_id.encode(), self._ports.clock.wall())
        applied = b"\r\nPreference-Applied: respond-async" if self._applied else b""
        keep = self._keeps
        closes = b"\r\nConnection: close" if not keep else b"" if self._http11 else b"\r\nConnection: keep-alive"
        self._client.write(_ACCEPTED % (own, applied, closes))
        self._finish(202)

    def _finish(self, status: int) -> None:
        if self._done:
            return
        self._done = True
        ports = self._ports
        ports.body_timeout.stop(self)
        self._let_go(self._held)
        ports.counts.observe("POST", COUNTED_AS, status, ports.clock.now() - self._arrived)
        self._client.done(keep=self._keep)

    def _let_go(self, size: int) -> None:
        self._held -= size
        self._ports.held.bytes -= size


def _too_large(max_body: int) -> str:
    return f"the body of an asynchronous call has at most {max_body} bytes (max_async_body)"
