"""One asynchronous call: its request is taken from the client, stored, and answered once it is on disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from springtide.gateway.client_connection import ClientConnection
from springtide.gateway.deadlines import DeadlineQueue
from springtide.gateway.http1.body import Body, body_of
from springtide.gateway.http1.fields import Malformed
from springtide.gateway.http1.forwarding import new_call_id, own_headers
from springtide.gateway.http1.reply import reply
from springtide.gateway.http1.request import RequestHead
from springtide.gateway.request_counts import OTHER, VERBS, RequestCounts
from springtide.gateway.time_limit import TimeLimit
from springtide.gateway.timeouts import TimedBody
from springtide.runtime.errors import SpringtideError, reason_of, status_of
from springtide.scaler.core.ports import Clock

MAX_BUFFERED_BYTES = 512 * 1024
"""Of a large body on its way to the store; beyond it the client is not read from."""

RETRY_AFTER_S = 1
_RETRY_LATER = (429, 503)
_ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0%b%b%b\r\n\r\n"
_CHALLENGE = b"\r\nWWW-Authenticate: Webhook"
"""RFC 9110, 15.5.2, wants one; how to sign is its sender's to know."""

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_log = structlog.get_logger(__name__)

COUNTED_AS = "/async-function/"


@dataclass(frozen=True, slots=True)
class Answered:
    """The request needs no job: this is its whole answer, in plain text."""

    status: int
    text: bytes = b""


@dataclass(frozen=True, slots=True)
class HandedOver:
    """Somebody else answers the request, and is the client's handler once this is called."""

    begin: Callable[[], None]


Taken = str | Answered | HandedOver
"""What became of a request: the id of its job, or one of those."""


class Acceptor(Protocol):
    """Who takes a whole request. Each raises what its caller is to be told."""

    async def whole(self, body: bytes) -> Taken: ...

    async def streamed(self, pieces: AsyncIterator[bytes]) -> str:
        """For bodies larger than ``max_inline``."""
        ...


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
    body_setting: str = "max_async_body"
    max_upload_s: float = 0.0
    """However steadily it comes; 0: it may take any time."""
    counted_as: str = COUNTED_AS
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
        "_ended",
        "_held",
        "_http11",
        "_keep",
        "_method",
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
        acceptance: Callable[[], Awaitable[Acceptor]],
        *,
        applied: bool = False,
        ended: Callable[[int], None] | None = None,
    ) -> None:
        """``applied``: it is asynchronous because the client prefers it so, which it is told. ``ended`` is told the
        status of the answer, 499 where nobody waits for it, unless it is handed over."""
        self._ports = ports
        self._client = client
        self._acceptance = acceptance
        self._applied = applied
        self._ended = ended
        self._keep = head.keep_alive
        self._http11 = head.http11
        self._method = head.method.decode()
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
            self.refuse(413, self._too_large())
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
            longest, clock = self._ports.max_upload_s, self._ports.clock
            if longest and clock.now() - self._arrived > longest:
                self.refuse(408, f"the request's body did not arrive within {longest:g} s")
                return b""
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

    def refuse(self, status: int, text: str, extra: bytes = b"") -> None:
        """``extra`` are header lines, each with the CRLF before it."""
        if self._done:
            return
        if self._task is not None and self.request_open:
            self._task.cancel()
        extra += own_headers(new_call_id(), self._ports.clock.wall())
        if status == 401:
            extra += _CHALLENGE
        if status in _RETRY_LATER:
            extra += b"\r\nRetry-After: %d" % RETRY_AFTER_S
        if self.request_open:
            self._keep = False
        head_only = self._method == "HEAD"
        self._client.write(reply(status, text, extra=extra, close=not self._keeps, head_only=head_only))
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
            self.refuse(413, self._too_large())
            return False
        if ports.held.bytes + len(payload) > ports.held.max_bytes:
            self.refuse(503, "too many requests are being received and stored; try again")
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
            taken: Taken
            if self._size > self._ports.max_inline:
                taken = await acceptance.streamed(self._streamed())
            else:
                taken = await acceptance.whole(b"".join(self._pieces))
        except SpringtideError as error:
            self.refuse(status_of(error), reason_of(error))
        except Exception:  # noqa: BLE001 - whatever it was, the caller is answered, and may try again
            _log.exception("an asynchronous call could not be stored")
            self.refuse(500, "the call could not be stored: a fault of the gateway's, which its log has")
        else:
            self._taken(taken)

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

    def _taken(self, taken: Taken) -> None:
        if self._done:
            return
        match taken:
            case str(job_id):
                self._accepted(job_id)
            case Answered(status, text):
                own = own_headers(new_call_id(), self._ports.clock.wall())
                self._client.write(reply(status, text, extra=own, close=not self._keeps))
                self._finish(status)
            case HandedOver(begin):
                self._release()
                begin()

    def _accepted(self, job_id: str) -> None:
        own = own_headers(job_id.encode(), self._ports.clock.wall())
        applied = b"\r\nPreference-Applied: respond-async" if self._applied else b""
        keep = self._keeps
        closes = b"\r\nConnection: close" if not keep else b"" if self._http11 else b"\r\nConnection: keep-alive"
        self._client.write(_ACCEPTED % (own, applied, closes))
        self._finish(202)

    def _finish(self, status: int) -> None:
        if self._done:
            return
        self._release()
        ports = self._ports
        method = self._method if self._method in VERBS else OTHER
        ports.counts.observe(method, ports.counted_as, status, ports.clock.now() - self._arrived)
        if self._ended is not None:
            self._ended(status)
        self._client.done(keep=self._keep)

    def _release(self) -> None:
        self._done = True
        self._ports.body_timeout.stop(self)
        self._let_go(self._held)

    def _let_go(self, size: int) -> None:
        self._held -= size
        self._ports.held.bytes -= size

    def _too_large(self) -> str:
        return f"the body has at most {self._ports.max_body} bytes here ({self._ports.body_setting})"


def refuse(
    ports: AsyncPorts, client: ClientConnection, head: RequestHead, status: int, text: str, extra: bytes = b""
) -> None:
    """A request of which nothing is read but its head. ``extra`` as ``AsyncCall.refuse`` has it."""

    async def never() -> Acceptor:
        raise AssertionError("it was refused")

    call = AsyncCall(ports, client, head, never)
    client.handle_with(call)
    call.refuse(status, text, extra)
