"""An OpenTelemetry collector: takes OTLP over HTTP on a real socket and keeps the spans."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

ERROR = 2


@dataclass(frozen=True)
class Got:
    """One span; ids as hex digits, ``parent`` empty for a root."""

    name: str
    trace: str
    id: str
    parent: str
    began: int
    ended: int
    kind: int
    attributes: dict[str, Any]
    events: list[str]
    status: int
    message: str
    resource: dict[str, Any]


@dataclass
class Collector:
    """``answers`` is the status every request gets; while ``goes_on`` is not set, none gets any."""

    port: int = 0
    answers: int = 200
    requests: int = 0
    spans: list[Got] = field(default_factory=list)
    goes_on: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def take(self, path: str, body: bytes) -> int:
        assert path == "/v1/traces"
        self.requests += 1
        self.goes_on.wait()
        if self.answers == 200:
            self.spans += _spans(ExportTraceServiceRequest.FromString(body))
        return self.answers


@contextlib.contextmanager
def collector(*, hangs: bool = False) -> Iterator[Collector]:
    kept = Collector()
    if not hangs:
        kept.goes_on.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status = kept.take(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            with contextlib.suppress(OSError):
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield kept
    finally:
        kept.goes_on.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _spans(request: ExportTraceServiceRequest) -> Iterator[Got]:
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Got(
                    name=span.name,
                    trace=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    began=span.start_time_unix_nano,
                    ended=span.end_time_unix_nano,
                    kind=span.kind,
                    attributes=_attributes(span.attributes),
                    events=[event.name for event in span.events],
                    status=span.status.code,
                    message=span.status.message,
                    resource=_attributes(resource.resource.attributes),
                )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
