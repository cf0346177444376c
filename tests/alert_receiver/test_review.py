"""Ends of alerts that were never told, in virtual time: when is asked, and what comes of each answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from springtide.alert_receiver.history_store import HistoryStore
from springtide.alert_receiver.leadership_term import LeadershipTerm
from springtide.alert_receiver.settings import AlertReceiverSettings
from springtide.alert_receiver.stepper import Stepper
from springtide.runtime.virtual_time import EPOCH
from springtide.scaler.core.alert_review import SCALING_LABELS, ActiveAlert, ActiveAlerts
from springtide.scaler.core.steps import AlertEvent, AlertId, AlertStatus
from springtide.scaler.core.vocabulary import Decision, FunctionRef, Instant, NoData
from springtide.wire.leadership import Always
from tests.fakes.cluster import Cluster, Decisions
from tests.loops import virtual_loop

pytestmark = pytest.mark.virtual_time

ECHO = FunctionRef("openfaas-fn", "echo")
FIRING = AlertEvent(ECHO, AlertStatus.FIRING, AlertId("busy", "t0"), "busy")


class Known:
    """An AlertSource that says what the test wants, and a PastDecisions that knows what the cluster was told."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.answer: list[ActiveAlert] | NoData = []
        self.asked: list[float] = []

    async def active(self, now: Instant) -> ActiveAlerts | NoData:
        self.asked.append(round(now - EPOCH, 3))
        return self.answer if isinstance(self.answer, NoData) else ActiveAlerts.of(self.answer, now)

    async def last_changes(self) -> Mapping[FunctionRef, Decision]:
        return {decision.ref: decision for decision in self._cluster.decisions}


class World:
    """One receiver, alone, that may be replaced by one without a memory."""

    def __init__(self) -> None:
        self.loop = virtual_loop()
        self.cluster, self.decisions = Cluster(self.loop.clock), Decisions()
        self.known = Known(self.cluster)
        self.stepper = self.fresh()

    def fresh(self, histories: HistoryStore | None = None) -> Stepper:
        return Stepper(
            AlertReceiverSettings(),
            target=self.cluster,
            recorder=self.decisions,
            clock=self.loop.clock,
            histories=histories or HistoryStore(),
            term=LeadershipTerm(Always(), self.loop.clock),
            past=self.known,
            alerts=self.known,
        )

    @asynccontextmanager
    async def stepping(self) -> AsyncIterator[None]:
        """The function is there, and what fires is reviewed meanwhile."""
        await self.cluster.deploy(ECHO)
        running = asyncio.create_task(self.stepper.run())
        try:
            yield
        finally:
            running.cancel()
            await asyncio.wait([running])

    def steps(self) -> list[tuple[float, int, int]]:
        return [(round(d.at - EPOCH, 3), d.before, d.after) for d in self.decisions.all if d.changes]


def busy() -> ActiveAlert:
    return ActiveAlert(ECHO, SCALING_LABELS, "busy")


async def test_end_that_was_never_told_is_found_within_a_minute() -> None:
    world = World()

    async with world.stepping():
        world.known.answer = [busy()]
        for _ in range(3):
            await asyncio.sleep(10)
            await world.stepper.deliver([FIRING])
        await asyncio.sleep(40)  # until 70 s: asked once more, and it fired
        world.known.answer = []
        await asyncio.sleep(70)

    assert world.steps() == [(10, 1, 5), (20, 5, 9), (30, 9, 13), (120, 13, 9), (125, 9, 5), (130, 5, 1)]


async def test_receiver_that_starts_without_a_memory_asks_at_once() -> None:
    world = World()

    async with world.stepping():
        await world.stepper.deliver([FIRING])
        again = asyncio.create_task(world.fresh().run())
        await asyncio.sleep(1)
        again.cancel()

    assert world.steps() == [(0, 1, 5), (0, 5, 1)]


async def test_not_known_is_no_reason_and_is_told_and_the_answer_is_acted_on_soon_after_a_reconnect() -> None:
    world = World()

    async with world.stepping():
        world.known.answer = NoData("Alertmanager is away")
        await asyncio.sleep(0)
        await world.stepper.deliver([FIRING])
        await asyncio.sleep(601)
        assert world.steps() == [(0, 1, 5)]
        told = world.decisions.all[-1]
        assert (told.reason, told.detail) == (
            "no_data",
            "whether an alert about it still fires is not known: Alertmanager is away",
        )
        world.known.answer = []
        await asyncio.sleep(10)

    assert world.steps()[1:] == [(605, 5, 1)]
    assert world.known.asked[:3] == [0, 5, 10]


async def test_count_that_a_person_chose_stays() -> None:
    world = World()

    async with world.stepping():
        await world.cluster.scale(ECHO, 9)
        await asyncio.sleep(600)

    assert world.steps() == []


async def test_damaged_memory_is_told_of_each_function_that_alerts_had_changed(tmp_path: Path) -> None:
    world, file = World(), tmp_path / "alerts.json"
    file.write_bytes(b"{")
    async with world.stepping():
        world.known.answer = [busy()]
        await world.stepper.deliver([FIRING])
        again = asyncio.create_task(world.fresh(HistoryStore(file)).run())
        await asyncio.sleep(1)
        again.cancel()

    told = world.decisions.all[-1]
    assert (told.ref, told.reason) == (ECHO, "no_data")
    assert told.detail.startswith("what was remembered of alerts was damaged, and is set aside as ")
