"""What is written down of one call while it happens, where somebody wants to know of calls one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import getrandbits
from typing import Protocol

from springtide.gateway import trace_context
from springtide.gateway.call_metrics import Exemplar
from springtide.gateway.http1.request import RequestHead

CLIENT_LEFT = 499
"""The status counted for a client that left before its answer; nobody is sent it."""


def new_span_id() -> int:
    """Zero is not a valid id."""
    return getrandbits(64) or 1


@dataclass(slots=True)
class Stay:
    """A stay in the queue. ``parts`` of a cold one: when the wake was decided, and when it was accepted."""

    began: float
    ended: float | None = None
    served: bool = False
    """A replica took the call."""
    cold: bool = False
    parts: tuple[float, float] = (0.0, 0.0)


@dataclass(slots=True)
class Attempt:
    """The call at one replica. ``why`` is empty unless it was lost there."""

    span_id: int
    address: str
    began: float
    ended: float | None = None
    first_byte: float | None = None
    why: str = ""


@dataclass(slots=True)
class Trace:
    """Where the call's spans belong. ``next_id`` is the one that the request to the next replica names."""

    trace_id: int
    flags: int
    parent_id: int
    announced: bool
    """Whether the function is told: not when the caller sent something that is not a trace context."""
    span_id: int = field(default_factory=new_span_id)
    next_id: int = field(default_factory=new_span_id)

    def traceparent(self) -> bytes:
        return trace_context.written(self.trace_id, self.next_id, self.flags)


@dataclass(slots=True)
class CallRecord:
    """Instants are on the monotonic clock; ``wall`` is the time of day at ``arrived``."""

    function: str
    method: bytes
    call_id: bytes
    arrived: float
    wall: float
    request_bytes: int
    trace: Trace | None = None
    response_bytes: int = -1
    """Negative where it is not known from the head."""
    reason: str = ""
    text: str = ""
    """Why we answered in place of the function, or broke its answer off."""
    stays: list[Stay] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)

    def held(self, now: float) -> None:
        self.stays.append(Stay(now))

    def taken_from_queue(
        self, now: float, *, cold: bool, wake_within: Callable[[float, float], tuple[float, float]]
    ) -> None:
        """A replica takes the call; ``wake_within`` tells the parts of the wake that lie between two instants."""
        stay = self.stays[-1]
        stay.ended, stay.served = now, True
        stay.cold, stay.parts = cold, wake_within(stay.began, now)

    def assigned(self, now: float, address: str) -> None:
        """A replica has the call."""
        self.attempts.append(Attempt(self.trace.next_id if self.trace else 0, address, now))

    def lost(self, now: float, why: str) -> None:
        """The replica did not answer it; another may be asked."""
        if self.attempts:
            self.attempts[-1].ended, self.attempts[-1].why = now, why

    def resent(self, request: bytes) -> bytes:
        """``request`` as the next replica is sent it: each attempt is a span of its own."""
        trace = self.trace
        if trace is None or not trace.announced:
            return request
        before, trace.next_id = trace.traceparent(), new_span_id()
        return request.replace(before, trace.traceparent(), 1)

    def answering(self, now: float, length: int) -> None:
        self.response_bytes = length
        if self.attempts:
            self.attempts[-1].first_byte = now

    def refused(self, reason: str, text: str) -> None:
        self.reason, self.text = reason, text

    def exemplar(self, seconds: float, now: float) -> Exemplar | None:
        """What ``seconds`` of this call, just measured, is an example of; None where it has no trace to look at."""
        if self.trace is None:
            return None
        return Exemplar(seconds, self.wall + now - self.arrived, self.trace.trace_id)

    @property
    def held_s(self) -> float:
        return sum(stay.ended - stay.began for stay in self.stays if stay.ended is not None)


class Tracer(Protocol):
    """Where spans go."""

    def begin(self, fields: bytes, now: float) -> Trace | None:
        """Where the spans of a call with this head belong; None when it is not traced."""

    def finished(self, record: CallRecord, status: int, now: float) -> None: ...


class AccessLog(Protocol):
    """Where a line for each call goes."""

    def finished(self, record: CallRecord, status: int, now: float) -> None: ...


@dataclass(frozen=True, slots=True)
class _Both:
    one: AccessLog
    other: AccessLog

    def finished(self, record: CallRecord, status: int, now: float) -> None:
        self.one.finished(record, status, now)
        self.other.finished(record, status, now)


class Observer:
    """Records calls one by one, for traces and the access log. Without either a gateway has no observer."""

    def __init__(self, tracer: Tracer | None, access_log: AccessLog | None) -> None:
        self._tracer = tracer
        self._access_log = access_log

    def begin(
        self, function: str, head: RequestHead, call_id: bytes, fields: bytes, *, now: float, wall: float
    ) -> tuple[CallRecord | None, bytes]:
        """The record to keep of a call, if one is wanted, and ``fields``, its header lines, as the function gets them.

        ``now`` and ``wall`` are when it came, by both clocks.
        """
        trace = self._tracer.begin(fields, now) if self._tracer is not None else None
        if trace is None and self._access_log is None:
            return None, fields
        record = CallRecord(function, head.method, call_id, now, wall, head.length, trace)
        if trace is None or not trace.announced:
            return record, fields
        return record, trace_context.replaced(fields, trace.traceparent())

    @staticmethod
    def telling(log: AccessLog, also: Observer | None) -> Observer:
        """One of a single call, which ``log`` is told of, and whoever else is told of calls."""
        if also is None:
            return Observer(None, log)
        return Observer(also._tracer, log if also._access_log is None else _Both(log, also._access_log))

    def finished(self, record: CallRecord, status: int, now: float) -> None:
        if record.stays and record.stays[-1].ended is None:
            record.stays[-1].ended = now
        if record.attempts and record.attempts[-1].ended is None:
            record.attempts[-1].ended = now
        if record.trace is not None and self._tracer is not None:
            self._tracer.finished(record, status, now)
        if self._access_log is not None:
            self._access_log.finished(record, status, now)
