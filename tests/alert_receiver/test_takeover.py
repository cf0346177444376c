"""Copies of the alert receiver: who takes deliveries, and what a new leader does with what the last one had begun."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry

from springtide.alert_receiver.history_store import HistoryStore
from springtide.alert_receiver.leadership_term import LeadershipTerm
from springtide.alert_receiver.service import AlertReceiverDeps, build
from springtide.alert_receiver.settings import AlertReceiverSettings
from springtide.alert_receiver.stepper import Stepper
from springtide.runtime.clock import SystemClock
from springtide.runtime.errors import Unavailable
from springtide.runtime.virtual_time import EPOCH
from springtide.scaler.core.steps import AlertEvent, AlertId, AlertStatus, StepHistory
from springtide.scaler.core.vocabulary import Decision, FunctionRef, Instant, Reason, Writer
from tests.fakes.alertmanager import alert, body
from tests.fakes.cluster import Cluster, Decisions
from tests.loops import virtual_loop

ECHO = FunctionRef("openfaas-fn", "echo")
MAIL = FunctionRef("openfaas-fn", "mail")


class Election:
    """A Leadership that the test decides."""

    role = "ns/alert-receiver"

    def __init__(self, term: int | None = None) -> None:
        self._term = term
        self._changed = asyncio.Event()

    def hold(self) -> int | None:
        return self._term

    def left_s(self) -> float:
        return math.inf

    async def change(self, known: int | None) -> int | None:
        while self._term == known:
            await self._changed.wait()
        return self._term

    def elect(self, term: int | None) -> None:
        self._term = term
        self._changed.set()
        self._changed = asyncio.Event()


class Log:
    """What the provider knows of past changes; or an error."""

    def __init__(self, *decisions: Decision, broken: bool = False) -> None:
        self._decisions, self._broken = decisions, broken

    async def last_changes(self) -> Mapping[FunctionRef, Decision]:
        if self._broken:
            raise Unavailable("no answer")
        return {decision.ref: decision for decision in self._decisions}


def changed(ref: FunctionRef, writer: Writer, reason: Reason) -> Decision:
    return Decision(ref, writer, 5, 13, reason, "", Instant(EPOCH))


def event(status: AlertStatus, ref: FunctionRef = ECHO) -> AlertEvent:
    return AlertEvent(ref, status, AlertId(f"busy {ref}", "t0"), "busy")


class World:
    """One copy, elected or not, in virtual time; it settles for 30 s after a takeover."""

    def __init__(self, *, past: Log | None = None, histories: HistoryStore | None = None) -> None:
        self.loop = virtual_loop()
        self.election, self.decisions = Election(), Decisions()
        self.histories = histories or HistoryStore()
        self.cluster = Cluster(self.loop.clock)
        self.term = LeadershipTerm(self.election, self.loop.clock)
        self.stepper = Stepper(
            AlertReceiverSettings(),
            target=self.cluster,
            recorder=self.decisions,
            clock=self.loop.clock,
            histories=self.histories,
            term=self.term,
            past=past,
        )

    @asynccontextmanager
    async def stepping(self) -> AsyncIterator[None]:
        running = asyncio.create_task(self.stepper.run())
        try:
            yield
        finally:
            running.cancel()
            await asyncio.wait([running])

    def steps(self, ref: FunctionRef = ECHO) -> list[tuple[float, int, int]]:
        return [
            (round(one.at - EPOCH, 3), one.before, one.after)
            for one in self.decisions.all
            if one.changes and one.ref == ref
        ]


@pytest.mark.virtual_time
async def test_copy_is_on_standby_until_it_is_elected_and_after_it_lost() -> None:
    world = World()
    told: list[str | None] = []

    async with world.stepping():
        for term in (None, 5, 6, None):
            world.election.elect(term)
            await asyncio.sleep(1)
            told.append(world.term.standby())

    assert [standby is None for standby in told] == [False, True, True, False]


@pytest.mark.virtual_time
async def test_new_leader_steps_up_at_once_but_down_only_when_it_has_heard_of_every_alert() -> None:
    world = World()

    async with world.stepping():
        await world.cluster.deploy(ECHO, replicas=13)
        await world.cluster.deploy(MAIL)
        world.election.elect(5)
        await asyncio.sleep(1)
        await world.stepper.deliver([event(AlertStatus.RESOLVED), event(AlertStatus.FIRING, MAIL)])
        await asyncio.sleep(60)

    assert world.steps(MAIL) == [(1, 1, 5)]
    assert world.steps() == [(31, 13, 9), (36, 9, 5), (41, 5, 1)]


@pytest.mark.virtual_time
async def test_alert_that_still_fires_keeps_a_new_leader_from_stepping_down() -> None:
    world = World()

    async with world.stepping():
        await world.cluster.deploy(ECHO, replicas=13)
        world.election.elect(5)
        await asyncio.sleep(1)
        await world.stepper.deliver([event(AlertStatus.RESOLVED)])
        other = AlertEvent(ECHO, AlertStatus.FIRING, AlertId("another", "t0"), "another")
        await asyncio.sleep(9)
        await world.stepper.deliver([other])
        await asyncio.sleep(60)

    assert world.steps() == [(10, 13, 17)]


@pytest.mark.virtual_time
@pytest.mark.parametrize("reason", [Reason.ALERT_FIRING, Reason.ALERT_RESOLVED])
async def test_descent_that_the_last_leader_owed_is_made(reason: Reason) -> None:
    world = World(past=Log(changed(ECHO, Writer.ALERT, reason)))

    async with world.stepping():
        await world.cluster.deploy(ECHO, replicas=13, min="2")
        world.election.elect(5)
        await asyncio.sleep(90)

    assert world.steps() == [(30, 13, 9), (35, 9, 5), (40, 5, 2)]


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    "past",
    [
        pytest.param(Log(changed(ECHO, Writer.PERSON, Reason.MANUAL)), id="a person scaled it last"),
        pytest.param(Log(changed(ECHO, Writer.WAKE, Reason.WAKE)), id="it was woken"),
        pytest.param(Log(), id="nothing is known"),
        pytest.param(Log(broken=True), id="the provider does not answer"),
        pytest.param(None, id="nobody to ask"),
    ],
)
async def test_function_that_alerts_did_not_scale_is_left_alone_at_a_takeover(past: Log | None) -> None:
    world = World(past=past)

    async with world.stepping():
        await world.cluster.deploy(ECHO, replicas=13)
        world.election.elect(5)
        await asyncio.sleep(90)

    assert world.steps() == []


@pytest.mark.virtual_time
async def test_function_whose_alert_fires_again_does_not_descend() -> None:
    world = World(past=Log(changed(ECHO, Writer.ALERT, Reason.ALERT_FIRING)))

    async with world.stepping():
        await world.cluster.deploy(ECHO, replicas=13)
        world.election.elect(5)
        for _ in range(8):
            await asyncio.sleep(10)
            await world.stepper.deliver([event(AlertStatus.FIRING)])

    assert world.steps() == [(10, 13, 17), (20, 17, 20)]


@pytest.mark.virtual_time
async def test_leader_that_lost_stops_its_descents_and_remembers_nothing_later() -> None:
    world = World()

    async with world.stepping():
        await world.cluster.deploy(ECHO, replicas=20)
        world.election.elect(5)
        await asyncio.sleep(40)
        await world.stepper.deliver([event(AlertStatus.RESOLVED)])
        await asyncio.sleep(6)
        world.election.elect(None)
        await asyncio.sleep(60)
        # Another leader saw load and stepped up; then this one leads again.
        await world.cluster.scale(ECHO, 20)
        world.election.elect(7)
        await asyncio.sleep(120)

    assert world.steps() == [(40, 20, 16), (45, 16, 12)]


@pytest.fixture
def descending(tmp_path: Path) -> Path:
    """A state file of a descent."""
    file = tmp_path / "state.json"
    histories = HistoryStore(file)
    histories.put(ECHO, StepHistory(descending=True))
    asyncio.run(histories.save())
    return file


@pytest.mark.virtual_time
async def test_state_file_of_an_earlier_time_is_not_believed(descending: Path) -> None:
    world = World(histories=HistoryStore(descending))

    async with world.stepping():
        await world.cluster.deploy(ECHO, replicas=13)
        world.election.elect(5)
        await asyncio.sleep(120)

    assert world.steps() == []


async def test_standby_refuses_deliveries_and_says_that_it_is_not_ready() -> None:
    cluster, election = Cluster(), Election()
    await cluster.deploy(ECHO)
    deps = AlertReceiverDeps(
        target=cluster,
        credentials=None,
        registry=CollectorRegistry(),
        recorder=Decisions(),
        clock=SystemClock(),
        leadership=election,
    )
    service = build(AlertReceiverSettings(port=0), deps)
    await service.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{service.port}") as client, asyncio.timeout(60):
            refused = await client.post("/system/alert", content=body(alert("echo.openfaas-fn")))
            ready, healthy = await client.get("/readyz"), await client.get("/healthz")
            assert (refused.status_code, refused.headers["connection"]) == (503, "close")
            assert (ready.status_code, healthy.status_code) == (503, 200)
            assert "springtide_leader 0.0" in (await client.get("/metrics")).text
            assert cluster.writes == []

            election.elect(5)
            while (await client.get("/readyz")).status_code != 200:
                pass
            taken = await client.post("/system/alert", content=body(alert("echo.openfaas-fn")))
            assert taken.status_code == 200
            assert "springtide_leader 1.0" in (await client.get("/metrics")).text
            assert cluster.writes == [(ECHO, 5)]
    finally:
        await service.stop()
