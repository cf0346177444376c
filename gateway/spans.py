"""From a CallRecord to OpenTelemetry's spans, named as its HTTP conventions name them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from springtide.gateway.call_record import CLIENT_LEFT, Attempt, CallRecord, Stay, Trace, new_span_id

ROUTE = "/function/{name}"
MAX_CALL_ID = 128
"""Characters kept of what the caller chose."""

Attributes = dict[str, str | int | bool]

_METHODS = frozenset((b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH"))
_UNSET = Status(StatusCode.UNSET)
_SCOPE = InstrumentationScope("springtide.gateway")


class Maker:
    """Makes the spans of one gateway process."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource

    def spans(self, record: CallRecord, status: int, now: float) -> Iterator[ReadableSpan]:
        """The call's own span last, as a tracer would end them."""
        assert record.trace is not None
        call = _Call(record, record.trace, self._resource)
        for stay in record.stays:
            yield from call.waiting(stay, status)
        for number, attempt in enumerate(record.attempts):
            yield call.proxying(attempt, number, status)
        yield call.whole(status, now)


class _Call:
    def __init__(self, record: CallRecord, trace: Trace, resource: Resource) -> None:
        self._record, self._trace, self._resource = record, trace, resource
        known = record.method in _METHODS
        self._method = record.method.decode() if known else "_OTHER"
        self._name = self._method if known else "HTTP"
        self._own = self._context(trace.span_id)

    def whole(self, status: int, now: float) -> ReadableSpan:
        record, parent_id = self._record, self._trace.parent_id
        attributes: Attributes = {
            "http.request.method": self._method,
            "http.route": ROUTE,
            "url.scheme": "http",
            "faas.name": record.function,
            "springtide.call_id": record.call_id.decode("ascii", "backslashreplace")[:MAX_CALL_ID],
        }
        if record.request_bytes >= 0:
            attributes["http.request.body.size"] = record.request_bytes
        if record.response_bytes >= 0:
            attributes["http.response.body.size"] = record.response_bytes
        failed = _UNSET
        if status == CLIENT_LEFT:
            attributes["error.type"] = "caller_left"
        else:
            attributes["http.response.status_code"] = status
        if record.reason:
            attributes["error.type"] = record.reason
        elif status >= 500:
            attributes["error.type"] = str(status)
        if status >= 500 or (record.reason and status < 400):  # an answer that began well was broken off
            failed = Status(StatusCode.ERROR, record.text or None)
        parent = self._context(parent_id, remote=True) if parent_id else None
        return self._span(
            f"{self._name} {ROUTE}",
            (self._own, parent),
            (record.arrived, now),
            kind=SpanKind.SERVER,
            attributes=attributes,
            status=failed,
        )

    def waiting(self, stay: Stay, status: int) -> Iterator[ReadableSpan]:
        assert stay.ended is not None
        own = self._context(new_span_id())
        refused = not stay.served and status != CLIENT_LEFT
        failed = Status(StatusCode.ERROR, self._record.text or None) if refused else _UNSET
        if stay.cold:
            yield from self._wake(stay, own)
        yield self._span(
            "waiting",
            (own, self._own),
            (stay.began, stay.ended),
            attributes={"springtide.cold": stay.cold},
            status=failed,
        )

    def proxying(self, attempt: Attempt, number: int, status: int) -> ReadableSpan:
        assert attempt.ended is not None
        host, _, port = attempt.address.rpartition(":")
        attributes: Attributes = {"http.request.method": self._method, "server.address": host, "server.port": int(port)}
        if number:
            attributes["http.request.resend_count"] = number
        events: tuple[Event, ...] = ()
        if attempt.first_byte is not None:
            attributes["http.response.status_code"] = status
            events = (Event("first byte", timestamp=self._at(attempt.first_byte)),)
        error = self._error(attempt, status)
        if error:
            attributes["error.type"] = error
        failed = Status(StatusCode.ERROR, attempt.why or self._record.text or None) if error else _UNSET
        return self._span(
            "proxying",
            (self._context(attempt.span_id), self._own),
            (attempt.began, attempt.ended),
            kind=SpanKind.CLIENT,
            attributes=attributes,
            status=failed,
            events=events,
        )

    def _error(self, attempt: Attempt, status: int) -> str:
        """What went wrong at one replica; empty when nothing did, or when it was the caller who left."""
        if attempt.why:
            return "replica_lost"
        if self._record.reason:
            return self._record.reason
        return str(status) if status >= 400 and status != CLIENT_LEFT else ""

    def _wake(self, stay: Stay, waiting: SpanContext) -> Iterator[ReadableSpan]:
        assert stay.ended is not None
        own = self._context(new_span_id())
        decided, accepted = stay.parts
        for name, began, ended in (
            ("decided", stay.began, decided),
            ("accepted", decided, accepted),
            ("ready", accepted, stay.ended),
        ):
            yield self._span(name, (self._context(new_span_id()), own), (began, ended))
        yield self._span("wake", (own, waiting), (stay.began, stay.ended))

    def _span(
        self,
        name: str,
        place: tuple[SpanContext, SpanContext | None],
        times: tuple[float, float],
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, str | int | bool] | None = None,
        status: Status = _UNSET,
        events: tuple[Event, ...] = (),
    ) -> ReadableSpan:
        """``place`` is the span's own context and its parent's."""
        return ReadableSpan(
            name,
            context=place[0],
            parent=place[1],
            resource=self._resource,
            attributes=attributes,
            events=events,
            kind=kind,
            status=status,
            start_time=self._at(times[0]),
            end_time=self._at(times[1]),
            instrumentation_scope=_SCOPE,
        )

    def _context(self, span_id: int, *, remote: bool = False) -> SpanContext:
        return SpanContext(self._trace.trace_id, span_id, is_remote=remote, trace_flags=TraceFlags(self._trace.flags))

    def _at(self, instant: float) -> int:
        """Nanoseconds since the epoch."""
        return int((self._record.wall + instant - self._record.arrived) * 1e9)
