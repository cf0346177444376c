"""The adapter for other people's simulators runs what production runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from springtide.scaler.core.demand import LoadSample
from springtide.scaler.core.follow import Bounds
from springtide.scaler.core.vocabulary import Instant, Reason
from springtide.scaler.sim.adapter import Springtide, labels_of
from springtide.scaler.sim.deciders import Knative
from springtide.scaler.sim.engine import World, simulate
from springtide.scaler.sim.worlds import KINDS

WORLDS = {world.name: world for world in KINDS}


def adapter(world: World) -> Springtide:
    return Springtide(labels_of(Bounds(world.min, world.max, world.slots)))


def ask(decider: Springtide, second: int, rate: float, *, wanted: int, age_s: float = 0.5) -> int:
    sample = LoadSample(Instant(second - age_s), rate * second, rate * second, rate, 0)
    return decider.wanted(sample, wanted=wanted, ready=wanted, now=second)


def test_its_docstrings_example_grows_to_the_load() -> None:
    decider, wanted = Springtide({"com.openfaas.scale.type": "capacity", "com.openfaas.scale.target": "1"}), 1
    for second in range(1, 30):
        wanted = ask(decider, second, 8.0, wanted=wanted)
    assert 9 <= wanted <= 13
    assert decider.decision is not None
    assert decider.decision.inputs["load"] == 8


def test_it_stays_on_old_samples() -> None:
    decider = Springtide(labels_of(Bounds(1, 50, 1.0)))
    for second in range(1, 60):
        assert ask(decider, second, 18.0, wanted=20) >= 20
    for second in range(60, 300):
        assert ask(decider, second, 0.0, wanted=20, age_s=30) == 20
    assert decider.decision is not None
    assert decider.decision.reason is Reason.STALE_DATA


def test_labels_say_the_rule() -> None:
    decider, wanted = Springtide({"com.openfaas.scale.target": "5", "com.springtide.scale.policy": "target"}), 1
    for second in range(1, 60):
        wanted = ask(decider, second, 15.0, wanted=wanted)
    assert wanted == 4  # ceil(15 / (5 × 0.9))


@pytest.mark.parametrize("labels", [{"com.openfaas.scale.max": "many"}, {"com.openfaas.scale.type": "queue"}])
def test_what_it_cannot_follow_it_refuses(labels: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(labels))):
        Springtide(labels)


@pytest.mark.parametrize("name", ["step", "spikes", "on-off"])
def test_it_waits_less_than_knative_and_is_calmer(name: str) -> None:
    world = WORLDS[name]
    ours = [simulate(world, adapter(world), seed) for seed in (701, 702)]
    theirs = [simulate(world, Knative(Bounds(world.min, world.max, world.slots)), seed) for seed in (701, 702)]
    p99 = [sum(outcome.percentile(0.99) for outcome in outcomes) for outcomes in (ours, theirs)]
    assert p99[0] <= max(1.1 * p99[1], 0.5)
    assert sum(outcome.replica_s for outcome in ours) <= 1.15 * sum(outcome.replica_s for outcome in theirs)
    assert sum(outcome.actions for outcome in ours) <= sum(outcome.actions for outcome in theirs) / 2
    assert sum(outcome.unserved for outcome in ours) == 0


class Restless(Springtide):
    """One that is asked at every second."""

    def at_rest(self, *, wanted: int, now: float) -> bool:  # noqa: ARG002
        return False


@pytest.mark.parametrize("name", ["herds", "tiny load", "nights"])
def test_leaping_over_silence_changes_nothing(name: str) -> None:
    world = replace(WORLDS[name], zero_after_s=60.0, sweep_s=30.0)
    labels = labels_of(Bounds(world.min, world.max, world.slots))
    leapt, walked = simulate(world, Springtide(labels), 11), simulate(world, Restless(labels), 11)
    assert (leapt.counts, leapt.waits, leapt.cold) == (walked.counts, walked.waits, walked.cold)
