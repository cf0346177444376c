"""One call of a function, from its head to the end of its answer: sent, sent again where allowed, streamed both ways.

    begun ──► held ──► assigned to a replica ──► sent ──► answering ──► finished
                ▲                 │                │
                └─────────────────┴── lost before anything was answered

Everything happens in callbacks of the event loop; a call has no task and no timer of its own. It takes part in three
conversations: with its client, with the replica's connection that carries it, and with the data plane around it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from springtide.gateway import resend
from springtide.gateway.http1.body import chunk, last_chunk
from springtide.gateway.http1.fields import Malformed
from springtide.gateway.http1.reply import reply
from springtide.gateway.http1.response import ResponseHead
from springtide.gateway.tunnel import Tunnel
from springtide.gateway.upload import Upload

if TYPE_CHECKING:
    from springtide.gateway.backend_replica import BackendReplica
    from springtide.gateway.call_record import CallRecord
    from springtide.gateway.client_connection import ClientConnection
    from springtide.gateway.coldstart.timing import WaitTiming
    from springtide.gateway.data_plane import DataPlane
    from springtide.gateway.http1.request import RequestHead
    from springtide.gateway.replica_connection import ReplicaConnection
    from springtide.gateway.route import Route

CLIENT_LEFT = 499
"""The status counted for a caller that left before its answer; nobody is sent it."""

_REFUSALS = (429, 503)

_STILL_THERE = b"HTTP/1.1 100 Continue\r\n\r\n"
"""Asks a caller that sends no more whether it still reads. RFC 9110, 15.2: every client must take it and go on."""


class Call:
    """A call. ``request_open`` while more of the request is to come; ``status`` is 0 until an answer has begun."""

    __slots__ = (
        "_arrived",
        "_client",
        "_connection",
        "_encode",
        "_http11",
        "_keep",
        "_own_headers",
        "_plane",
        "_replica",
        "_request",
        "_resends",
        "_timed",
        "_upgrade",
        "_upload",
        "_why",
        "hold_limit",
        "method",
        "record",
        "request_open",
        "route",
        "status",
        "wait",
    )

    def __init__(
        self, plane: DataPlane, caller: ClientConnection, route: Route, head: RequestHead, target: bytes
    ) -> None:
        self._plane = plane
        self._client = caller
        self.route = route
        self.method = head.method
        self.status = 0
        self.request_open = False
        self.wait: WaitTiming | None = None
        self.hold_limit = head.timeout
        self._http11 = head.http11
        self._keep = head.keep_alive
        self._upgrade = head.upgrade
        self._upload: Upload | None = None
        self._connection: ReplicaConnection | None = None
        self._replica: BackendReplica | None = None
        self._encode = False
        self._timed = False
        self._resends = 0
        self._why = ""
        self._arrived = plane.now()
        wall = plane.wall()
        route.metrics.begin(wall)
        started = b"\r\nX-Start-Time: %d" % (wall * 1e9)
        call_id = head.call_id or plane.new_call_id()
        self._own_headers = b"\r\nX-Call-Id: %b%b" % (call_id, started)
        peer = caller.peer
        fields = head.fields
        self.record: CallRecord | None = None
        if plane.observer is not None and route is not plane.system:
            self.record, fields = plane.observer.begin(route, head, call_id, now=self._arrived, wall=wall)
        if not head.host:
            fields += b"\r\nHost: " + route.label.encode()
        self._request = b"%b %b HTTP/1.1%b%b\r\nX-Forwarded-For: %b\r\n\r\n" % (
            head.method,
            target,
            fields,
            started if head.call_id else self._own_headers,
            b"%b, %b" % (head.forwarded_for, peer) if head.forwarded_for else peer,
        )

    def __repr__(self) -> str:
        state = f"status {self.status}" if self.status else "assigned" if self._replica is not None else "held"
        return f"<Call {self.method.decode()} {self.route.label} {state}>"

    # From the plane.

    def expect_body(self, length: int) -> None:
        """Take the part of the body that came with the head. Raises Malformed."""
        upload = self._upload = Upload(length)
        self.request_open = True
        data = self._client.take(length)
        if data:
            rest = upload.feed(data)[1]
            if rest:
                self._client.keep(rest)
        self.request_open = not upload.done

    def dispatch(self) -> None:
        """Go to a replica with room, or be held until there is one."""
        plane = self._plane
        replica = self.route.pick(plane.now())
        if replica is None:
            if self._upload is not None and self._upload.kept_bytes > plane.replay_bytes:
                self._client.pause()
            plane.hold.hold(self)
        else:
            self.assign(replica)

    def assign(self, replica: BackendReplica) -> None:
        self._replica = replica
        if not self._timed:
            self._timed = True
            self._plane.start_call(self)
        if self.record is not None:
            self.record.assigned(self._plane.now(), replica.address, self.wait)
        replica.take(self, fresh=self._resends > 0)

    @property
    def kept_bytes(self) -> int:
        """Bytes of the request that are kept for (another) sending."""
        return len(self._request) + (self._upload.kept_bytes if self._upload is not None else 0)

    @property
    def why(self) -> str:
        """Why the last replica could not be used; empty when none was tried."""
        return self._why

    def refuse(self, status: int, text: str, reason: str) -> None:
        """Answer in place of the function; only before an answer has begun."""
        self.status = status
        self._note_refusal(reason, text)
        if self.request_open or self._plane.stopping:
            self._keep = False
        extra = self._own_headers
        if status in _REFUSALS:
            extra += b"\r\nRetry-After: 1"
        self._client.write(reply(status, text, extra=extra, close=not self._keep, head_only=self.method == b"HEAD"))
        self._finish()

    def timed_out(self) -> None:
        """The whole call, or the wait for its first byte, took too long."""
        if not self.status:
            self.refuse(504, f"{self.route.label} did not answer in time", "upstream_timeout")
        else:
            self._cut("upstream_timeout")

    def body_timed_out(self) -> None:
        """The caller sends its body too slowly; not its fault while we do not read."""
        if self._client.paused or self._connection is None:
            self._plane.body_idle.start(self)
        elif self.status:
            self._cut("stalled_body")
        else:
            self.refuse(408, "the request's body did not arrive in time", "stalled_body")

    # From the caller.

    def request_data(self, data: bytes) -> bytes:
        plane, upload = self._plane, self._upload
        assert upload is not None
        try:
            payload, rest = upload.feed(data)
        except Malformed as error:
            self._spoilt(error)
            return b""
        if upload.done:
            self.request_open = False
            plane.body_idle.stop(self)
        else:
            plane.body_idle.start(self)
        connection = self._connection
        if connection is not None:
            if upload.kept_bytes > plane.replay_bytes:
                upload.forget()
            if payload:
                connection.write(payload)
        elif not plane.hold.grow(self, len(payload)) or upload.kept_bytes > plane.replay_bytes:
            self._client.pause()
        return rest

    def client_left(self) -> None:
        self.status = self.status or CLIENT_LEFT
        self._keep = False
        self._finish()

    def client_ended(self) -> bool:
        """It has left, or waits for its answer: then what it is sent is welcome, while a closed connection is reset.

        Who ends in the middle of its answer has left: between two events of a stream there is nothing to send.
        """
        if self.request_open or self.status or not self._http11:
            return False
        self.client_stopped()
        return True

    def client_stopped(self) -> None:
        if self._http11 and not self.status:
            self._client.write(_STILL_THERE)

    def client_full(self) -> None:
        if self._connection is not None:
            self._connection.pause()

    def client_drained(self) -> None:
        if self._connection is not None:
            self._connection.resume()

    # From the replica.

    def still_wants(self, replica: BackendReplica) -> bool:
        return self._replica is replica and self._connection is None

    def connected(self, connection: ReplicaConnection) -> None:
        self._connection = connection
        upload = self._upload
        if upload is None:
            connection.begin(self, self._request)
            return
        connection.begin(self, b"".join((self._request, *upload.kept)))
        if upload.kept_bytes > self._plane.replay_bytes:
            upload.forget()
        if self.request_open:
            self._plane.body_idle.start(self)
            self._client.resume()

    def rejected(self, why: str) -> None:
        self._leave_replica(why)
        self._why = why
        self.dispatch()

    def replica_lost(self, why: str) -> None:
        connection, self._connection = self._connection, None
        self._leave_replica(why)
        self._why = why
        retry_posts = self._plane.retry_posts
        if self.status or connection is None:
            self._cut("answer_cut")
        elif self._whole and resend.after_loss(connection, self.method, self._resends, retry_posts=retry_posts):
            self._resends += 1
            self.dispatch()
        else:
            self.refuse(502, f"{self.route.label} could not answer: {why}", "upstream_failed")

    def replica_full(self) -> None:
        if self.request_open:
            self._client.pause()

    def replica_drained(self) -> None:
        if self.request_open:
            self._client.resume()

    def interim(self, head: ResponseHead) -> None:
        if self._http11:
            self._client.write(b"HTTP/1.1 %b%b\r\n\r\n" % (head.status_text, head.fields))

    def answer(self, head: ResponseHead, length: int, payload: bytes) -> None:
        replica = self._replica
        if (
            replica is not None
            and (replica.failures or head.status in _REFUSALS)
            and self._refused_unseen(replica, head)
        ):
            return
        self.status = head.status
        if self._upload is not None:
            self._upload.forget()
        plane = self._plane
        if plane.first_byte_timed:
            plane.first_byte.stop(self)
        if self.record is not None:
            self.record.answering(plane.now(), length)
        if plane.stopping or (self.request_open and length == len(payload)):
            self._keep = False  # with the whole answer here, nobody waits for the rest of the request
        extra = b""
        if length < 0:
            if self._http11:
                self._encode = True
                extra = b"\r\nTransfer-Encoding: chunked"
                payload = chunk(payload)
            else:
                self._keep = False  # the end of the connection is the only end an HTTP/1.0 caller understands
        if self.wait is not None:
            extra += self.wait.answer(plane.now())
        if not (self._keep and self._http11):
            extra += b"\r\nConnection: keep-alive" if self._keep else b"\r\nConnection: close"
        self._client.write(
            b"HTTP/1.1 %b%b%b%b\r\n\r\n%b" % (head.status_text, head.fields, self._own_headers, extra, payload)
        )

    def answer_more(self, payload: bytes) -> None:
        self._client.write(chunk(payload) if self._encode else payload)

    def answered(self, trailers: bytes) -> None:
        if self._encode:
            self._client.write(last_chunk(trailers))
        if self.request_open:
            self._keep = False
        self._finish(reusable=not self.request_open)

    def switched(self, head: ResponseHead, data: bytes) -> None:
        connection = self._connection
        if connection is None or not self._upgrade or self.request_open:
            self._drop_upstream()
            self.refuse(502, f"{self.route.label} switched protocols unasked", "upstream_failed")
            return
        self.status = 101
        if self.record is not None:
            self.record.answering(self._plane.now(), -1)
        self._connection = None
        self._plane.stop_call(self)
        fields = b"%b%b\r\nConnection: Upgrade\r\nUpgrade: %b" % (head.fields, self._own_headers, head.upgrade)
        self._client.write(b"HTTP/1.1 %b%b\r\n\r\n" % (head.status_text, fields))
        Tunnel(self._plane.tunnels, self._client, connection, self._tunnel_finished).open(data)

    # Inside.

    @property
    def _whole(self) -> bool:
        """Everything that was read of the request is still here to be sent again."""
        return self._upload is None or self._upload.replayable

    def _refused_unseen(self, replica: BackendReplica, head: ResponseHead) -> bool:
        """Send the call again if ``head`` refuses it before the function saw it; otherwise its replica is well."""
        if not self._whole or not resend.after_refusal(replica, head, self._resends):
            replica.mark_healthy()
            return False
        self._resends += 1
        self._drop_upstream()
        replica.pause()
        self._leave_replica(f"it answered {head.status}")
        self.dispatch()
        return True

    def _spoilt(self, error: Malformed) -> None:
        """The body is no body: whatever the replica has seen of it stays unfinished."""
        if self.status:
            self._cut("malformed")
        else:
            self.refuse(error.status, str(error), "malformed")

    def _cut(self, reason: str) -> None:
        """An answer has begun and cannot be finished: the caller must see that it is not whole."""
        self._note_refusal(reason, "")
        self._drop_upstream()
        self._client.abort()
        # The connection's end comes back as client_left, which finishes the call.

    def _note_refusal(self, reason: str, text: str) -> None:
        self.route.metrics.refuse(reason)
        if self.record is not None:
            self.record.refused(reason, text)

    def _leave_replica(self, why: str) -> None:
        """Lose the replica; another may be tried."""
        replica, self._replica = self._replica, None
        if replica is not None:
            replica.leave()
        if self.record is not None:
            self.record.lost(self._plane.now(), why)
            self._request = self.record.resent(self._request)

    def _drop_upstream(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.release(reusable=False)

    def _finish(self, *, reusable: bool = False) -> None:
        plane, route = self._plane, self.route
        plane.stop_call(self)
        if self._upload is not None:
            plane.body_idle.stop(self)
        connection, self._connection = self._connection, None
        replica, self._replica = self._replica, None
        if replica is None:
            plane.hold.leave(self)
        else:
            replica.leave()
        if connection is not None:
            connection.release(reusable=reusable)
        now = plane.now()
        route.metrics.end(self.status, now - self._arrived, plane.wall())
        if self.record is not None and plane.observer is not None:
            plane.observer.finished(self.record, self.status, now)
            exemplar = self.record.exemplar(now - self._arrived, now)
            if exemplar is not None:
                route.metrics.exemplify(self.status, exemplar)
        if route.metrics.held:
            plane.hold.pump(route)
        self._client.done(keep=self._keep)

    def _tunnel_finished(self) -> None:
        self._keep = False
        self._finish()
