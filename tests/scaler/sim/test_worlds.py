"""The control loop's rule beside Knative's, over the same callers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from springtide.scaler.core.demand import LoadSample
from springtide.scaler.core.follow import Bounds
from springtide.scaler.sim.adapter import Springtide, labels_of
from springtide.scaler.sim.engine import Decider, Outcome, Stretch, World, calls_of, simulate
from springtide.scaler.sim.knative import Knative
from springtide.scaler.sim.worlds import CHANGING, KINDS, exponential, poisson

WORLDS = {world.name: world for world in (*KINDS, *CHANGING)}
SEEDS = (501, 502, 503)
"""None of them was used when the rule was tuned."""


class Fixed:
    """Somebody who always wants the same."""

    lead_s = 2.0

    def __init__(self, replicas: int) -> None:
        self._replicas = replicas

    def wanted(self, sample: LoadSample, *, wanted: int, ready: int, now: float) -> int:  # noqa: ARG002
        return self._replicas

    def woken(self) -> int:
        return self._replicas

    def at_rest(self, *, wanted: int, now: float) -> bool:  # noqa: ARG002
        return wanted == self._replicas

    def steady(self, stretch: Stretch, *, wanted: int) -> tuple[float, int] | None:
        return (stretch.end, wanted) if wanted == self._replicas else None


DECIDERS: dict[str, Callable[[Bounds], Decider]] = {
    "springtide": lambda bounds: Springtide(labels_of(bounds)),
    "knative": Knative,
}


def made(name: str, world: World) -> Decider:
    return DECIDERS[name](Bounds(world.min, world.max, world.slots))


def both(world: World, seed: int) -> tuple[Outcome, Outcome]:
    calls = calls_of(world, seed)
    ours, theirs = (simulate(world, made(name, world), seed, calls) for name in ("springtide", "knative"))
    return ours, theirs


def queue(replicas: int, rate: float, service_s: float) -> Outcome:
    world = World(
        name="a queue of the textbook",
        length_s=20_000,
        arrivals=poisson(lambda _: rate, rate),
        service_s=exponential(service_s),
        cold_start_s=exponential(1.0),
        min=replicas,
    )
    return simulate(world, Fixed(replicas), 1)


def test_the_simulated_queue_waits_as_the_textbook_says() -> None:
    """M/M/c by Erlang's formula: 8 calls a second of 1 s each, ten replicas."""
    offered, servers = 8.0, 10
    blocked = offered**servers / math.factorial(servers) * servers / (servers - offered)
    waits = blocked / (sum(offered**k / math.factorial(k) for k in range(servers)) + blocked)
    outcome = queue(servers, 8.0, 1.0)
    assert sum(wait > 1e-9 for wait in outcome.waits) / outcome.calls == pytest.approx(waits, rel=0.1)
    mean_s = waits / (servers - offered)
    assert sum(outcome.waits) / outcome.calls == pytest.approx(mean_s, rel=0.15)
    assert outcome.replica_s == pytest.approx(servers * 20_000, rel=0.01)


@pytest.mark.parametrize("name", ["step", "spikes", "on-off", "cron", "flash crowd"])
def test_it_waits_less_than_knative_and_is_calmer(name: str) -> None:
    ours, theirs = zip(*(both(WORLDS[name], seed) for seed in SEEDS), strict=True)
    p99 = [sum(outcome.percentile(0.99) for outcome in outcomes) for outcomes in (ours, theirs)]
    cost = [sum(outcome.replica_s for outcome in outcomes) for outcomes in (ours, theirs)]
    actions = [sum(outcome.actions for outcome in outcomes) for outcomes in (ours, theirs)]
    assert p99[0] <= max(1.1 * p99[1], 0.25 * len(SEEDS))
    assert cost[0] <= 1.15 * cost[1]
    assert actions[0] <= actions[1] / 2
    assert sum(outcome.unserved for outcome in ours) == 0


class Restless:
    """Another one, but it never rests: the simulator walks through every tick."""

    def __init__(self, decider: Decider) -> None:
        self._decider, self.lead_s = decider, decider.lead_s

    def wanted(self, sample: LoadSample, *, wanted: int, ready: int, now: float) -> int:
        return self._decider.wanted(sample, wanted=wanted, ready=ready, now=now)

    def woken(self) -> int:
        return self._decider.woken()

    def at_rest(self, *, wanted: int, now: float) -> bool:  # noqa: ARG002
        return False

    def steady(self, stretch: Stretch, *, wanted: int) -> tuple[float, int] | None:  # noqa: ARG002
        return None


@pytest.mark.parametrize("decider", DECIDERS)
@pytest.mark.parametrize(("name", "length_s"), [("herds", 1200), ("cron", 900), ("tiny load", 1500), ("nights", 2700)])
@pytest.mark.parametrize("zero_after_s", [None, 60.0])
def test_leaping_over_silence_changes_nothing(
    name: str, length_s: float, decider: str, zero_after_s: float | None
) -> None:
    world = replace(WORLDS[name], length_s=length_s, zero_after_s=zero_after_s, sweep_s=30.0)
    calls = calls_of(world, 11)
    leapt = simulate(world, made(decider, world), 11, calls)
    walked = simulate(world, Restless(made(decider, world)), 11, calls)
    assert (leapt.counts, leapt.waits, leapt.cold) == (walked.counts, walked.waits, walked.cold)
    assert leapt.replica_s == pytest.approx(walked.replica_s)


def test_calls_that_become_long_are_followed_within_seconds() -> None:
    """They wait, so hardly any of them ends, and thousands of short ones are remembered."""
    for seed in SEEDS:
        outcome = simulate(WORLDS["becomes long"], made("springtide", WORLDS["becomes long"]), seed)
        grown = [at for at, count in outcome.counts if count >= 6]
        assert grown[0] <= 305
        assert outcome.largest <= 16
        assert outcome.percentile(0.99) < 4


def test_many_calls_that_have_become_short_are_not_taken_for_long_ones() -> None:
    world = WORLDS["becomes short"]
    for seed in SEEDS:
        outcome = simulate(world, made("springtide", world), seed)
        before = max(count for at, count in outcome.counts if at < 300)
        assert max(count for at, count in outcome.counts if at >= 300) <= before
