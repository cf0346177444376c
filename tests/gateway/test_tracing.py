"""Spans of real calls, as a real collector receives them."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog

from springtide.gateway.call_record import Observer
from springtide.gateway.tracing import SpanTracer
from tests.gateway.collector import ERROR, Collector, Got, collector
from tests.gateway.harness import (
    Conversation,
    ServedPlane,
    answering,
    data_plane,
    echo,
    post,
    replica,
    response,
    until,
)
from tests.gateway.pooled import pooled

pytestmark = pytest.mark.uvloop


SERVER, INTERNAL, CLIENT = 2, 1, 3
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"traceparent: 00-{TRACE}-{SPAN}-01\r\n"
WHOLE = "GET /function/{name}"


class Traced:
    def __init__(self, gateway: ServedPlane, kept: Collector, tracer: SpanTracer) -> None:
        self.gateway, self.kept, self._tracer = gateway, kept, tracer

    async def spans(self) -> list[Got]:
        """All spans of the calls so far, as the collector has them."""
        await self._tracer.aclose()
        return self.kept.spans


@contextlib.asynccontextmanager
async def traced(
    *, ratio: float = 1.0, most_per_s: int = 100, hangs: bool = False, **settings: Any
) -> AsyncIterator[Traced]:
    with collector(hangs=hangs) as kept:
        tracer = SpanTracer(kept.url, ratio, most_per_s)
        async with data_plane(observer=Observer(tracer, None), **settings) as gateway:
            yield Traced(gateway, kept, tracer)
        await tracer.aclose()


def named(spans: list[Got], name: str) -> Got:
    (span,) = [span for span in spans if span.name == name]
    return span


async def dies(conversation: Conversation) -> None:
    """Takes a request and breaks the connection."""
    await conversation.head()
    conversation.reset()


async def test_warm_call_is_a_span_with_its_proxying_below_it_and_the_function_is_told_the_latter() -> None:
    async with traced() as it, replica(echo) as server, it.gateway.connect() as caller:
        it.gateway.publish("echo", [server])

        await caller.send(post(b"hello", headers=PARENT + "tracestate: a=b\r\nX-Call-Id: me\r\n"))
        await caller.answer()

        spans = await it.spans()
        whole, proxying = named(spans, "POST /function/{name}"), named(spans, "proxying")
        assert len(spans) == 2
        assert (whole.trace, whole.parent, whole.kind, whole.status) == (TRACE, SPAN, SERVER, 0)
        assert (proxying.trace, proxying.parent, proxying.kind) == (TRACE, whole.id, CLIENT)
        assert whole.attributes == {
            "http.request.method": "POST",
            "http.route": "/function/{name}",
            "url.scheme": "http",
            "faas.name": "echo.openfaas-fn",
            "springtide.call_id": "me",
            "http.request.body.size": 5,
            "http.response.body.size": 5,
            "http.response.status_code": 200,
        }
        assert proxying.attributes == {
            "http.request.method": "POST",
            "server.address": "127.0.0.1",
            "server.port": server.port,
            "http.response.status_code": 200,
        }
        assert proxying.events == ["first byte"]
        assert whole.began <= proxying.began <= proxying.ended <= whole.ended
        assert whole.resource["service.name"] == "springtide-gateway"
        (received,) = server.received
        assert received.values("traceparent") == [f"00-{TRACE}-{proxying.id}-01"]
        assert received.values("tracestate") == ["a=b"]


async def test_cold_call_shows_its_wait_and_the_parts_of_the_wake_one_after_the_other() -> None:
    async with traced() as it, replica(echo) as server, it.gateway.connect() as caller:
        it.gateway.publish("echo", [], desired=0)
        asked = asyncio.create_task(caller.get())
        await it.gateway.target.written.wait()
        await until(lambda: it.gateway.route().accepted_at > 0)
        it.gateway.publish("echo", [server])
        await asked

        spans = await it.spans()
        whole, waiting, wake = (named(spans, name) for name in (WHOLE, "waiting", "wake"))
        parts = [named(spans, name) for name in ("decided", "accepted", "ready")]
        assert len(spans) == 7
        assert (whole.parent, waiting.parent, wake.parent) == ("", whole.id, waiting.id)
        assert {part.parent for part in parts} == {wake.id}
        assert {span.trace for span in spans} == {whole.trace}
        assert waiting.attributes == {"springtide.cold": True}
        assert [waiting.began, *(part.ended for part in parts)] == [
            *(part.began for part in parts),
            waiting.ended,
        ]
        assert named(spans, "proxying").began >= waiting.ended
        assert (await it.spans())[0].resource["service.instance.id"]


async def test_call_that_was_lost_is_a_failed_span_and_the_next_replica_is_told_another() -> None:
    async with (
        traced() as it,
        replica(dies) as bad,
        replica(answering(response(status="500 No"))) as good,
        it.gateway.connect() as caller,
    ):
        it.gateway.publish("echo", [bad])
        asked = asyncio.create_task(caller.get(headers=PARENT))
        await bad.heads.acquire()
        bad.close()
        it.gateway.publish("echo", [good])

        assert (await asked).status == 500

        spans = await it.spans()
        tries = [span for span in spans if span.name == "proxying"]
        whole, first, last = named(spans, WHOLE), tries[0], tries[-1]
        assert (whole.status, whole.attributes["error.type"]) == (ERROR, "500")
        assert (first.status, first.attributes["error.type"]) == (ERROR, "replica_lost")
        assert first.message
        assert first.attributes["server.port"] == bad.port
        assert (last.status, last.attributes["http.response.status_code"]) == (ERROR, 500)
        assert last.attributes["http.request.resend_count"] == len(tries) - 1
        assert last.attributes["server.port"] == good.port
        told = [received.values("traceparent") for server in (bad, good) for received in server.received]
        assert told[0] == [f"00-{TRACE}-{first.id}-01"]
        assert told[-1] == [f"00-{TRACE}-{last.id}-01"]
        assert first.id != last.id


async def test_call_that_nobody_took_is_a_failed_wait() -> None:
    async with traced(hold_timeout_s=0.05) as it, it.gateway.connect() as caller:
        it.gateway.publish("echo", [], desired=1)

        assert (await caller.get()).status == 503

        spans = await it.spans()
        whole, waiting = named(spans, WHOLE), named(spans, "waiting")
        assert len(spans) == 2
        assert (whole.status, whole.attributes["error.type"]) == (ERROR, "hold_timeout")
        assert (waiting.status, waiting.message) == (ERROR, whole.message)
        assert (
            "no replica of echo.openfaas-fn took the call within hold_timeout (0.05 s) of the gateway" in whole.message
        )


async def test_function_that_does_not_answer_in_time_fails_its_span() -> None:
    async def silent(conversation: Conversation) -> None:
        await conversation.head()
        await conversation.gone()

    async with traced(upstream_timeout_s=0.05) as it, replica(silent) as server, it.gateway.connect() as caller:
        it.gateway.publish("echo", [server])

        assert (await caller.get()).status == 504

        proxying = named(await it.spans(), "proxying")
        assert (proxying.status, proxying.attributes["error.type"]) == (ERROR, "upstream_timeout")
        assert proxying.events == []


async def test_caller_that_leaves_is_no_failure_of_ours() -> None:
    async with traced() as it:
        it.gateway.publish("echo", [], desired=1)
        async with it.gateway.connect() as caller:
            await caller.send(post(b""))
            await until(lambda: it.gateway.route().metrics.held == 1)
        await until(lambda: it.gateway.route().metrics.in_flight == 0)

        whole = named(await it.spans(), "POST /function/{name}")
        assert whole.status == 0
        assert whole.attributes["error.type"] == "caller_left"
        assert "http.response.status_code" not in whole.attributes


@pytest.mark.parametrize(
    ("line", "ratio", "sampled"),
    [
        pytest.param(f"Traceparent: 00-{TRACE}-{SPAN}-00\r\n", 1.0, False, id="the caller's trace is not sampled"),
        pytest.param(f"TraceParent:  00-{TRACE}-{SPAN}-01-x\r\n", 1.0, True, id="no trace context, ratio 1"),
        pytest.param("traceparent: \xff\xfe\r\n", 1.0, True, id="no text, ratio 1"),
        pytest.param("traceparent:\r\n", 0.0, False, id="empty, ratio 0"),
        pytest.param(f"{PARENT}{PARENT}", 1.0, True, id="two of them"),
    ],
)
async def test_traceparent_that_is_not_ours_to_change_is_passed_on_byte_for_byte(
    line: str, ratio: float, *, sampled: bool
) -> None:
    async with traced(ratio=ratio) as it, replica(echo) as server, it.gateway.connect() as caller:
        it.gateway.publish("echo", [server])

        await caller.send(f"GET /function/echo HTTP/1.1\r\nHost: x\r\n{line}\r\n".encode("latin-1"))
        assert (await caller.answer()).status == 200

        spans = await it.spans()
        (received,) = server.received
        assert f"\r\n{line}".encode("latin-1") in received.head
        assert received.head.lower().count(b"traceparent") == line.lower().count("traceparent")
        assert [span.name for span in spans] == (["proxying", WHOLE] if sampled else [])
        assert all(span.trace != TRACE for span in spans)


async def test_ratio_is_the_share_of_calls_without_a_trace_and_a_sampled_caller_is_always_followed() -> None:
    async with traced(ratio=0.0) as it, replica(echo) as server, it.gateway.connect() as caller:
        it.gateway.publish("echo", [server])

        await caller.get()
        await caller.get(headers=PARENT)

        assert [span.trace for span in await it.spans()] == [TRACE, TRACE]
        assert server.received[0].values("traceparent") == []


def test_so_many_traces_are_begun_each_second_and_no_more_however_many_calls_come() -> None:
    tracer = SpanTracer("http://127.0.0.1:9", 1.0, 2)
    ours = b"\r\nHost: x"
    callers = ours + b"\r\n" + PARENT.strip().encode()

    first = [tracer.begin(ours, 1000.0) is not None for _ in range(3)]
    sampled_by_callers = [tracer.begin(callers, 1000.0) is not None for _ in range(3)]
    half_a_second_later = [tracer.begin(ours, 1000.5) is not None for _ in range(2)]
    after_an_hour = [tracer.begin(ours, 4600.5) is not None for _ in range(3)]
    asyncio.run(tracer.aclose())

    assert first == [True, True, False]
    assert sampled_by_callers == [True, True, True]
    assert half_a_second_later == [True, False]
    assert after_an_hour == [True, True, False]


async def test_collector_that_refuses_is_told_of_once_and_calls_go_on() -> None:
    with collector() as kept, structlog.testing.capture_logs() as lines:
        kept.answers = 400
        tracer = SpanTracer(kept.url, 1.0, 100)
        async with data_plane(observer=Observer(tracer, None)) as gateway, replica(echo) as server:
            gateway.publish("echo", [server])
            async with gateway.connect() as caller:
                for sent in range(1, 4):
                    assert (await caller.get()).status == 200
                    await until(lambda sent=sent: kept.requests >= sent)  # type: ignore[misc]
                kept.answers = 200
                assert (await caller.get()).status == 200
        await tracer.aclose()

        told = [line["event"] for line in lines]
        assert told == ["traces cannot be sent; calls go on", "traces are sent again"]
        assert "400" in lines[0]["why"]
        assert [span.name for span in kept.spans] == ["proxying", WHOLE]


async def test_stopping_does_not_wait_for_a_collector_that_hangs() -> None:
    with structlog.testing.capture_logs() as lines:
        async with traced(hangs=True) as it, replica(echo) as server, it.gateway.connect() as caller:
            it.gateway.publish("echo", [server])
            assert (await caller.get()).status == 200

            assert await it.spans() == []

    assert lines[0]["event"] == "the last traces could not be sent in time"


async def test_every_worker_process_sends_its_own_spans() -> None:
    with collector() as kept:
        async with pooled(otlp_endpoint=kept.url, trace_sample_ratio=1.0) as suite:
            assert [await suite.call() for _ in range(40)] == [200] * 40

        assert len([span for span in kept.spans if span.name == "POST /function/{name}"]) == 40
        assert len({span.resource["service.instance.id"] for span in kept.spans}) == 2


def test_gateway_without_the_extra_says_what_to_install() -> None:
    # Its API alone is often there: other libraries bring it.
    program = (
        "import sys; sys.modules['opentelemetry.sdk'] = None\n"
        "from springtide.cli.command_line import run; sys.exit(run(%r, {}))"
    )
    words = ["gateway", "--workers", "1", "--port", "0", "--metrics-port", "0", "--no-basic-auth"]

    done = subprocess.run(
        [sys.executable, "-c", program % [*words, "--otlp-endpoint", "http://127.0.0.1:9"]],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "springtide: traces need OpenTelemetry; run: pip install 'springtide[otel]'"
