"""Buckets of the gateway's histograms name the trace of a call that was counted in them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from springtide.gateway.call_record import Observer
from springtide.gateway.metrics import GatewayCollector
from springtide.gateway.tracing import SpanTracer
from springtide.scaler.core import catalogue
from tests.gateway.collector import collector
from tests.gateway.harness import ServedPlane, data_plane, echo, replica, until

pytestmark = pytest.mark.uvloop


TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"traceparent: 00-{TRACE}-b7ad6b7169203331-01\r\n"


def registered(gateway: ServedPlane) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(GatewayCollector(lambda: gateway.plane))
    return registry


def examples(gateway: ServedPlane) -> Iterator[Sample]:
    """The samples with an exemplar, as a scraper reads them."""
    text = generate_openmetrics(registered(gateway)).decode()
    for family in text_string_to_metric_families(text):
        yield from (sample for sample in family.samples if sample.exemplar is not None)


async def test_warm_call_with_a_trace_is_the_example_of_its_bucket() -> None:
    with collector() as kept:
        tracer = SpanTracer(kept.url, 0.0, 1)
        async with data_plane(observer=Observer(tracer, None)) as gateway, replica(echo) as server:
            gateway.publish("echo", [server])
            async with gateway.connect() as caller:
                await caller.get()
                untraced = list(examples(gateway))
                before = time.time()
                await caller.get(headers=PARENT)

            (sample,) = examples(gateway)
            assert untraced == []
            assert (sample.name, sample.labels["code"]) == (f"{catalogue.SECONDS.name}_bucket", "200")
            assert sample.exemplar is not None
            assert sample.exemplar.labels == {"trace_id": TRACE}
            assert 0 < sample.exemplar.value <= float(sample.labels["le"])
            assert before <= float(sample.exemplar.timestamp or 0) <= time.time()
            assert TRACE not in generate_latest(registered(gateway)).decode()
        await tracer.aclose()


async def test_cold_call_with_a_trace_is_the_example_of_its_wait_and_of_each_part() -> None:
    with collector() as kept:
        tracer = SpanTracer(kept.url, 0.0, 1)
        async with data_plane(observer=Observer(tracer, None)) as gateway, replica(echo) as server:
            gateway.publish("echo", [], desired=0)
            async with gateway.connect() as caller:
                asked = asyncio.create_task(caller.get(headers=PARENT))
                await gateway.target.written.wait()
                await until(lambda: gateway.route().accepted_at > 0)
                gateway.publish("echo", [server])
                await asked

            found = {(sample.name, sample.labels.get("part", "")): sample.exemplar for sample in examples(gateway)}
            part = f"{catalogue.COLD_START_PART.name}_bucket"
            assert found.keys() == {
                (f"{catalogue.SECONDS.name}_bucket", ""),
                (f"{catalogue.COLD_START.name}_bucket", ""),
                *((part, name) for name in catalogue.COLD_START_PARTS),
            }
            assert {exemplar.labels["trace_id"] for exemplar in found.values() if exemplar} == {TRACE}
        await tracer.aclose()
