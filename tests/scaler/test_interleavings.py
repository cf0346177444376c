"""Loop, idler, wake and a person at once, with leaders that are killed and halted: the table and the limits hold."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from springtide.scaler.core import loop, ownership
from springtide.scaler.core.demand import LoadSample
from springtide.scaler.core.loads import loads_of
from springtide.scaler.core.loop import LoopHistory
from springtide.scaler.core.observation import CALLS, Calls, Observation
from springtide.scaler.core.ownership import Scalers
from springtide.scaler.core.policy import ScalePolicy, wake_replicas
from springtide.scaler.core.vocabulary import Decision, Function, FunctionRef, Instant, NoData, Reason, Writer
from springtide.scaler.scale_writer import ScaleWriter
from tests.fakes.cluster import Cluster, Decisions

REF = FunctionRef("openfaas-fn", "echo")
LABELS = {"type": "capacity", "target": "1", "min": "2", "max": "12", "zero": "true"}


class HandClock:
    """Moved by hand."""

    def __init__(self) -> None:
        self.at = 1000.0

    def now(self) -> float:
        return self.at

    def wall(self) -> float:
        return self.at


@dataclass
class Leader:
    """Which of several copies leads, as all of them ask it."""

    copy: int | None = 0


class Seat:
    """One copy's Leadership."""

    role = "ns/scaler"

    def __init__(self, leader: Leader, copy: int) -> None:
        self._leader, self._copy = leader, copy

    def hold(self) -> int | None:
        return 1 if self._leader.copy == self._copy else None

    def left_s(self) -> float:
        return math.inf

    async def change(self, known: int | None) -> int | None:
        await asyncio.Event().wait()
        return known


@dataclass
class Copy:
    """One copy of the scaler: what it remembers, and what it decided and has not written yet."""

    writer: ScaleWriter
    history: LoopHistory = field(default_factory=LoopHistory)
    pending: tuple[Decision, str, loop.Outcome, Writer | None] | None = None


class Suite:
    """All writers over one cluster. Each deed may come between another's look and its write."""

    def __init__(self) -> None:
        self.clock, self.leader, self.told = HandClock(), Leader(), Decisions()
        self.cluster = Cluster(self.clock, scalers=Scalers(loop=True))
        self.policy = ScalePolicy.from_labels({f"com.openfaas.scale.{key}": value for key, value in LABELS.items()})[0]
        self.loads = loads_of({f"com.openfaas.scale.{key}": value for key, value in LABELS.items()}, {})[0]
        self.copies = [Copy(self.writer(Seat(self.leader, copy))) for copy in range(2)]
        self.others = self.writer(None)
        self.idler: tuple[Decision, str] | None = None
        self.started = 0.0
        self.automatic: list[tuple[Decision, int | None]] = []

    def writer(self, seat: Seat | None) -> ScaleWriter:
        return ScaleWriter(
            self.cluster, clock=self.clock, recorder=self.told, deadline_s=math.inf, log_event="x", leadership=seat
        )

    async def looked(self, copy: int, load: int | None) -> None:
        one, now = self.copies[copy], Instant(self.clock.at)
        function = await self.cluster.read(REF)
        self.started += load or 0
        sample = LoadSample(now, self.started, self.started, float(load or 0), 0.0)
        signal = NoData("away") if load is None else Calls(sample)
        seen = Observation(function, {CALLS: signal})
        outcome = loop.decide(self.policy, self.loads, one.history, seen, now)
        one.history = outcome.unwritten
        one.pending = (outcome.decision, function.scale.version, outcome, function.owner)

    async def wrote(self, copy: int, *, answer_lost: bool) -> None:
        one = self.copies[copy]
        if one.pending is None:
            return
        (decision, version, outcome, owner), one.pending = one.pending, None
        if not decision.changes:
            return
        before = len(self.cluster.writes)
        write = await one.writer.write(decision, self.policy, version=version, owner=owner)
        if len(self.cluster.writes) > before:
            self.automatic.append((decision, copy if self.leader.copy == copy else None))
            if not answer_lost:
                one.history = outcome.written
        else:
            assert not write.decision.changes

    async def by(self, writer: Writer, function: Function, after: int, version: str) -> None:
        reason = {Writer.IDLER: Reason.IDLE, Writer.WAKE: Reason.WAKE}.get(writer, Reason.MANUAL)
        now, before = Instant(self.clock.at), function.scale.desired
        decision = Decision(REF, writer, before, after, reason, "why", now)
        written = len(self.cluster.writes)
        if before != after:
            await self.others.write(decision, self.policy, version=version, owner=function.owner)
        if len(self.cluster.writes) > written and writer is not Writer.PERSON:
            self.automatic.append((decision, 0))

    async def deed(self, name: str, copy: int, number: int) -> None:
        """``number`` is a load or a count; a leader that is halted wakes up at its own next write."""
        self.clock.at += number % 3
        function = await self.cluster.read(REF)
        if name == "look":
            await self.looked(copy, None if number == 13 else number)
        elif name == "write":
            await self.wrote(copy, answer_lost=number % 5 == 0)
        elif name == "kill":
            self.copies[copy] = Copy(self.copies[copy].writer)
            self.leader.copy = 1 - copy
        elif name == "lead":
            self.leader.copy = copy if number % 4 else None
        elif name == "idle":
            await self.by(Writer.IDLER, function, 0, function.scale.version)
        elif name == "wake":
            await self.by(Writer.WAKE, function, wake_replicas(self.policy), function.scale.version)
        else:
            await self.by(Writer.PERSON, function, number, function.scale.version)


DEEDS = st.lists(
    st.tuples(
        st.sampled_from(["look", "look", "write", "write", "kill", "lead", "idle", "wake", "person"]),
        st.integers(0, 1),
        st.integers(0, 20),
    ),
    max_size=60,
)


async def live(deeds: list[tuple[str, int, int]]) -> Suite:
    suite = Suite()
    await suite.cluster.deploy(REF, replicas=2, **LABELS)
    for name, copy, number in deeds:
        await suite.deed(name, copy, number)
    return suite


@settings(max_examples=150, deadline=None)
@given(DEEDS)
def test_no_order_of_writers_writes_outside_the_table_or_the_limits(deeds: list[tuple[str, int, int]]) -> None:
    suite = asyncio.run(live(deeds))
    policy = suite.policy
    for decision, leading in suite.automatic:
        assert leading is not None, "only who leads writes"
        owner = Writer.SCALER
        assert ownership.refusal(decision.writer, policy, decision.before, decision.after, owner=owner) is None
        if decision.writer is Writer.SCALER:
            assert decision.before > 0
            assert policy.min <= decision.after <= policy.max
    written = [made for made in suite.cluster.decisions if made.writer is not Writer.PERSON]
    assert written == [decision for decision, _ in suite.automatic]
    counts = [2, *(after for _, after in suite.cluster.writes)]
    for made, before in zip(suite.cluster.decisions, counts, strict=False):
        assert made.before == before, "each write was decided on the count that it changed"


def test_the_loop_does_write_in_such_lives() -> None:
    deeds = [(name, 0, 10) for _ in range(6) for name in ("look", "write")]
    suite = asyncio.run(live([*deeds, ("person", 0, 3), *deeds]))
    assert [made.writer for made in suite.cluster.decisions].count(Writer.SCALER) >= 2
