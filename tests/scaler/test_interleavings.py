"""Loop, idler, wake, prewarm and a person at once, with leaders that are killed and halted: the table and the limits
hold, and nobody wakes a function twice for one call."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from springtide.scaler.core import loop, ownership, prewarm
from springtide.scaler.core.demand import LoadSample
from springtide.scaler.core.loads import loads_of
from springtide.scaler.core.loop import LoopHistory
from springtide.scaler.core.observation import CALLS, Calls, Observation
from springtide.scaler.core.ownership import Scalers
from springtide.scaler.core.policy import ScalePolicy, wake_replicas
from springtide.scaler.core.prewarm import CallSource, ExpectedCall, Lead, Upcoming, WakeHistory
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


PERIOD_S, LEAD = 25, Lead.of(11.0)
"""A schedule's calls, and the function's starts: it is due for its next call about half of the time."""


@dataclass
class Prewarmer:
    """One copy of the part that wakes ahead, as ``Copy`` is of the scaler."""

    writer: ScaleWriter
    history: WakeHistory = field(default_factory=WakeHistory)
    pending: tuple[Decision, str, ExpectedCall] | None = None


class Suite:
    """All writers over one cluster. Each deed may come between another's look and its write."""

    def __init__(self) -> None:
        self.clock, self.leader, self.told = HandClock(), Leader(), Decisions()
        self.cluster = Cluster(self.clock, scalers=Scalers(loop=True))
        self.policy = ScalePolicy.from_labels({f"com.openfaas.scale.{key}": value for key, value in LABELS.items()})[0]
        self.loads = loads_of({f"com.openfaas.scale.{key}": value for key, value in LABELS.items()}, {})[0]
        self.copies = [Copy(self.writer(Seat(self.leader, copy))) for copy in range(2)]
        self.seats = Leader()
        self.prewarmers = [Prewarmer(self.writer(Seat(self.seats, copy))) for copy in range(2)]
        self.woken_for: list[tuple[ExpectedCall, Prewarmer]] = []
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

    @property
    def wakes(self) -> int:
        """How often the function left zero, as its provider counts it."""
        counts = [2, *(after for _, after in self.cluster.writes)]
        return sum(before == 0 < after for before, after in itertools.pairwise(counts))

    async def looked_ahead(self, copy: int, *, unread: bool) -> None:
        one, now = self.prewarmers[copy], Instant(self.clock.at)
        function = await self.cluster.read(REF)
        call = ExpectedCall(Instant((now // PERIOD_S + 1) * PERIOD_S), CallSource.SCHEDULE)
        upcoming = Upcoming(call, LEAD)
        one.history = prewarm.looked(one.history, function.scale, now, wakes=self.wakes, upcoming=upcoming)
        decision = prewarm.decide(
            function, self.policy, (), upcoming, one.history, now, unread="away" if unread else ""
        )
        one.pending = (decision, function.scale.version, call) if decision is not None and decision.changes else None

    async def woke_ahead(self, copy: int) -> None:
        one = self.prewarmers[copy]
        if one.pending is None:
            return
        (decision, version, call), one.pending = one.pending, None
        before, leads = len(self.cluster.writes), self.seats.copy == copy
        await one.writer.write(decision, self.policy, version=version)
        if len(self.cluster.writes) > before:
            self.automatic.append((decision, copy if leads else None))
            self.woken_for.append((call, one))
            one.history = prewarm.written(one.history, call)

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
            self.seats.copy = 1 - copy if number % 5 else None
        elif name == "look ahead":
            await self.looked_ahead(copy, unread=number == 13)
        elif name == "wake ahead":
            await self.woke_ahead(copy)
        elif name == "idle":
            await self.by(Writer.IDLER, function, 0, function.scale.version)
        elif name == "wake":
            await self.by(Writer.WAKE, function, wake_replicas(self.policy), function.scale.version)
        else:
            await self.by(Writer.PERSON, function, number, function.scale.version)


DEEDS = st.lists(
    st.tuples(
        st.sampled_from([*("look", "write", "look ahead", "wake ahead") * 2, "kill", "lead", "idle", "wake", "person"]),
        st.integers(0, 1),
        st.integers(0, 20),
    ),
    max_size=60,
)


async def live(deeds: list[tuple[str, int, int]]) -> Suite:
    suite = Suite()
    await suite.cluster.deploy(REF, replicas=2, **LABELS)
    for copy in range(2):  # Both follow the function from the beginning.
        await suite.looked_ahead(copy, unread=False)
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
        if decision.writer is Writer.PREWARM:
            assert (decision.before, decision.after) == (0, policy.min)
            assert decision.at < decision.at + decision.inputs["call_in_s"] <= decision.at + LEAD.seconds
    assert at_most_once_for_each_call(suite)
    written = [made for made in suite.cluster.decisions if made.writer is not Writer.PERSON]
    assert written == [decision for decision, _ in suite.automatic]
    counts = [2, *(after for _, after in suite.cluster.writes)]
    for made, before in zip(suite.cluster.decisions, counts, strict=False):
        assert made.before == before, "each write was decided on the count that it changed"


AHEAD = st.lists(
    st.tuples(st.sampled_from(["look ahead", "wake ahead", "idle", "lead"]), st.integers(0, 1), st.integers(1, 4)),
    min_size=20,
    max_size=80,
)


@settings(max_examples=150, deadline=None)
@given(AHEAD)
def test_no_order_of_leaders_and_sleeps_wakes_a_function_twice_for_one_call(deeds: list[tuple[str, int, int]]) -> None:
    assert at_most_once_for_each_call(asyncio.run(live([("idle", 0, 0), *deeds])))


def at_most_once_for_each_call(suite: Suite) -> bool:
    return max(Counter(call for call, _ in suite.woken_for).values(), default=0) <= 1


def test_prewarm_does_wake_in_such_lives_and_leaves_to_a_person_what_a_person_took_to_zero() -> None:
    ahead = [("look ahead", 0, 1), ("wake ahead", 0, 0)]
    asleep, away = ("idle", 0, 0), ("person", 0, 0)
    suite = asyncio.run(live([asleep, *ahead * 30, away, *ahead * 3, *ahead * 30]))

    calls = [call.at for call, _ in suite.woken_for]
    assert calls == [1025, 1050]


def test_a_copy_that_took_over_does_not_wake_again_for_the_same_call() -> None:
    looks = [("look ahead", 0, 1), ("look ahead", 1, 1)]
    due = [("idle", 0, 0), *looks * 7, ("wake ahead", 0, 0), ("person", 0, 0), ("lead", 0, 1)]
    suite = asyncio.run(live([*due, *looks, ("wake ahead", 1, 0)]))

    assert [one for _, one in suite.woken_for] == [suite.prewarmers[0]]


def test_the_loop_does_write_in_such_lives() -> None:
    deeds = [(name, 0, 10) for _ in range(6) for name in ("look", "write")]
    suite = asyncio.run(live([*deeds, ("person", 0, 3), *deeds]))
    assert [made.writer for made in suite.cluster.decisions].count(Writer.SCALER) >= 2
