"""The simulated function once more, without any cleverness: a loop over small steps of time.

Everything happens at whole steps of 1/128 s, which floating point has exactly, so that both must agree to the last
digit. Nothing is leapt over, nothing planned, nothing counted together; slow, short, and meant to be read.
"""

from __future__ import annotations

from array import array
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from springtide.scaler.core import idle
from springtide.scaler.core.demand import LoadSample
from springtide.scaler.core.idle import Activity, IdleHistory, IdleLimits
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.vocabulary import Function, FunctionRef, Instant, Sample, Scale
from springtide.scaler.sim.engine import AFTER_END_S, Calls, Decider, World

STEPS = 128
"""In a second."""


@dataclass(eq=False, slots=True)
class Replica:
    ready: bool = False
    busy: int = 0


@dataclass(slots=True)
class Plain:
    """What the engine tells of a life, in the engine's words."""

    waits: list[float] = field(default_factory=list)
    counts: list[tuple[float, int]] = field(default_factory=list)
    calls: int = 0
    cold: int = 0
    wakes: int = 0
    unserved: int = 0
    replica_s: float = 0.0


def in_steps(seconds: Iterable[float]) -> array[float]:
    """The same at whole steps, and nothing at once."""
    return array("d", (max(1, round(each * STEPS)) / STEPS for each in seconds))


def stepwise(world: World, calls: Calls) -> tuple[World, Calls]:
    """A world, and its calls, that happen at whole steps."""
    cold_start_s = world.cold_start_s
    stepped = replace(world, cold_start_s=lambda source: in_steps([cold_start_s(source)])[0])
    return stepped, Calls(in_steps(calls.at), in_steps(calls.service_s))


class PlainLoop:
    """One function's life under one decider."""

    def __init__(self, world: World, decider: Decider, calls: Calls, starts_s: Iterable[float]) -> None:
        """``starts_s``: how long each replica takes to start, in the order in which they are asked for."""
        self.world, self.decider = world, decider
        self.arrives = [int(each * STEPS) for each in calls.at]
        self.takes = [int(each * STEPS) for each in calls.service_s]
        self.starts = (int(each * STEPS) for each in starts_s)
        self.step = self.came = self.ended = self.last_active = 0
        self.replicas: list[Replica] = []
        self.leaving: list[Replica] = []
        self.roomy: list[Replica] = []  # ready, with room, in the order in which they came to have it
        self.waiting: deque[int] = deque()
        self.calls_due: defaultdict[int, list[tuple[int, Replica]]] = defaultdict(list)
        self.starts_due: defaultdict[int, list[Replica]] = defaultdict(list)
        self.sample = LoadSample(Instant(0.0), 0, 0, 0, 0)
        self.silence = IdleHistory()
        self.told = Plain()

    def run(self) -> Plain:
        end = int(self.world.length_s * STEPS)
        if self.world.awake or self.world.zero_after_s is None:
            self.set_count(max(1, self.world.min), at_once=True)
        while self.step <= end or (self.came > self.ended and self.step <= end + AFTER_END_S * STEPS):
            self.calls_come()
            self.calls_end()
            self.replicas_start()
            self.idle_rule_looks()
            self.decider_looks()
            if self.step < end:
                self.told.replica_s += (len(self.replicas) + len(self.leaving)) / STEPS
            self.step += 1
        self.told.unserved = len(self.waiting)
        return self.told

    def calls_come(self) -> None:
        while self.came < len(self.arrives) and self.arrives[self.came] == self.step:
            self.told.cold += not any(each.ready for each in self.replicas)
            self.waiting.append(self.came)
            self.came, self.last_active = self.came + 1, self.step
            if not self.replicas:
                self.told.wakes += 1
                self.set_count(max(1, min(self.decider.woken(), self.world.max)))
            self.serve()

    def calls_end(self) -> None:
        for _, replica in sorted(self.calls_due.pop(self.step, []), key=lambda each: each[0]):
            replica.busy -= 1
            self.ended, self.last_active = self.ended + 1, self.step
            if replica in self.replicas and replica not in self.roomy:
                self.roomy.append(replica)
            self.serve()
        self.leaving = [each for each in self.leaving if each.busy]

    def replicas_start(self) -> None:
        for replica in self.starts_due.pop(self.step, []):
            if replica in self.replicas:
                replica.ready = True
                self.roomy.append(replica)
                self.serve()

    def idle_rule_looks(self) -> None:
        world, now = self.world, Instant(self.step / STEPS)
        due = (self.step - round(world.first_sweep_s * STEPS)) % round(world.sweep_s * STEPS) == 0
        if world.zero_after_s is None or not self.step or not due:
            return
        count = len(self.replicas)
        function = Function(FunctionRef("", "plain"), Scale(count, count, ""), created_at=Instant(-1e9))
        activity = Activity(Sample(self.came - self.ended, now), Sample(self.last_active / STEPS, now))
        policy, limits = ScalePolicy(zero=True, zero_duration_s=world.zero_after_s), IdleLimits(settle_s=0.0)
        decision, self.silence = idle.decide(function, policy, (), activity, self.silence, limits, now)
        self.set_count(decision.after)

    def decider_looks(self) -> None:
        if self.step % STEPS:
            return
        now, before = self.step / STEPS, self.sample
        self.sample = LoadSample(Instant(now), self.came, self.ended, self.came - self.ended, len(self.waiting))
        if self.step:
            ready = sum(each.ready for each in self.replicas)
            wanted = self.decider.wanted(before, wanted=len(self.replicas), ready=ready, now=now)
            if self.replicas:
                self.set_count(max(1, self.world.min, min(wanted, self.world.max)))

    def serve(self) -> None:
        while self.waiting and self.roomy:
            call, replica = self.waiting.popleft(), self.roomy[-1]
            replica.busy += 1
            if replica.busy == self.world.slots:
                self.roomy.pop()
            self.calls_due[self.step + self.takes[call]].append((call, replica))
            self.told.calls += 1
            if self.step > self.arrives[call]:
                self.told.waits.append((self.step - self.arrives[call]) / STEPS)

    def set_count(self, wanted: int, *, at_once: bool = False) -> None:
        if wanted == len(self.replicas):
            return
        self.told.counts.append((self.step / STEPS, wanted))
        while len(self.replicas) < wanted:
            starts_in = next(self.starts)
            self.replicas.append(Replica())
            self.starts_due[self.step + (0 if at_once else starts_in)].append(self.replicas[-1])
        if at_once:
            self.replicas_start()
        if len(self.replicas) > wanted:  # those that are not ready go first, then the idlest
            self.replicas.sort(key=lambda each: (each.ready, each.busy), reverse=True)
        while len(self.replicas) > wanted:
            gone = self.replicas.pop()
            if gone in self.roomy:
                self.roomy.remove(gone)
            if gone.busy:
                self.leaving.append(gone)
