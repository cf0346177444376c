"""The engine against a plain loop over small steps of time: the same waits, counts and replica-seconds, exactly."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from springtide.scaler.core.follow import Bounds
from springtide.scaler.sim.adapter import Springtide, labels_of
from springtide.scaler.sim.engine import Decider, World, calls_of, simulate
from springtide.scaler.sim.knative import Knative
from springtide.scaler.sim.worlds import CHANGING, KINDS, exponential, lognormal, poisson
from tests.scaler.sim.plain_loop import STEPS, PlainLoop, stepwise

WORLDS = {world.name: world for world in (*KINDS, *CHANGING)}
DECIDERS: dict[str, Callable[[Bounds], Decider]] = {
    "ours": lambda bounds: Springtide(labels_of(bounds)),
    "knative": Knative,
}


LENGTHS_S = {"fast calls": 260.0, "on-off": 630.0}
"""Others change at 300 s at the latest; these fall at 225 s and rise again at 600 s."""


def assert_same_life(world: World, decider: str, seed: int) -> None:
    stepped, calls = stepwise(world, calls_of(world, seed))
    bounds = Bounds(world.min, world.max, world.slots)

    def starts_s() -> Iterator[float]:
        source = random.Random(f"{world.name} {seed} starts")
        while True:
            yield stepped.cold_start_s(source)

    engine = simulate(stepped, DECIDERS[decider](bounds), seed, calls)
    plain = PlainLoop(stepped, DECIDERS[decider](bounds), calls, starts_s()).run()
    assert engine.counts == plain.counts
    assert list(engine.waits) == plain.waits
    assert (engine.calls, engine.cold, engine.wakes) == (plain.calls, plain.cold, plain.wakes)
    assert engine.unserved == plain.unserved
    assert engine.replica_s == pytest.approx(plain.replica_s)


@pytest.mark.parametrize("decider", sorted(DECIDERS))
@pytest.mark.parametrize(
    "name", ["step", "wide replicas", "on-off", "fast calls", "bursts", "herds", "becomes long", "becomes short"]
)
def test_a_world_is_as_in_the_plain_loop(name: str, decider: str) -> None:
    assert_same_life(replace(WORLDS[name], length_s=LENGTHS_S.get(name, 420.0)), decider, seed=1)


@some.composite
def worlds(draw: some.DrawFn) -> World:
    rate = draw(some.sampled_from([0.02, 0.5, 4.0]))
    busy, quiet = draw(some.sampled_from([7, 40])), draw(some.sampled_from([15, 90]))
    minimum, sweep_s = draw(some.integers(1, 3)), draw(some.sampled_from([1.0, 15.0]))
    return World(
        name="any",
        length_s=draw(some.sampled_from([150.0, 240.0 + 3 / STEPS])),
        arrivals=poisson(lambda at: rate * (6 if at % (busy + quiet) < busy else 1), rate * 6),
        service_s=exponential(draw(some.sampled_from([0.05, 1.0, 8.0]))),
        cold_start_s=lognormal(draw(some.sampled_from([0.3, 2.0, 12.0])), 0.4),
        slots=draw(some.sampled_from([1, 3, 20])),
        min=minimum,
        max=draw(some.integers(minimum, 25)),
        zero_after_s=draw(some.sampled_from([None, 10.0, 45.0])),
        awake=draw(some.booleans()),
        sweep_s=sweep_s,
        first_sweep_s=draw(some.sampled_from([0.0, sweep_s / 2])),
    )


@settings(max_examples=25, deadline=None)
@given(world=worlds(), decider=some.sampled_from(sorted(DECIDERS)), seed=some.integers(1, 1000))
def test_any_life_is_as_in_the_plain_loop(world: World, decider: str, seed: int) -> None:
    assert_same_life(world, decider, seed)
