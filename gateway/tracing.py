"""Spans of calls, sent by OTLP over HTTP. The only importer of OpenTelemetry; imported only where an endpoint is set.

A call is not followed by live spans: it keeps a CallRecord, and its spans are made from that when it is over. So a call
that is not sampled costs the decision alone.

    GET /function/{name}        the call, from its head to the end of its answer
    ├── waiting                 for a replica
    │   └── wake                of a cold call; its parts are those of the Server-Timing header
    │       ├── decided
    │       ├── accepted
    │       └── ready
    └── proxying                one for each replica that was tried; event "first byte"
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import threading
from collections.abc import Sequence
from random import getrandbits, random

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from springtide.gateway import trace_context
from springtide.gateway.call_record import CallRecord, Trace
from springtide.gateway.spans import Maker

MAX_QUEUED, MAX_AT_ONCE, PAUSE_S = 4096, 512, 1.0
"""Spans that wait to be sent (more are dropped), that one request carries, and how long they wait at most."""

EXPORT_DEADLINE_S = 5.0
FLUSH_S = 2.0
"""How long a gateway that stops waits for its last spans to be sent: less than a worker is given for stopping."""

log = structlog.get_logger(__name__)


class SpanTracer:
    """A Tracer. Samples as the caller's trace is sampled, and ``ratio`` of the calls that come without one.

    Of the latter it begins at most ``max_per_s`` traces a second: spans cost several times what a call does, and
    under load a share of all calls would take the processor away from them.
    """

    def __init__(self, endpoint: str, ratio: float, max_per_s: int) -> None:
        self._ratio = ratio
        self._allowance = _Allowance(max_per_s)
        self._trouble = _Trouble(endpoint)
        exporter = OTLPSpanExporter(endpoint.rstrip("/") + "/v1/traces", timeout=EXPORT_DEADLINE_S)
        self._exporter = _Exporter(exporter, self._trouble)
        self._processor = BatchSpanProcessor(
            self._exporter,
            max_queue_size=MAX_QUEUED,
            max_export_batch_size=MAX_AT_ONCE,
            schedule_delay_millis=PAUSE_S * 1e3,
        )
        instance = f"{socket.gethostname()}-{os.getpid()}"
        self._maker = Maker(Resource.create({"service.name": "springtide-gateway", "service.instance.id": instance}))

    def __repr__(self) -> str:
        return f"<SpanTracer {self._trouble.endpoint} ratio {self._ratio:g}, {self._allowance}>"

    def begin(self, fields: bytes, now: float) -> Trace | None:
        carried = trace_context.LINE_BEGINS in fields.lower()
        if carried and (parent := trace_context.parse(fields)) is not None:
            return Trace(parent.trace_id, parent.flags, parent.span_id, announced=True) if parent.sampled else None
        if random() >= self._ratio or not self._allowance.take(now):
            return None
        return Trace(getrandbits(128) or 1, trace_context.SAMPLED, 0, announced=not carried)

    def finished(self, record: CallRecord, status: int, now: float) -> None:
        for span in self._maker.spans(record, status, now):
            self._processor.on_end(span)

    async def aclose(self) -> None:
        """Send what is queued, within a bound; what is left then is lost."""
        loop, over = asyncio.get_running_loop(), asyncio.Event()

        def close() -> None:
            self._processor.shutdown()  # type: ignore[no-untyped-call]
            with contextlib.suppress(RuntimeError):  # too late: the loop is closed
                loop.call_soon_threadsafe(over.set)

        # A thread of its own that nothing waits for: the loop's executor would be waited for at the end.
        threading.Thread(target=close, name="trace flush", daemon=True).start()
        try:
            await asyncio.wait_for(over.wait(), FLUSH_S)
        except TimeoutError:
            self._exporter.shutdown()
            log.warning("the last traces could not be sent in time", endpoint=self._trouble.endpoint)
        self._trouble.close()


class _Allowance:
    """A token bucket: ``per_s`` each second, and no more than that at once."""

    def __init__(self, per_s: int) -> None:
        self._per_s = per_s
        self._left = float(per_s)
        self._at = 0.0

    def __repr__(self) -> str:
        return f"{self._left:.0f} of {self._per_s} a second left"

    def take(self, now: float) -> bool:
        self._left = min(self._per_s, self._left + (now - self._at) * self._per_s)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class _Exporter(SpanExporter):
    """Tells of trouble once, and of its end."""

    def __init__(self, inner: OTLPSpanExporter, trouble: _Trouble) -> None:
        self._inner = inner
        self._trouble = trouble
        self._closed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._inner.export(spans)
        self._trouble.tell(failed=result is not SpanExportResult.SUCCESS)
        return result

    def shutdown(self) -> None:
        if not self._closed:
            self._closed = True
            self._inner.shutdown()  # type: ignore[no-untyped-call]

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._inner.force_flush(timeout_millis)


class _Trouble(logging.Handler):
    """Takes OpenTelemetry's own messages, which come with every attempt, and makes one of them."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(logging.WARNING)
        self.endpoint = endpoint
        self._first = ""
        self._failing = self._dropping = False
        self._logger = logging.getLogger("opentelemetry")
        self._logger.propagate = False
        self._logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if not message.startswith("Queue full"):
            self._first = self._first or message
        elif not self._dropping:
            self._dropping = True
            log.warning("more spans than can be sent: some are dropped", endpoint=self.endpoint)

    def tell(self, *, failed: bool) -> None:
        if failed and not self._failing:
            log.warning("traces cannot be sent; calls go on", endpoint=self.endpoint, why=self._first)
        elif not failed and self._failing:
            log.info("traces are sent again", endpoint=self.endpoint)
        self._failing = failed
        self._first = self._first if failed else ""
        self._dropping = self._dropping and failed

    def close(self) -> None:
        self._logger.removeHandler(self)
        super().close()
