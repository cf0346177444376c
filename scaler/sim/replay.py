"""Recorded calls under a policy: a row for a person who has to choose one."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from springtide.scaler.sim import engine, worlds
from springtide.scaler.sim.alert_path import AlertTiming
from springtide.scaler.sim.engine import PARTS, Calls, Outcome, World
from springtide.scaler.sim.policies import Owner, Policy
from springtide.scaler.sim.traces import Trace

START_SPREAD = 0.25
"""Sigma of the log-normal distribution of starts; its median is given."""
SWEEP_S = 30.0
"""The idler's own default."""
HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What no policy changes. ``service_s`` gives a function's way to draw the length of a call, in seconds.

    ``as_recorded``: where the length of each call is known, it is taken. ``concurrency``: calls that one replica can
    work on at once. ``awake``: one that may sleep begins awake. ``swept_s``: when the idle rule is asked. ``looks``:
    when the control loop looked, where that is known.
    """

    service_s: Callable[[str], worlds.Draw]
    cold_start_s: float
    concurrency: int
    timing: AlertTiming
    seed: int
    as_recorded: bool = True
    awake: bool = False
    swept_s: float = 0.0
    looks: tuple[float, ...] = ()


@dataclass(slots=True)
class Result:
    """What became of one function, or of several together, under one policy. Waits in seconds, of those that waited."""

    policy: str
    calls: int = 0
    cold: int = 0
    cold_starts: int = 0
    unserved: int = 0
    replica_s: float = 0.0
    wanted_s: float = 0.0
    """The same without those that finish their calls after they were taken away, as decisions and metrics have it."""
    flaps: int = 0
    largest: int = 0
    waits: array[float] = field(default_factory=lambda: array("d"))

    def add(self, outcome: Outcome) -> None:
        self.calls += outcome.calls
        self.cold += outcome.cold
        self.cold_starts += outcome.wakes
        self.unserved += outcome.unserved
        self.replica_s += outcome.replica_s
        self.wanted_s += outcome.wanted_s
        self.flaps += outcome.flaps()
        self.largest = max(self.largest, outcome.largest)
        self.waits.extend(outcome.waits)

    def merge(self, other: Result) -> None:
        """Another function's, or another part of its time."""
        self.calls += other.calls
        self.cold += other.cold
        self.cold_starts += other.cold_starts
        self.unserved += other.unserved
        self.replica_s += other.replica_s
        self.wanted_s += other.wanted_s
        self.flaps += other.flaps
        self.largest = max(self.largest, other.largest)
        self.waits.extend(other.waits)

    def waited_s(self, *shares: float) -> list[float]:
        return engine.percentiles(self.waits, self.calls, shares)

    def cost(self, price: float) -> float:
        """At so much for an hour of a replica."""
        return self.replica_s / HOUR_S * price


def run(trace: Trace, policy: Policy, given: Circumstances) -> Outcome:
    """The function's life. The same seed gives every policy the same calls."""
    world = replace(
        _world(trace, given),
        slots=policy.slots(given.concurrency, trace.workers),
        min=max(1, policy.scale.min),
        max=max(1, policy.scale.max),
        zero_after_s=policy.zero_after_s,
        looks=given.looks if given.looks and policy.owner is Owner.SCALER else None,
    )
    decider = policy.decider(given.timing, given.concurrency)
    return engine.simulate(world, decider, given.seed, _calls(trace, given))


@lru_cache(maxsize=1)
def _calls(trace: Trace, given: Circumstances) -> Calls:
    """Drawn once for all policies that one function is tried under; then forgotten, for they take the memory."""
    world, lengths_s = _world(trace, given), trace.service_s
    if lengths_s is None or not given.as_recorded:
        return engine.calls_of(world, given.seed)
    return Calls(engine.arrivals_of(world, given.seed), lengths_s)


def _world(trace: Trace, given: Circumstances) -> World:
    return World(
        name=trace.function,
        length_s=trace.length_s,
        arrivals=trace.arrivals,
        service_s=given.service_s(trace.function),
        cold_start_s=worlds.lognormal(given.cold_start_s, START_SPREAD),
        sweep_s=SWEEP_S,
        awake=given.awake,
        first_sweep_s=given.swept_s % SWEEP_S,
    )


def replicas_over_time(outcome: Outcome, length_s: float) -> list[float]:
    """The mean wanted count in each of ``PARTS`` equal parts."""
    part_s, sums = length_s / PARTS, [0.0] * PARTS
    steps: Sequence[tuple[float, int]] = [*outcome.counts, (length_s, 0)]
    for (since, count), (next_at, _) in itertools.pairwise(steps):
        at, until = since, min(next_at, length_s)
        part = int(at / part_s)
        while count and at < until and part < PARTS:
            end = min(until, (part + 1) * part_s)
            sums[part] += count * max(0.0, end - at)
            at, part = end, part + 1
    return [total / part_s for total in sums]
