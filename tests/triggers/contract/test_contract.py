"""What every source of events does alike, over each system that there is one for."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from springtide.triggers.delivery import CallAnswer
from springtide.triggers.source import Counting
from tests.fakes.events import MemoryFunctions, MemoryGateway
from tests.triggers.contract.stages import STAGES, EventSystem, unwrapped
from tests.triggers.reading import eventually, reading

FEW, SOME = 5, 200


@pytest.fixture(params=STAGES)
def system(request: Any, tmp_path: Path) -> Any:
    @asynccontextmanager
    async def entered() -> AsyncIterator[EventSystem]:
        async with STAGES[request.param](tmp_path) as system:
            yield system

    return entered()


def bodies(count: int, word: str = "event") -> list[bytes]:
    return [f"{word} {number}".encode() for number in range(count)]


def topic_told(system: EventSystem, topic: str) -> str:
    """Functions may want it by either, where there are two."""
    return str(getattr(system, "topic_told", "{}")).format(topic)


def told(system: EventSystem, gateway: MemoryGateway, function: str = "bill") -> list[bytes]:
    """What was published of the events that it was called for, each once."""
    return [unwrapped(system, body) for body in gateway.bodies(function)]


def functions() -> MemoryFunctions:
    made = MemoryFunctions()
    made.deploy("bill", "orders, invoices")
    made.deploy("ship", "orders")
    made.deploy("sleep")
    return made


async def test_events_reach_the_functions_that_want_their_topic(system: EventSystem) -> None:
    gateway = MemoryGateway()
    async with reading(system.source(), gateway, functions()) as copy:
        await system.publish("nobodys", bodies(FEW, "nobody"))
        await system.publish("orders", bodies(FEW, "order"))
        await system.publish("invoices", bodies(FEW, "invoice"))
        await eventually(lambda: len(gateway.jobs) == 3 * FEW)
        await eventually(lambda: copy.value("springtide_connector_inflight_events", source="events") == 0)

        assert Counter(told(system, gateway)) == Counter(bodies(FEW, "order") + bodies(FEW, "invoice"))
        assert Counter(told(system, gateway, "ship")) == Counter(bodies(FEW, "order"))
        events = {
            outcome: copy.value("springtide_connector_events_total", source="events", outcome=outcome)
            for outcome in ("delivered", "unwanted", "empty")
        }
        assert events == {"delivered": 2 * FEW, "unwanted": FEW, "empty": 0}
        await copy.stop()


async def test_an_event_says_where_it_comes_from(system: EventSystem) -> None:
    gateway = MemoryGateway()
    async with reading(system.source(), gateway, functions()) as copy:
        await system.publish("invoices", [b"\x00\xff one"])
        await eventually(lambda: len(gateway.jobs) == 1)
        await copy.stop()

    [call] = gateway.calls
    assert unwrapped(system, call.body) == b"\x00\xff one"
    assert call.headers[:5] == [
        (b"Content-Type", getattr(system, "content_type", "text/plain").encode()),
        (b"X-Topic", topic_told(system, "invoices").encode()),
        (b"X-Connector", b"connector-sdk"),
        (b"X-Connector", system.connector.encode()),
        (b"User-Agent", f"springtide/{system.connector}".encode()),
    ]
    for name in ("ce-id", "ce-source", "ce-type"):
        assert all(call.values(name)), name
    assert call.values("ce-specversion") == [b"1.0"]


async def test_what_comes_while_no_connector_listens_is_delivered_later(system: EventSystem) -> None:
    if not system.at_least_once:
        pytest.skip("it forgets what nobody listens to")
    gateway = MemoryGateway()
    async with reading(system.source(), gateway, functions()) as copy:
        await system.publish("invoices", bodies(FEW, "before"))
        await eventually(lambda: len(gateway.jobs) == FEW)
        await eventually(lambda: copy.value("springtide_connector_inflight_events", source="events") == 0)
        await copy.stop()
    await system.publish("invoices", bodies(FEW, "meanwhile"))

    async with reading(system.source(), gateway, functions()) as copy:
        await eventually(lambda: len(gateway.jobs) == 2 * FEW)
        await copy.stop()

    assert Counter(unwrapped(system, call.body) for call in gateway.calls) == Counter(
        bodies(FEW, "before") + bodies(FEW, "meanwhile")
    )


async def test_no_more_is_read_than_can_be_delivered(system: EventSystem) -> None:
    gateway = MemoryGateway()
    gateway.open.clear()
    async with reading(system.source(), gateway, functions(), max_inflight=7) as copy:
        await system.publish("invoices", bodies(SOME))
        await eventually(lambda: gateway.inflight == 7)
        gateway.open.set()
        await eventually(lambda: len(gateway.jobs) == SOME)
        await copy.stop()

    assert gateway.most_inflight == 7
    assert Counter(told(system, gateway)) == Counter(bodies(SOME))


async def test_how_many_events_wait_is_told_where_the_system_tells(system: EventSystem) -> None:
    async with system.source().connect() as feed:
        if not isinstance(feed, Counting):
            pytest.skip("it does not tell")
        await system.publish("invoices", bodies(SOME))
        held = list(await feed.take(1))
        told = await feed.waiting()
        for received in held:
            await received.give_back()

    assert told is None or SOME - len(held) <= told <= SOME


async def test_nothing_is_lost_while_the_gateway_is_busy(system: EventSystem) -> None:
    gateway = MemoryGateway()
    refusals = iter(
        5 * [CallAnswer(503, internal=True), CallAnswer(429, internal=True), CallAnswer(0), CallAnswer(500)]
    )
    gateway.answers = lambda _: next(refusals, None)
    async with reading(system.source(), gateway, functions()) as copy:
        await system.publish("invoices", bodies(20))
        await eventually(lambda: len(gateway.jobs) == 20)
        await copy.stop()

    assert Counter(told(system, gateway)) == Counter(bodies(20))
    assert copy.value("springtide_connector_retries_total", source="events") == 20


async def test_an_event_that_will_never_be_taken_stops_no_other(system: EventSystem) -> None:
    gateway = MemoryGateway()
    gateway.answers = lambda call: (
        CallAnswer(413, text="too large") if unwrapped(system, call.body) == b"event 0" else None
    )
    async with reading(system.source(), gateway, functions(), max_inflight=1) as copy:
        await system.publish("invoices", bodies(FEW))
        await eventually(lambda: len(gateway.jobs) == FEW - 1)
        await copy.stop()

    calls = "springtide_connector_calls_total"
    assert copy.value(calls, function_name="bill.openfaas-fn", outcome="refused") == 1
    [refused] = [entry.to_json() for entry in copy.reading.journal.newest(100) if entry.outcome == "refused"]
    assert (refused["status"], refused["why"], refused["topic"]) == (413, "too large", topic_told(system, "invoices"))


async def test_a_connection_that_breaks_is_made_again(system: EventSystem) -> None:
    gateway = MemoryGateway()
    async with reading(system.source(), gateway, functions()) as copy:
        await system.publish("invoices", bodies(SOME, "first"))
        if not system.at_least_once:
            await eventually(lambda: len(gateway.jobs) == SOME)
        await system.break_connections()
        if not system.at_least_once:
            await eventually(lambda: copy.connected)
        await system.publish("invoices", bodies(SOME, "second"))
        await eventually(lambda: len(set(told(system, gateway))) == 2 * SOME)
        await copy.stop()

    assert set(told(system, gateway)) == {*bodies(SOME, "first"), *bodies(SOME, "second")}
    assert len(gateway.jobs) - 2 * SOME <= getattr(system, "repeats", 0)


async def test_what_is_in_flight_at_the_end_is_given_to_another_copy(system: EventSystem) -> None:
    if not system.at_least_once:
        pytest.skip("it forgets what it has sent")
    stuck, gateway = MemoryGateway(), MemoryGateway()
    stuck.open.clear()
    async with reading(system.source(), stuck, functions(), max_inflight=10, grace_s=0.0) as copy:
        await system.publish("invoices", bodies(20))
        await eventually(lambda: stuck.inflight == 10)
        await copy.stop()
    async with reading(system.source(), gateway, functions()) as copy:
        await eventually(lambda: len(gateway.jobs) == 20)
        await copy.stop()

    assert Counter(told(system, gateway)) == Counter(bodies(20))


async def test_copies_share_the_events(system: EventSystem) -> None:
    if not system.shares:
        pytest.skip("its copies need not share what there is")
    one, other = MemoryGateway(), MemoryGateway()
    async with (
        reading(system.source(), one, functions()) as first,
        reading(system.source(), other, functions()) as second,
    ):
        await system.publish("invoices", bodies(SOME))
        await eventually(lambda: len(one.jobs) + len(other.jobs) == SOME)
        await first.stop()
        await second.stop()

    assert Counter(told(system, one) + told(system, other)) == Counter(bodies(SOME))
