"""One call of a function, from its head to the end of its answer: sent, sent again where allowed, streamed both ways.

Its states, and what moves it from one to the next, are the table in ``call_state``. Everything happens in callbacks of
the event loop; a call has no task and no timer of its own. It speaks with its client's connection, with the replica's
connection that carries it, and, through the four ports below, with what all calls share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from springtide.gateway import resend
from springtide.gateway.backend_replica import BackendReplica
from springtide.gateway.broken_answers import BrokenAnswers
from springtide.gateway.call_record import CLIENT_LEFT, CallRecord, Observer
from springtide.gateway.call_state import TRANSITIONS, CallEvent, CallState
from springtide.gateway.client_connection import ClientConnection
from springtide.gateway.coldstart.admission import WaitingCall
from springtide.gateway.coldstart.timing import WaitTiming
from springtide.gateway.deadlines import DeadlineQueue
from springtide.gateway.http1.body import chunk, last_chunk
from springtide.gateway.http1.fields import Malformed
from springtide.gateway.http1.forwarding import interim_head, response_head, switching_head
from springtide.gateway.http1.reply import reply
from springtide.gateway.http1.request import RequestHead
from springtide.gateway.http1.response import ResponseHead
from springtide.gateway.replica_connection import ReplicaConnection
from springtide.gateway.resend import ResendRules
from springtide.gateway.route import Route
from springtide.gateway.time_limit import TimeLimit, shown_s
from springtide.gateway.timeouts import CallLimit, TimedBody, TimedTunnel
from springtide.gateway.tunnel import Tunnel
from springtide.gateway.upload import Upload
from springtide.scaler.core import catalogue
from springtide.scaler.core.ports import Clock

_RETRY_LATER = (429, 503)

_STILL_THERE = b"HTTP/1.1 100 Continue\r\n\r\n"
"""Asks a client that sends no more whether it still reads. RFC 9110, 15.2: every client must take it and go on."""

_NEW = CallState.ROUTING  # looking a member up costs five times what a name does
_HOLD, _ASSIGN, _SEND, _LOSE, _ANSWER, _SWITCH, _FINISH = (TRANSITIONS[event] for event in CallEvent)


class CallAdmission(Protocol):
    """Where a call waits that finds no replica with room."""

    def hold(self, call: WaitingCall) -> None: ...

    def grow(self, call: WaitingCall, size: int) -> bool:
        """More of its body is kept; False when no more of it should be read while it waits."""

    def leave(self, call: WaitingCall) -> None: ...

    def release(self, route: Route) -> None:
        """A call has ended: others may be let in."""


class CallTimeouts(Protocol):
    """The time-outs of a call, and of the tunnel that it may become."""

    @property
    def body(self) -> DeadlineQueue[TimedBody]: ...

    @property
    def first_byte(self) -> TimeLimit: ...

    @property
    def max_call(self) -> TimeLimit: ...

    @property
    def tunnel(self) -> DeadlineQueue[TimedTunnel]: ...


class Stopping(Protocol):
    """Whether the gateway stops, so that each answer is its connection's last."""

    @property
    def stopping(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class CallPorts:
    """What all calls share: four ports, what is told of calls (if it is to be), and when a call is sent again."""

    clock: Clock
    admission: CallAdmission
    timeouts: CallTimeouts
    draining: Stopping
    observer: Observer | None
    broken: BrokenAnswers
    resend: ResendRules


class Call:
    """A call. ``request_open`` while more of the request is to come; ``status`` is 0 until an answer has begun."""

    __slots__ = (
        "_arrived",
        "_client",
        "_connection",
        "_encode",
        "_http11",
        "_keep",
        "_limit",
        "_own_headers",
        "_ports",
        "_replica",
        "_request",
        "_resends",
        "_upgrade",
        "_upload",
        "last_loss",
        "method",
        "record",
        "request_open",
        "requested_timeout",
        "route",
        "state",
        "status",
        "timing",
        "wait_limit",
    )

    def __init__(
        self,
        ports: CallPorts,
        client: ClientConnection,
        *,
        route: Route,
        head: RequestHead,
        request: bytes,
        own_headers: bytes,
        arrived: float,
        record: CallRecord | None,
    ) -> None:
        """``request`` is the head as a replica is sent it; ``own_headers`` are the lines that each answer carries.

        ``arrived`` is the instant from which the call's time is measured.
        """
        self._ports = ports
        self._client = client
        self.route = route
        self.state = _NEW
        self.method = head.method
        self.status = 0
        self.request_open = False
        self.timing: WaitTiming | None = None
        self.requested_timeout = head.timeout
        self.last_loss = ""
        self.wait_limit: TimeLimit | None = None
        self.record = record
        self._http11 = head.http11
        self._keep = head.keep_alive
        self._upgrade = bool(head.upgrade)
        self._upload: Upload | None = None
        self._connection: ReplicaConnection | None = None
        self._replica: BackendReplica | None = None
        self._encode = False
        self._limit: CallLimit | None = None
        self._resends = 0
        self._request = request
        self._own_headers = own_headers
        self._arrived = arrived

    def __repr__(self) -> str:
        status = f" {self.status}" if self.status else ""
        return f"<Call {self.method.decode()} {self.route.label} {self.state.name.lower()}{status}>"

    # From the dispatcher and the queue of waiting calls.

    def expect_body(self, length: int) -> None:
        """Take the part of the body that came with the head. Raises Malformed."""
        data = self._client.take(length)
        if len(data) == length:
            self._upload = Upload(length, data)
            return
        upload = self._upload = Upload(length)
        self.request_open = True
        if data:
            rest = upload.feed(data)[1]
            if rest:
                self._client.keep(rest)
        self.request_open = not upload.done

    def carry(self, body: bytes) -> None:
        """Take a body that is whole already."""
        self._upload = Upload(len(body), body)

    def dispatch(self) -> None:
        """Go to a replica with room, or wait until there is one."""
        ports = self._ports
        replica = self.route.pick(ports.clock.now())
        if replica is not None:
            self.assign(replica)
            return
        self.state = _HOLD[self.state]
        if self._upload is not None and self._upload.kept_bytes > ports.resend.max_kept_bytes:
            self._client.pause()
        ports.admission.hold(self)

    def assign(self, replica: BackendReplica) -> None:
        self.state = _ASSIGN[self.state]
        self._replica = replica
        if self._limit is None:
            limit = self._limit = self.route.limit
            if limit is not None:
                limit.start(self)
        if self.record is not None:
            self.record.assigned(self._ports.clock.now(), replica.address)
        replica.take(self, fresh=self._resends > 0)

    @property
    def kept_bytes(self) -> int:
        """Bytes of the request that are kept for (another) sending."""
        return len(self._request) + (self._upload.kept_bytes if self._upload is not None else 0)

    def refuse(self, status: int, text: str, reason: str, retry_after_s: int = 1) -> None:
        """Answer in place of the function; only before an answer has begun."""
        self.status = status
        self._note_refusal(reason, text)
        if self.request_open or self._ports.draining.stopping:
            self._keep = False
        extra = self._own_headers
        if status in _RETRY_LATER:
            extra += b"\r\nRetry-After: %d" % retry_after_s
        self._client.write(reply(status, text, extra=extra, close=not self._keep, head_only=self.method == b"HEAD"))
        self._finish()

    def timed_out(self) -> None:
        """Its answer did not begin in time, or is silent for too long; not its fault while we do not read."""
        limit = self._limit
        assert limit is not None
        if not self.status:
            text = f"{self.route.label} did not answer within {limit.limit.with_remedy}"
            self.refuse(504, text, "upstream_timeout")
        elif self._client.full:
            limit.stream(self)
        else:
            self._cut(
                catalogue.STREAM_IDLE, f"nothing came for {shown_s(limit.idle_s)}; set stream_idle of the gateway"
            )

    def first_byte_timed_out(self) -> None:
        text = f"{self.route.label} did not begin to answer within {self._ports.timeouts.first_byte.with_remedy}"
        self.refuse(504, text, "upstream_timeout")

    def body_timed_out(self) -> None:
        """The client sends its body too slowly; not its fault while we do not read."""
        queue = self._ports.timeouts.body
        limit = TimeLimit("read_timeout", queue.seconds)
        if self._client.paused or self._connection is None:
            queue.start(self)
        elif self.status:
            self._cut("stalled_body", f"no more of the request's body came within {limit}")
        else:
            self.refuse(408, f"no more of the request's body came within {limit}", "stalled_body")

    # From the client.

    def request_data(self, data: bytes) -> bytes:
        ports, upload = self._ports, self._upload
        assert upload is not None
        try:
            payload, rest = upload.feed(data)
        except Malformed as error:
            self._malformed_body(error)
            return b""
        if upload.done:
            self.request_open = False
            ports.timeouts.body.stop(self)
        else:
            ports.timeouts.body.start(self)
        connection = self._connection
        if connection is not None:
            if self._limit is not None and not self._keeps_coming(self._limit):
                return b""
            if upload.kept_bytes > ports.resend.max_kept_bytes:
                upload.forget()
            if payload:
                connection.write(payload)
        elif not ports.admission.grow(self, len(payload)) or upload.kept_bytes > ports.resend.max_kept_bytes:
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
        self.state = _SEND[self.state]
        self._connection = connection
        upload = self._upload
        if upload is None:
            connection.begin(self, self._request)
            return
        connection.begin(self, b"".join((self._request, *upload.kept)))
        if upload.kept_bytes > self._ports.resend.max_kept_bytes:
            upload.forget()
        if self.request_open:
            self._ports.timeouts.body.start(self)
            self._client.resume()

    def rejected(self, why: str) -> None:
        self._leave_replica(why)
        self.last_loss = why
        self.state = _LOSE[self.state]
        self.dispatch()

    def replica_lost(self, why: str) -> None:
        connection, self._connection = self._connection, None
        self._leave_replica(why)
        if self.status or connection is None:
            self._cut(catalogue.ANSWER_CUT, why)
            return
        self.last_loss = why
        self.state = _LOSE[self.state]
        heard, retry_posts = connection.heard, self._ports.resend.retry_posts
        job = resend.JOB in self._request.lower()
        if self._whole and resend.after_loss(self.method, self._resends, heard=heard, retry_posts=retry_posts, job=job):
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
            self._client.write(interim_head(head))

    def answer(self, head: ResponseHead, length: int, payload: bytes) -> None:
        replica = self._replica
        if (
            replica is not None
            and (replica.failures or head.status in _RETRY_LATER)
            and self._refused_unseen(replica, head)
        ):
            return
        self.state = _ANSWER[self.state]
        self.status = head.status
        if self._upload is not None:
            self._upload.forget()
        ports = self._ports
        if length != len(payload) and self._limit is not None:
            self._limit.stream(self)
        if self.record is not None:
            self.record.answering(ports.clock.now(), length)
        if ports.draining.stopping or (self.request_open and length == len(payload)):
            self._keep = False  # with the whole answer here, nobody waits for the rest of the request
        if length < 0:
            if self._http11:
                self._encode = True
                payload = chunk(payload)
            else:
                self._keep = False  # the end of the connection is the only end an HTTP/1.0 client understands
        answer = response_head(
            head,
            self._own_headers,
            chunked=self._encode,
            timing=self.timing.answer(ports.clock.now()) if self.timing is not None else b"",
            http11=self._http11,
            keep_alive=self._keep,
        )
        self._client.write(answer + payload)

    def answer_more(self, payload: bytes) -> None:
        if self._limit is not None:
            self._limit.stream(self)
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
            self._drop_connection()
            self.refuse(502, f"{self.route.label} switched protocols unasked", "upstream_failed")
            return
        self.state = _SWITCH[self.state]
        self.status = 101
        ports = self._ports
        if self.record is not None:
            self.record.answering(ports.clock.now(), -1)
        self._connection = None
        if self._limit is not None:
            self._limit.stop(self)
        self._client.write(switching_head(head, self._own_headers))
        Tunnel(ports.timeouts.tunnel, self._client, connection, self._tunnel_finished).open(data)

    # Inside.

    @property
    def _whole(self) -> bool:
        """Everything that was read of the request is still here to be sent again."""
        return self._upload is None or self._upload.replayable

    def _refused_unseen(self, replica: BackendReplica, head: ResponseHead) -> bool:
        """Send the call again if ``head`` refuses it before the function saw it; otherwise its replica is healthy."""
        if not self._whole or not resend.after_refusal(
            head, self._resends, by_proxy=bool(replica.prefix), replicas=len(self.route.ready)
        ):
            replica.mark_healthy()
            return False
        self._resends += 1
        self._drop_connection()
        replica.pause()
        self._leave_replica(f"it answered {head.status}")
        self.state = _LOSE[self.state]
        self.dispatch()
        return True

    def _malformed_body(self, error: Malformed) -> None:
        """The body breaks the rules: whatever the replica has seen of it stays unfinished."""
        if self.status:
            self._cut("malformed", str(error))
        else:
            self.refuse(error.status, str(error), "malformed")

    def _keeps_coming(self, limit: CallLimit) -> bool:
        """More of the request came: what there is for a call begins anew. False for one that has ended by that."""
        ports = self._ports
        if self.status:
            limit.stream(self)
            return True
        longest = ports.timeouts.max_call
        if longest.seconds and ports.clock.now() - self._arrived > longest.seconds:
            self.refuse(408, f"the request's body did not arrive within {longest}", "stalled_body")
            return False
        limit.start(self)
        return True

    def _cut(self, reason: str, why: str) -> None:
        """An answer has begun and cannot be finished: the caller must see that it is not whole."""
        self._note_broken(reason, why)
        self._drop_connection()
        self._client.abort()
        # The connection's end comes back as client_left, which finishes the call.

    def _note_broken(self, reason: str, why: str) -> None:
        self._note_refusal(reason, why)
        self._ports.broken.note(self.route.label, reason, why)

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
            self.record.lost(self._ports.clock.now(), why)
            self._request = self.record.resent(self._request)

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.release(reusable=False)

    def _finish(self, *, reusable: bool = False) -> None:
        self.state = _FINISH[self.state]
        ports, route = self._ports, self.route
        clock = ports.clock
        limit = self._limit
        if limit is not None:
            limit.stop(self)
        if self.request_open:
            ports.timeouts.body.stop(self)
        connection, self._connection = self._connection, None
        replica, self._replica = self._replica, None
        if replica is None:
            ports.admission.leave(self)
        else:
            replica.leave()
        if connection is not None:
            connection.release(reusable=reusable)
        now = clock.now()
        route.metrics.end(self.status, now - self._arrived, clock.wall())
        if self.record is not None and ports.observer is not None:
            ports.observer.finished(self.record, self.status, now)
            exemplar = self.record.exemplar(now - self._arrived, now)
            if exemplar is not None:
                route.metrics.exemplify(self.status, exemplar)
        if route.metrics.held:
            ports.admission.release(route)
        self._client.done(keep=self._keep)

    def _tunnel_finished(self, silent: bool) -> None:  # noqa: FBT001 - a callback of one argument
        if silent:
            limit = TimeLimit("tunnel_idle", self._ports.timeouts.tunnel.seconds)
            self._note_broken(catalogue.TUNNEL_IDLE, f"neither side sent anything within {limit}")
        self._keep = False
        self._finish()
