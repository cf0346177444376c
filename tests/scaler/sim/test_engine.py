"""The simulated function itself: what holds whoever decides; leaping over what can be foreseen changes nothing."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from springtide.scaler.core.demand import LoadHistory, LoadSample, arrival_rate
from springtide.scaler.core.follow import Bounds
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.vocabulary import Instant
from springtide.scaler.sim import steady
from springtide.scaler.sim.adapter import Springtide, labels_of
from springtide.scaler.sim.alert_path import AlertPath, AlertTiming
from springtide.scaler.sim.engine import Calls, Decider, Outcome, Stretch, World, calls_of, simulate
from springtide.scaler.sim.knative import Knative
from springtide.scaler.sim.worlds import exponential, lognormal, poisson

TIMING = AlertTiming(
    scrape_s=3,
    evaluation_s=3,
    window_s=15,
    group_interval_s=5,
    deliver_every_s=20,
    step_interval_s=10,
    begins_calls_per_s=5,
    ends_calls_per_s=4,
    calls_in_flight=10,
)
DECIDERS: dict[str, Callable[[World], Decider]] = {
    "rps": lambda world: Springtide(labels_of(Bounds(world.min, world.max, 10), load="rps")),
    "capacity": lambda world: Springtide(labels_of(Bounds(world.min, world.max, world.slots))),
    "formula": lambda world: Springtide(
        labels_of(Bounds(world.min, world.max, world.slots)) | {"com.springtide.scale.policy": "target"}
    ),
    "alerts": lambda world: AlertPath(ScalePolicy(min=world.min, max=20), TIMING),
    "knative": lambda world: Knative(Bounds(world.min, world.max, world.slots)),
}


class Recorded:
    """Another one, of which every look is kept. It never rests where ``walks``."""

    def __init__(self, decider: Decider, *, walks: bool) -> None:
        self._decider, self._walks, self.lead_s = decider, walks, decider.lead_s
        self.looks: list[LoadSample] = []
        self.leapt_s = 0.0

    def wanted(self, sample: LoadSample, *, wanted: int, ready: int, now: float) -> int:
        assert sample.at <= now
        assert 0 <= ready <= wanted
        self.looks.append(sample)
        return self._decider.wanted(sample, wanted=wanted, ready=ready, now=now)

    def woken(self) -> int:
        return self._decider.woken()

    def at_rest(self, *, wanted: int, now: float) -> bool:
        return not self._walks and self._decider.at_rest(wanted=wanted, now=now)

    def steady(self, stretch: Stretch, *, wanted: int) -> tuple[float, int] | None:
        left_out = None if self._walks else self._decider.steady(stretch, wanted=wanted)
        if left_out is not None:
            self.leapt_s += left_out[0] - stretch.begin
        return left_out


@some.composite
def worlds(draw: some.DrawFn) -> World:
    rate = draw(some.sampled_from([0.01, 0.3, 2.0, 8.0]))
    busy, quiet = draw(some.sampled_from([20, 100])), draw(some.sampled_from([40, 300]))
    minimum = draw(some.integers(1, 3))
    return World(
        name="any",
        length_s=draw(some.sampled_from([300.0, 600.0, 600.5])),
        arrivals=poisson(lambda at: rate * (4 if at % (busy + quiet) < busy else 1), rate * 4),
        service_s=exponential(draw(some.sampled_from([0.02, 0.5, 5.0]))),
        cold_start_s=lognormal(draw(some.sampled_from([0.4, 3.0])), 0.25),
        slots=draw(some.sampled_from([1, 4, 100])),
        min=minimum,
        max=draw(some.integers(minimum, 30)),
        zero_after_s=draw(some.sampled_from([None, 20.0, 60.0])),
        sweep_s=draw(some.sampled_from([1.0, 30.0])),
    )


def told(outcome: Outcome) -> tuple[object, ...]:
    return outcome.counts, outcome.waits, outcome.cold, outcome.calls, outcome.unserved


@settings(max_examples=20, deadline=None)
@given(world=worlds(), name=some.sampled_from(sorted(DECIDERS)), seed=some.integers(1, 5))
def test_what_can_be_foreseen_is_left_out_and_nothing_else_changes(world: World, name: str, seed: int) -> None:
    walks, leaps = (Recorded(DECIDERS[name](world), walks=walks) for walks in (True, False))
    walked, leapt = (simulate(world, decider, seed) for decider in (walks, leaps))
    assert told(leapt) == told(walked)
    assert leapt.replica_s == pytest.approx(walked.replica_s)
    assert set(leaps.looks) <= set(walks.looks)


@settings(max_examples=20, deadline=None)
@given(world=worlds(), name=some.sampled_from(sorted(DECIDERS)), seed=some.integers(1, 5))
def test_calls_that_come_are_served_in_order_and_replicas_add_up(world: World, name: str, seed: int) -> None:
    calls = calls_of(world, seed)
    recorded = Recorded(DECIDERS[name](world), walks=True)
    outcome = simulate(world, recorded, seed, calls)
    assert outcome.calls + outcome.unserved == len(calls.at) == sum(outcome.arrived)
    assert outcome.cold <= len(calls.at)
    assert len(outcome.waits) <= outcome.calls
    assert all(wait > 0 for wait in outcome.waits)
    assert outcome.busy_s == pytest.approx(sum(calls.service_s[: outcome.calls]))
    for sample in recorded.looks:
        assert 0 <= sample.waiting <= sample.in_flight == sample.started - sample.completed
        assert sample.started == sum(at <= sample.at for at in calls.at) or sample.at > world.length_s
    end = world.length_s
    counts = [(min(since, end), count) for since, count in [*outcome.counts, (end, 0)]]
    wanted_s = sum(count * (until - since) for (since, count), (until, _) in pairwise(counts))
    # A replica that is taken away finishes its calls, so there may be more than are wanted, never fewer.
    assert outcome.wanted_s == pytest.approx(wanted_s)
    assert wanted_s - 1e-6 <= outcome.replica_s <= wanted_s + outcome.busy_s + 1e-6


@pytest.mark.parametrize("name", sorted(DECIDERS))
def test_a_seed_gives_the_same_life_to_the_last_digit(name: str) -> None:
    world = World(
        name="same",
        length_s=900,
        arrivals=poisson(lambda _: 1.0, 1),
        service_s=exponential(0.2),
        cold_start_s=lognormal(2, 0.25),
        slots=2,
        zero_after_s=30,
    )
    first, second = (simulate(world, DECIDERS[name](world), 3) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("name", ["rps", "capacity", "alerts"])
def test_a_timer_of_every_minute_is_leapt_over(name: str) -> None:
    """Or a week of it would be looked at half of the time."""
    world = World(
        name="timer",
        length_s=7200,
        arrivals=lambda _: iter([minute * 60.0 for minute in range(120)]),
        service_s=exponential(0.1),
        cold_start_s=lognormal(2, 0.25),
        slots=100,
    )
    recorded = Recorded(DECIDERS[name](world), walks=False)
    simulate(world, recorded, 1)
    assert recorded.leapt_s > 6000
    assert len(recorded.looks) < 300


@pytest.mark.parametrize("name", sorted(DECIDERS))
def test_a_load_above_the_minimum_is_leapt_over(name: str) -> None:
    """It is met in strides, each look of which is the decider's own or changes nothing."""
    world = World(
        name="busy",
        length_s=1800,
        arrivals=poisson(lambda at: 30.0 if at % 900 < 600 else 20.0, 30),
        service_s=exponential(0.1),
        cold_start_s=lognormal(2, 0.25),
        slots=100,
        min=1,
        max=20,
    )
    walked, leapt = Recorded(DECIDERS[name](world), walks=True), Recorded(DECIDERS[name](world), walks=False)
    assert told(simulate(world, walked, 1)) == told(simulate(world, leapt, 1))
    assert set(leapt.looks) <= set(walked.looks)
    assert leapt.leapt_s > 0.5 * world.length_s


@pytest.mark.parametrize("name", ["rps", "capacity", "alerts"])
def test_a_deep_fall_is_followed_at_the_same_beat(name: str) -> None:
    """What was needed just before it keeps the count for a while, and no longer."""
    world = World(
        name="falls",
        length_s=800,
        arrivals=poisson(lambda at: 60.0 if at % 400 < 200 else 3.0, 60),
        service_s=exponential(0.1),
        cold_start_s=lognormal(2, 0.25),
        slots=100,
        max=20,
    )
    walked, leapt = (Recorded(DECIDERS[name](world), walks=walks) for walks in (True, False))
    assert told(simulate(world, walked, 1)) == told(simulate(world, leapt, 1))
    assert set(leapt.looks) <= set(walked.looks)
    assert leapt.leapt_s > 0.15 * world.length_s


@pytest.mark.parametrize("name", ["rps", "alerts"])
@pytest.mark.parametrize("at_once", [30, 60, 140])
def test_a_timer_of_many_calls_is_as_if_every_look_were_made(name: str, at_once: int) -> None:
    """Each minute one look wishes for more and most of those after it for less: what comes of neither is left out."""
    world = World(
        name="timers",
        length_s=1200,
        arrivals=lambda _: (minute * 60 + number / 1000 for minute in range(20) for number in range(at_once)),
        service_s=exponential(0.1),
        cold_start_s=lognormal(2, 0.25),
        slots=200,
        max=20,
    )
    walked, leapt = (Recorded(DECIDERS[name](world), walks=walks) for walks in (True, False))
    assert told(simulate(world, walked, 1)) == told(simulate(world, leapt, 1))
    assert leapt.leapt_s > 0.15 * world.length_s


@settings(max_examples=50, deadline=None)
@given(
    times=some.lists(some.tuples(some.floats(0, 150), some.floats(0.001, 20)), max_size=60),
    begin=some.integers(1, 60),
    length=some.integers(4, 80),
)
def test_a_stretch_is_remembered_as_its_samples_would_be(
    times: list[tuple[float, float]], begin: int, length: int
) -> None:
    def sample(at: int) -> LoadSample:
        started = sum(come <= at for come, _ in times)
        completed = sum(come + takes <= at for come, takes in times)
        return LoadSample(Instant(float(at)), started, completed, started - completed, 0)

    history = LoadHistory()
    for at in range(begin):
        history = history.with_sample(sample(at))
    samples = [sample(at) for at in range(begin, begin + length)]
    kept = [
        (float(each.at), int(each.started), int(each.completed))
        for before, each in zip([samples[0], *samples], samples, strict=False)
        if each is samples[0] or each.in_flight or (each.started, each.completed) != (before.started, before.completed)
    ]
    stretch = Stretch(float(begin), float(begin + length - 1), kept)
    first = steady.begun(history, stretch)
    remembered, longest_s = steady.remembered(first, stretch), steady.longest_service_s(first, stretch)
    rates = []
    for each in samples:
        history = history.with_sample(each)
        rates.append(arrival_rate(history, 2.5))
        assert history.service_s <= longest_s + 1e-9
    assert (remembered.times, remembered.arrivals) == (history.times, history.arrivals)
    assert remembered.begun == history.begun
    assert remembered.settled_s == pytest.approx(history.settled_s)
    assert remembered.service_s == pytest.approx(history.service_s)
    assert (remembered.busy_s, remembered.completions) == pytest.approx((history.busy_s, history.completions))
    assert max(rates) <= steady.most_calls_per_second(first, stretch, 2.5) + 1e-9
    limit = max(rates) * 0.7
    above = next((begin + place for place, rate in enumerate(rates) if rate > limit), None)
    assert steady.first_above(first, stretch, 2.5, lambda rate: rate <= limit) == above


def test_given_calls_are_the_calls() -> None:
    world = World(
        name="given", length_s=60, arrivals=lambda _: iter([]), service_s=exponential(1), cold_start_s=exponential(1)
    )
    outcome = simulate(world, DECIDERS["rps"](world), 1, Calls(array("d", [1.0, 2.0]), array("d", [3.0, 4.0])))
    assert (outcome.calls, outcome.busy_s) == (2, 7.0)


def test_looks_that_are_known_are_made_at_what_is_so_then() -> None:
    calls = Calls(array("d", [1.0, 2.0, 2.5]), array("d", [10.0, 0.25, 10.0]))
    world = World(
        name="looked at",
        length_s=5.0,
        arrivals=lambda _: iter(calls.at),
        service_s=exponential(1.0),
        cold_start_s=lognormal(0.3, 0.25),
        slots=100,
        looks=[-1.5, -0.5, 0.6, 2.1, 2.6, 4.9, 6.0],
    )
    decider = Recorded(DECIDERS["capacity"](world), walks=False)
    simulate(world, decider, 1, calls)
    seen = [(float(look.at), look.started, look.completed) for look in decider.looks]
    assert seen == [(-1.5, 0, 0), (-0.5, 0, 0), (0.6, 0, 0), (2.1, 2, 0), (2.6, 3, 1), (4.9, 3, 1), (6.0, 3, 1)]


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5, 6])
def test_the_formula_sees_the_same_calls_in_flight_after_a_silence_that_was_leapt_over(seed: int) -> None:
    """It looks at them every five seconds; which ones these are depends on when it did before the silence."""
    world = World(
        name="rare",
        length_s=900.0,
        arrivals=poisson(lambda at: 0.04 if at % 340 < 40 else 0.01, 0.04),
        service_s=exponential(5.0),
        cold_start_s=lognormal(3.0, 0.25),
        slots=1,
        max=2,
        zero_after_s=20.0,
    )
    walked, leapt = (Recorded(DECIDERS["formula"](world), walks=walks) for walks in (True, False))
    assert told(simulate(world, walked, seed)) == told(simulate(world, leapt, seed))
