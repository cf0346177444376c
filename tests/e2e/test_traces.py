"""From a slow bucket in Prometheus to the trace of a call that was counted in it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx

from tests.gateway.collector import collector

COLD = 'gateway_cold_start_seconds_bucket{function_name="hello.openfaas-fn"}'


def exemplars(prometheus: str, query: str) -> list[dict[str, Any]]:
    """What Prometheus has kept of the last ten minutes."""
    now = time.time()
    params: dict[str, str | float] = {"query": query, "start": now - 600, "end": now + 60}
    answer = httpx.get(f"{prometheus}/api/v1/query_exemplars", params=params, timeout=10).json()
    return [one for series in answer["data"] for one in series["exemplars"]]


def test_cold_call_is_found_from_prometheus_by_the_trace_it_left(
    start_suite: Callable[..., AbstractContextManager[Any]], tmp_path: Path
) -> None:
    handler = tmp_path / "hello"
    handler.mkdir()
    (handler / "handler.py").write_text("def handle(event, context):\n    return {'statusCode': 200}\n")
    with (
        collector() as kept,
        start_suite(
            tmp_path / "state",
            "--fast",
            "--no-samples",
            OTEL_EXPORTER_OTLP_ENDPOINT=kept.url,
            trace_sample_ratio="1",
        ) as suite,
    ):
        suite.deploy("hello", handler, zero="true")
        suite.scale("hello", 0)
        asyncio.run(called(suite))
        suite.eventually(lambda: bool(exemplars(suite.prometheus, COLD)), "Prometheus has an exemplar")
        suite.eventually(lambda: any(span.name == "wake" for span in kept.spans), "the collector has the wake")

        (exemplar,) = exemplars(suite.prometheus, COLD)
        (wake,) = [span for span in kept.spans if span.name == "wake"]
        assert exemplar["labels"] == {"trace_id": wake.trace}
        assert abs((wake.ended - wake.began) / 1e9 - float(exemplar["value"])) < 1e-3


async def called(suite: Any) -> None:
    async with suite.async_client() as client:
        assert (await client.get("/function/hello")).status_code == 200
