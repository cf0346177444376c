"""Deliveries about very many functions, in virtual time: what they cost, when they end, and whom they hold up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from springtide.alert_receiver.history_store import HistoryStore
from springtide.alert_receiver.leadership_term import LeadershipTerm
from springtide.alert_receiver.settings import AlertReceiverSettings
from springtide.alert_receiver.stepper import MAX_READ_SINGLY, Stepper
from springtide.runtime.errors import Unavailable
from springtide.runtime.virtual_time import EPOCH
from springtide.scaler.core.steps import AlertEvent, AlertId, AlertStatus
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.leadership import Always
from tests.fakes.cluster import Cluster, Decisions
from tests.loops import virtual_loop

pytestmark = pytest.mark.virtual_time

ECHO = FunctionRef("openfaas-fn", "echo")


def named(count: int) -> list[FunctionRef]:
    return [FunctionRef("openfaas-fn", f"f{number}") for number in range(count)]


def events(refs: Sequence[FunctionRef], status: AlertStatus = AlertStatus.FIRING) -> list[AlertEvent]:
    return [AlertEvent(ref, status, AlertId(f"busy {ref}", "t0"), "busy") for ref in refs]


class World:
    """A stepper and a cluster each of whose reads takes a second."""

    def __init__(self) -> None:
        self.loop, self.decisions = virtual_loop(), Decisions()
        self.cluster = Cluster(self.loop.clock)
        self.lists = 0
        self.cluster.on_list = self._listed
        self.stepper = Stepper(
            AlertReceiverSettings(),
            target=self.cluster,
            recorder=self.decisions,
            clock=self.loop.clock,
            histories=HistoryStore(),
            term=LeadershipTerm(Always(), self.loop.clock),
        )

    async def deploy(self, *refs: FunctionRef, replicas: int = 1) -> None:
        for ref in refs:
            await self.cluster.deploy(ref, replicas=replicas)
            self.cluster.on_read[ref] = self._slowly

    @asynccontextmanager
    async def stepping(self) -> AsyncIterator[None]:
        running = asyncio.create_task(self.stepper.run())
        try:
            yield
        finally:
            running.cancel()
            await asyncio.wait([running])

    def stepped_at(self, ref: FunctionRef) -> list[float]:
        return [round(one.at - EPOCH, 3) for one in self.decisions.all if one.changes and one.ref == ref]

    async def _listed(self) -> None:
        self.lists += 1

    @staticmethod
    async def _slowly() -> None:
        await asyncio.sleep(1)


async def test_ten_thousand_unknown_functions_cost_one_list() -> None:
    world = World()
    await world.deploy(ECHO)

    assert await world.stepper.deliver(events([*named(9_999), ECHO])) == []

    assert (world.lists, dict(world.cluster.reads)) == (1, {ECHO: 1})
    assert world.stepped_at(ECHO) == [1]
    assert world.decisions.reasons().count("unknown_function") == MAX_READ_SINGLY


async def test_functions_that_cannot_be_listed_are_read() -> None:
    async def away() -> None:
        raise Unavailable("no list today")

    world, refs = World(), named(20)
    await world.deploy(*refs)
    world.cluster.on_list = away

    assert await world.stepper.deliver(events([*refs, ECHO])) == []
    assert len(world.cluster.writes) == 20


async def test_function_that_is_listed_does_not_wait_for_those_of_namespaces_that_are_not() -> None:
    world = World()
    await world.deploy(ECHO)
    elsewhere = [FunctionRef(f"ns{number}", "echo") for number in range(500)]
    for ref in elsewhere:
        world.cluster.on_read[ref] = world._slowly

    first = await world.stepper.deliver(events([*elsewhere, ECHO]))

    assert "of 501 functions were not reached" in first[0]
    assert world.stepped_at(ECHO) == [1]


async def test_delivery_has_a_time_and_what_it_did_not_reach_comes_first_in_the_next() -> None:
    world, refs = World(), named(100)
    await world.deploy(*refs)

    first = await world.stepper.deliver(events(refs))
    took_s = world.loop.clock.now()
    second = await world.stepper.deliver(events(refs))

    assert first == ["4 of 100 functions were not reached within 8 s; they are next"]
    assert took_s == pytest.approx(8)
    assert [world.stepped_at(ref)[0] for ref in refs[96:]] == [9] * 4
    assert all(world.stepped_at(ref) for ref in refs)
    assert second == ["4 of 100 functions were not reached within 8 s; they are next"]


async def test_delivery_of_one_function_does_not_wait_for_that_of_a_thousand() -> None:
    world, refs = World(), named(1_000)
    await world.deploy(*refs, ECHO)

    many = asyncio.create_task(world.stepper.deliver(events(refs)))
    await asyncio.sleep(0.5)
    assert await world.stepper.deliver(events([ECHO])) == []

    assert world.stepped_at(ECHO) == [1.5]
    assert "904 of 1000" in (await many)[0]


async def test_step_up_does_not_wait_for_hundreds_of_descents() -> None:
    world, refs = World(), named(500)
    await world.deploy(*refs, replicas=20)
    await world.deploy(ECHO)
    for ref in refs:
        world.cluster.on_read.pop(ref)
    async with world.stepping():
        await world.stepper.deliver(events(refs, AlertStatus.RESOLVED))
        for ref in refs:
            world.cluster.on_read[ref] = world._slowly
        await asyncio.sleep(5.5)  # all are due at once, and wait for their turns
        await world.stepper.deliver(events([ECHO]))

    assert world.stepped_at(ECHO) == [6.5]
