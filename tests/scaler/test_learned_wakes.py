"""A herd at a sleeping function, again and again, in virtual time: what is learned, told, kept and woken to."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from springtide.runtime.errors import SpringtideError, Unavailable
from springtide.runtime.virtual_time import VirtualTimeLoop
from springtide.scaler.core import loop as control
from springtide.scaler.core.demand import LoadSample
from springtide.scaler.core.loads import loads_of
from springtide.scaler.core.loop import LoopHistory
from springtide.scaler.core.observation import CALLS, Calls, Observation
from springtide.scaler.core.policy import ScalePolicy, wake_replicas
from springtide.scaler.core.vocabulary import Function, FunctionRef, Instant, Scale, Writer
from springtide.scaler.learned_wakes import LearnedWakes
from springtide.scaler.provider_notes import FAILED_S, MAX_AT_ONCE, TOLD_S

pytestmark = pytest.mark.virtual_time

REF = FunctionRef("openfaas-fn", "herd")
CAPACITY = {"com.openfaas.scale.type": "capacity", "com.openfaas.scale.target": "1"}
CALLERS = 20


@dataclass
class Keeper:
    """A provider: it shows what it was told last. ``failures`` are raised, one for each telling."""

    shown: dict[FunctionRef, int] = field(default_factory=dict)
    told: list[tuple[FunctionRef, int]] = field(default_factory=list)
    failures: list[SpringtideError] = field(default_factory=list)
    answers: asyncio.Event | None = None

    async def keep_wake(self, ref: FunctionRef, replicas: int) -> None:
        self.told.append((ref, replicas))
        if self.answers is not None:
            await self.answers.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.shown[ref] = replicas


class Herd:
    """``CALLERS`` at once at a function that sleeps; calls of a second, one a replica; a replica starts in one."""

    def __init__(self, clock: VirtualTimeLoop, keeper: Keeper, **labels: str) -> None:
        marked = {**CAPACITY, **{f"com.{key}": value for key, value in labels.items()}}
        self.policy, self.loads = ScalePolicy.from_labels(marked)[0], loads_of(marked, {})[0]
        self.keeper, self.clock = keeper, clock
        self.wanted = self.ready = 0
        self.waiting = self.running = self.started = self.completed = self.wakes_seen = 0
        self.restart()

    def restart(self) -> None:
        """Another scaler, which remembers nothing."""
        self.history, self.wakes = LoopHistory(), LearnedWakes(self.keeper, clock=self.clock.clock)

    async def meets(self, *, unseen: bool = False, ahead_s: int = 0) -> int:
        """From a moment of sleep to the next; how many replicas the callers woke.

        ``unseen``: no look sees the sleep. ``ahead_s``: it is woken so long before they come.
        """
        await self.seconds(0 if unseen else 1)
        self.waiting, self.wakes_seen = 0 if ahead_s else CALLERS, self.wakes_seen + 1
        self.wanted = woken = wake_replicas(self.policy, self.keeper.shown.get(REF))
        self.ready = min(self.ready, self.wanted)
        await self.seconds(ahead_s)
        self.waiting = CALLERS
        await self.seconds(30)
        assert (self.waiting, self.running) == (0, 0)
        self.wanted = self.ready = 1 if unseen else 0
        await self.seconds(30)
        return woken

    async def seconds(self, count: int) -> None:
        for _ in range(count):
            self.completed += self.running
            begun = min(self.ready, self.waiting)
            self.waiting, self.running, self.started = self.waiting - begun, begun, self.started + begun
            self.look()
            self.ready = self.wanted
            await asyncio.sleep(1)

    def look(self) -> None:
        now = Instant(self.clock.clock.wall())
        sample = LoadSample(now, self.started, self.completed, float(self.running + self.waiting), float(self.waiting))
        function = Function(
            REF, Scale(self.wanted, self.ready, "1"), owner=Writer.SCALER, learned_wake=self.keeper.shown.get(REF)
        )
        seen = Observation(function, {CALLS: Calls(sample)}, wakes=self.wakes_seen)
        outcome = control.decide(self.policy, self.loads, self.history, seen, now)
        self.history, self.wanted = outcome.written, outcome.decision.after
        self.wakes.tell([(function, self.policy)], {REF: self.history}, now)


async def test_herd_is_met_by_several_replicas_once_two_wakes_were_seen(loop: VirtualTimeLoop) -> None:
    herd = Herd(loop, Keeper())

    woken = [await herd.meets() for _ in range(4)]

    assert woken[:2] == [1, 1]
    assert min(woken[2:]) >= 5
    assert herd.keeper.shown[REF] <= 20


async def test_sleep_that_no_look_has_seen_is_learned_from(loop: VirtualTimeLoop) -> None:
    herd = Herd(loop, Keeper())
    herd.wanted = herd.ready = 1
    await herd.seconds(5)

    woken = [await herd.meets(unseen=True) for _ in range(4)]

    assert woken[:2] == [1, 1]
    assert min(woken[2:]) >= 5
    assert herd.history.replicas.cold_start_s < 3, "when the replicas of such a wake were asked for nobody has seen"


async def test_wake_ahead_of_a_herd_is_learned_from_when_the_herd_has_come(loop: VirtualTimeLoop) -> None:
    herd = Herd(loop, Keeper())

    woken = [await herd.meets(ahead_s=10) for _ in range(5)]

    assert woken[:2] == [1, 1]
    assert min(woken[2:]) >= 5


async def test_label_keeps_it_to_the_minimum_and_its_maximum_bounds_it(loop: VirtualTimeLoop) -> None:
    cautious, small = (
        Herd(loop, Keeper(), **labels) for labels in ({"springtide.scale.wake": "min"}, {"openfaas.scale.max": "3"})
    )

    assert [await cautious.meets() for _ in range(3)] == [1, 1, 1]
    assert cautious.keeper.told == []
    assert [await small.meets() for _ in range(3)] == [1, 1, 3]


async def test_what_was_learned_outlives_the_scaler_until_another_has_seen_as_much(loop: VirtualTimeLoop) -> None:
    herd = Herd(loop, Keeper({REF: 12}))

    assert await herd.meets() == 12
    assert herd.keeper.told == []
    assert await herd.meets() == 12
    herd.restart()
    assert await herd.meets() == herd.keeper.shown[REF]


async def test_number_is_told_again_where_the_provider_shows_another_one(loop: VirtualTimeLoop) -> None:
    herd = Herd(loop, Keeper())
    for _ in range(2):
        await herd.meets()
    learned = herd.keeper.shown[REF]
    before = len(herd.keeper.told)

    await herd.seconds(60)
    assert len(herd.keeper.told) == before
    del herd.keeper.shown[REF]
    await herd.seconds(2)

    assert herd.keeper.told[before:] == [(REF, learned)]


@pytest.mark.parametrize(("failing", "pause_s"), [(True, FAILED_S), (False, TOLD_S)], ids=["refused", "not shown"])
async def test_provider_that_does_not_take_it_is_told_seldom(
    loop: VirtualTimeLoop, failing: bool, pause_s: float
) -> None:
    herd = Herd(loop, Keeper())
    for _ in range(2):
        await herd.meets()
    herd.keeper.told.clear()
    looks = int(3 * pause_s)
    for _ in range(looks):
        herd.keeper.shown.pop(REF, None)
        herd.keeper.failures = [Unavailable("away")] if failing else []
        await herd.seconds(1)

    assert len(herd.keeper.told) == pytest.approx(looks / pause_s, abs=1)


async def test_provider_that_hangs_is_told_few_at_once_and_holds_no_look_up(loop: VirtualTimeLoop) -> None:
    herd = Herd(loop, Keeper())
    for _ in range(2):
        await herd.meets()
    herd.keeper.told.clear()
    herd.keeper.answers = asyncio.Event()
    refs = [replace(REF, name=f"herd-{number}") for number in range(100)]
    many = [(Function(ref, Scale(0, 0, "1"), owner=Writer.SCALER), herd.policy) for ref in refs]

    for _ in range(3):
        herd.wakes.tell(many, dict.fromkeys(refs, herd.history), Instant(loop.clock.wall()))
        await asyncio.sleep(1)

    assert len(herd.keeper.told) == MAX_AT_ONCE
    await herd.wakes.aclose()
