"""One source at work, in virtual time: when it is read, tried again, kept, given back."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from springtide.runtime.errors import BadInput, Unavailable
from springtide.triggers.delivery import CallAnswer
from springtide.triggers.source import KEEP_S, WAITING_S
from springtide.wire.events.event import Event
from tests.fakes.events import MemoryFunctions, MemoryGateway, MemorySystem
from tests.triggers.reading import begin

pytestmark = pytest.mark.virtual_time


def functions(topic: str = "orders") -> MemoryFunctions:
    made = MemoryFunctions()
    made.deploy("bill", topic)
    return made


async def test_nothing_is_read_before_it_is_known_what_is_wanted() -> None:
    """Else events would be nobody's."""
    system, gateway, silent = MemorySystem(), MemoryGateway(), functions()
    told = asyncio.Event()

    class Late(MemoryFunctions):
        async def watch_endpoints(self):  # type: ignore[no-untyped-def]
            await told.wait()
            async for event in silent.watch_endpoints():
                yield event

    await system.publish("orders", [b"one"])
    copy = begin(system.source(), gateway, Late())
    await asyncio.sleep(60.0)
    assert system.connections == 0

    told.set()
    await asyncio.sleep(1.0)
    assert gateway.bodies("bill") == [b"one"]
    await copy.stop()


async def test_a_source_that_is_away_is_tried_again_and_less_and_less_often() -> None:
    system, gateway = MemorySystem(), MemoryGateway()
    system.problem = Unavailable("away")
    copy = begin(system.source(), gateway, functions())
    await asyncio.sleep(3600.0)
    assert not copy.running.done()
    system.problem = None
    await system.publish("orders", [b"one"])

    await asyncio.sleep(15.0)

    assert (gateway.bodies("bill"), system.connections) == ([b"one"], 1)
    assert copy.connected
    await copy.stop()


async def test_why_a_source_is_not_connected_is_told() -> None:
    system, gateway = MemorySystem(), MemoryGateway()
    system.problem = Unavailable("away")
    copy = begin(system.source(), gateway, functions())
    [intake] = copy.reading.intakes
    first = intake.to_json()
    assert (first["connected"], first["why"]) == (False, "the provider has not told yet which functions there are")

    await asyncio.sleep(60.0)
    away = intake.to_json()
    assert (away["connected"], away["why"], away["since"]) == (False, "away", first["since"])

    system.problem = None
    await asyncio.sleep(60.0)
    there = intake.to_json()
    assert there["connected"]
    assert "why" not in there
    assert there["since"] > away["since"]
    await copy.stop()


async def test_what_is_wrong_at_the_start_ends_it_and_later_does_not() -> None:
    system, gateway = MemorySystem(), MemoryGateway()
    system.problem = BadInput("the password is wrong")
    copy = begin(system.source(), gateway, functions())
    with pytest.raises(BadInput, match="source events: the password is wrong"):
        await copy.running

    system.problem = None
    copy = begin(system.source(), gateway, functions())
    await asyncio.sleep(1.0)
    system.problem = BadInput("the password is wrong")
    await system.break_connections()
    await asyncio.sleep(60.0)
    assert not copy.running.done()
    assert not copy.connected
    await copy.stop()


async def test_events_that_take_long_are_kept() -> None:
    system, gateway = MemorySystem(), MemoryGateway()
    gateway.open.clear()
    copy = begin(system.source(), gateway, functions())
    await system.publish("orders", [b"one"])

    await asyncio.sleep(10 * KEEP_S + 1)

    assert system.kept in (9, 10)
    gateway.open.set()
    await copy.stop()
    assert (system.open, len(gateway.jobs)) == ([], 1)


async def test_at_the_end_deliveries_may_finish_and_then_are_given_back() -> None:
    system, gateway = MemorySystem(), MemoryGateway()
    gateway.open.clear()
    copy = begin(system.source(), gateway, functions(), grace_s=30.0)
    await system.publish("orders", [b"one", b"two"])
    await asyncio.sleep(1.0)
    loop = asyncio.get_running_loop()
    loop.call_later(20.0, gateway.open.set)

    await copy.stop()

    assert (sorted(gateway.bodies("bill")), system.open) == ([b"one", b"two"], [])

    gateway.open.clear()
    copy = begin(system.source(), gateway, functions(), grace_s=30.0)
    await system.publish("orders", [b"three"])
    await asyncio.sleep(1.0)
    began = loop.time()
    await copy.stop()
    assert (system.open, loop.time() - began) == ([2], 30.0)


async def test_an_empty_event_is_delivered_to_nobody_and_is_over() -> None:
    system, gateway = MemorySystem(), MemoryGateway()
    copy = begin(system.source(), gateway, functions())
    await system.publish("orders", [b"", b"one"])
    await asyncio.sleep(1.0)

    assert [call.body for call in gateway.calls] == [b"one"]
    assert copy.value("springtide_connector_events_total", source="events", outcome="empty") == 1
    assert system.open == []
    await copy.stop()


async def test_bodies_are_bounded_too() -> None:
    system, gateway = MemorySystem(), MemoryGateway()
    gateway.open.clear()
    copy = begin(system.source(), gateway, functions(), max_inflight_bytes=1000)
    await system.publish("orders", [b"x" * 600] * 100)
    await asyncio.sleep(60.0)

    assert gateway.inflight == 32, "what one question brings"
    gateway.open.set()
    await asyncio.sleep(60.0)
    assert len(gateway.calls) == 100
    await copy.stop()


async def test_how_many_events_wait_is_told_while_it_is_known() -> None:
    system, gateway = MemorySystem(), MemoryGateway()
    gateway.open.clear()
    copy = begin(system.source(), gateway, functions(), max_inflight=3)
    await system.publish("orders", [b"one", b"two", b"three", b"four", b"five"])
    waiting = "springtide_connector_waiting_events"
    await asyncio.sleep(WAITING_S + 1.0)
    assert copy.value(waiting, source="events") == 2

    system.counts = False
    await asyncio.sleep(WAITING_S)
    assert copy.value(waiting, source="events") is None, "which is not zero"

    system.counts = True
    await asyncio.sleep(WAITING_S)
    assert copy.value(waiting, source="events") == 2
    gateway.open.set()
    await asyncio.sleep(WAITING_S)
    assert copy.value(waiting, source="events") == 0
    system.problem = Unavailable("away")
    await system.break_connections()
    await asyncio.sleep(1.0)
    assert copy.value(waiting, source="events") is None
    await copy.stop()


async def test_a_source_that_cannot_be_told_gives_the_event_again_and_it_is_one_call() -> None:
    system, gateway = MemorySystem(), MemoryGateway()
    gateway.open.clear()
    copy = begin(system.source(), gateway, functions())
    await system.publish("orders", [b"one"])
    await asyncio.sleep(1.0)
    await system.break_connections()
    gateway.open.set()
    await asyncio.sleep(60.0)

    assert (len(gateway.calls), len(gateway.jobs)) == (2, 1)
    assert copy.value("springtide_connector_unconfirmed_events_total", source="events") == 1
    assert system.open == []
    await copy.stop()


async def test_a_fault_of_ours_stops_no_other_event_and_loses_none() -> None:
    system, gateway = MemorySystem(), MemoryGateway()

    def faulty(call: object) -> CallAnswer | None:
        if getattr(call, "body", b"") == b"bad" and asyncio.get_running_loop().time() < began + 60.0:
            raise RuntimeError("a fault")
        return None

    began = asyncio.get_running_loop().time()
    gateway.answers = faulty
    copy = begin(system.source(), gateway, functions())
    await system.publish("orders", [b"bad", b"good"])
    await asyncio.sleep(10.0)
    assert gateway.bodies("bill") == [b"good"]

    await asyncio.sleep(120.0)
    assert sorted(gateway.bodies("bill")) == [b"bad", b"good"]
    await copy.stop()


async def test_what_functions_want_is_asked_when_the_event_comes() -> None:
    system, gateway, deployed = MemorySystem(), MemoryGateway(), functions("invoices")
    copy = begin(system.source(), gateway, deployed)
    await asyncio.sleep(1.0)
    deployed.deploy("late", "orders")
    await system.publish("orders", [b"one"])
    await asyncio.sleep(1.0)

    assert gateway.bodies("late") == [b"one"]
    await copy.stop()


async def test_a_pattern_that_was_subscribed_to_can_be_wanted_too() -> None:
    system, gateway, deployed = MemorySystem(), MemoryGateway(), functions("orders.*")
    await system.publish("orders.new", [b"one"])
    system.log[0] = replace(system.log[0], pattern="orders.*")
    copy = begin(system.source(), gateway, deployed)
    await asyncio.sleep(1.0)

    [call] = gateway.calls
    assert call.values("X-Topic") == [b"orders.new"]
    assert isinstance(system.log[0], Event)
    await copy.stop()
