"""The connector as a service: what it tells of itself."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import httpx
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from springtide.runtime.basic_auth import Credentials
from springtide.runtime.clock import SystemClock
from springtide.runtime.errors import BadInput
from springtide.scaler.core import catalogue
from springtide.scaler.core.catalogue import Part
from springtide.triggers.connector import Connector, ConnectorDeps, NamedSource, build
from springtide.triggers.connector_settings import ConnectorSettings
from springtide.wire.vitals import vitals
from tests.fakes.events import MemoryFunctions, MemoryGateway, MemorySystem
from tests.triggers.reading import eventually

ADMIN = ("admin", "s3cret")


def connector(system: MemorySystem, gateway: MemoryGateway, registry: CollectorRegistry) -> Connector:
    functions = MemoryFunctions()
    functions.deploy("bill", "orders")
    deps = ConnectorDeps(
        sources=[NamedSource(name="memory", source=system.source(), content_type="text/plain")],
        endpoints=functions,
        caller=gateway,
        clock=SystemClock(),
        registry=registry,
        credentials=Credentials(*ADMIN),
    )
    return build(ConnectorSettings(port=0), deps)


async def test_its_port_tells_of_events_and_metrics() -> None:
    system, gateway, registry = MemorySystem(), MemoryGateway(), CollectorRegistry()
    own = vitals(registry)
    service = connector(system, gateway, registry)
    await own.start()
    await service.start()
    await system.publish("orders", [b"one", b"two"])
    await system.publish("nobodys", [b"three"])
    await eventually(lambda: len(gateway.jobs) == 2 and not system.open)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{service.port}", trust_env=False) as client:
        assert (await client.get("/events")).status_code == 401
        events = (await client.get("/events", auth=ADMIN)).json()
        of_bill = (await client.get("/events?function=bill&limit=1", auth=ADMIN)).json()
        wrong = await client.get("/events?limit=0", auth=ADMIN)
        assert (await client.get("/sources")).status_code == 401
        [source] = (await client.get("/sources", auth=ADMIN)).json()
        text = (await client.get("/metrics")).text
        assert (await client.get("/healthz")).status_code == 200
    await service.stop()
    await own.stop()

    assert sorted(event["outcome"] for event in events) == ["stored", "stored", "unwanted"]
    assert [(event["function"], event["topic"], event["status"]) for event in of_bill] == [
        ("bill.openfaas-fn", "orders", 202)
    ]
    assert {(event["source"], event["connector"]) for event in events} == {("memory", "memory-connector")}
    assert source.pop("since")
    assert source == {
        "source": "memory",
        "connector": "memory-connector",
        "at_least_once": True,
        "connected": True,
        "inflight": 0,
    }
    assert (wrong.status_code, wrong.text) == (400, "limit: '0' is not a number of 1 to 1000\n")
    assert families(text) == {
        metric.name: frozenset(metric.labels) for metric in catalogue.ALL if Part.CONNECTOR in metric.parts
    }


def families(text: str) -> Mapping[str, frozenset[str]]:
    """Each family with samples, by its name as PromQL knows it: the labels of its samples."""
    found = {}
    for family in text_string_to_metric_families(text):
        samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
        if samples and not family.name.startswith("python_"):
            name = family.name if family.type == "histogram" else samples[0].name
            found[name] = frozenset(label for sample in samples for label in sample.labels) - {"le"}
    return found


async def test_a_source_that_cannot_begin_ends_the_service() -> None:
    system = MemorySystem()
    system.problem = BadInput("the password is wrong")
    service = connector(system, MemoryGateway(), CollectorRegistry())
    await service.start()

    with pytest.raises(BadInput, match="source memory: the password is wrong"):
        await asyncio.wait_for(service.wait(), 60.0)
    await service.stop()
