"""Policies as people write them, and the deciders they come to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from springtide.runtime.errors import BadInput
from springtide.scaler.core.demand import LoadSample
from springtide.scaler.core.policy import Down, Rule, ScalePolicy, Wake
from springtide.scaler.core.vocabulary import Instant
from springtide.scaler.sim import policies
from springtide.scaler.sim.alert_path import AlertTiming
from springtide.scaler.sim.engine import Outcome, calls_of, simulate
from springtide.scaler.sim.policies import Owner
from springtide.scaler.sim.worlds import KINDS, exponential
from tests.scaler.sim.test_worlds import Restless

WORLDS = {world.name: world for world in KINDS}
TIMING = AlertTiming(
    scrape_s=2,
    evaluation_s=2,
    window_s=10,
    group_interval_s=5,
    deliver_every_s=10,
    step_interval_s=5,
    begins_calls_per_s=5,
    ends_calls_per_s=4,
    calls_in_flight=10,
)


def run(text: str, name: str, *, rate: float | None = None, concurrency: int = 100) -> Outcome:
    policy, world = policies.parse(text), WORLDS[name]
    if rate is not None:
        world = replace(
            world, arrivals=lambda _: (100 + number / rate for number in range(int(300 * rate))), length_s=900
        )
        world = replace(world, service_s=exponential(0.005))
    world = replace(
        world,
        min=policy.scale.min,
        max=policy.scale.max,
        slots=policy.slots(concurrency),
        zero_after_s=policy.zero_after_s,
        sweep_s=30.0,
    )
    return simulate(world, policy.decider(TIMING, concurrency), 3)


def test_what_is_written_is_what_is_tried() -> None:
    policy = policies.parse("owner=scaler, type=capacity,target=4,min=2,max=30,zero-duration=5m,wake=min")
    assert (policy.owner, policy.scale.rule, policy.scale.wake) == (Owner.SCALER, Rule.QUEUEING, Wake.MIN)
    assert (policy.scale.min, policy.scale.max, policy.scale.target) == (2, 30, 4)
    assert (policy.zero_after_s, policy.slots(100), policy.slots(1)) == (300, 4, 1)
    assert [policy.slots(100, workers) for workers in (2, 3, 8)] == [4, 6, 8]


@pytest.mark.parametrize(
    ("text", "owner", "rule"),
    [
        ("zero-duration=5m", Owner.ALERTS, Rule.QUEUEING),
        ("target=10", Owner.SCALER, Rule.QUEUEING),
        ("policy=target", Owner.SCALER, Rule.TARGET),
        ("down.window=1m", Owner.SCALER, Rule.TARGET),
        ("knative", Owner.KNATIVE, Rule.QUEUEING),
        ("owner=alerts,down=min", Owner.ALERTS, Rule.QUEUEING),
    ],
)
def test_who_scales_follows_from_the_labels_as_it_does_for_a_function(text: str, owner: Owner, rule: Rule) -> None:
    assert (policies.parse(text).owner, policies.parse(text).scale.rule) == (owner, rule)


def test_a_value_is_read_as_its_label_is() -> None:
    assert policies.parse("down=min,step-interval=20s").scale.down is Down.MIN
    assert policies.parse("zero=true").zero_after_s == 900
    assert policies.parse("zero=false,zero-duration=5m").zero_after_s is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("owner=me", ["owner='me'", "alerts or scaler or knative or none"]),
        ("zero-duration=5x", ["zero-duration='5x'", "write seconds (90)"]),
        ("min=9,max=3", ["min=9 is above max=3", "raise the maximum"]),
        ("targt=5", ["targt='5'", "no such key", "target"]),
        ("min=1,min=2", ["min='2'", "written twice"]),
        ("scaler", ["'scaler'", "key=value"]),
        ("", ["key=value"]),
        ("max=1000000000", ["max='1000000000'", "at most"]),
        ("owner=scaler,type=cpu", ["type='cpu'", "write type=rps"]),
        ("owner=alerts,wake=min", ["wake='min'", "owner=scaler"]),
        ("x" * 501, ["501 characters", "at most 500"]),
        ("owner=me,min=-1", ["owner='me'", "min='-1'"]),
    ],
)
def test_an_error_names_key_value_and_remedy(text: str, words: list[str]) -> None:
    with pytest.raises(BadInput) as caught:
        policies.parse(text)
    for word in words:
        assert word in str(caught.value)


def test_alerts_climb_to_the_maximum_by_steps_of_the_production_rule_and_come_down() -> None:
    outcome = run("owner=alerts", "step", rate=21.0)
    counts = [count for _, count in outcome.counts]
    assert counts == [1, 5, 9, 13, 17, 20, 16, 12, 8, 4, 1]
    assert 100 < outcome.counts[1][0] <= 114
    steps = [later[0] - earlier[0] for earlier, later in zip(outcome.counts[1:5], outcome.counts[2:6], strict=True)]
    assert steps == [10.0] * 4
    assert 400 < outcome.counts[6][0] <= 420


def test_the_loop_leaves_a_fast_function_at_one_replica() -> None:
    assert [count for _, count in run("owner=scaler,target=50", "step", rate=21.0).counts] == [1]


def test_the_documented_formula_has_a_replica_for_each_part_of_its_target() -> None:
    outcome = run("policy=target,target=5", "step", rate=21.0)
    assert outcome.largest in (5, 6, 7)
    assert outcome.counts[-1][1] == 1


def test_nobody_scales_what_nobody_owns() -> None:
    assert [count for _, count in run("owner=none,min=3", "step", rate=21.0).counts] == [3]


def test_the_idle_rule_takes_it_to_zero_at_its_next_sweep() -> None:
    outcome = run("owner=none,zero-duration=5m", "step", rate=21.0)
    woken, slept = outcome.counts[1:3] if outcome.counts[0][1] == 0 else outcome.counts[:2]
    assert woken[1] == 1
    assert slept[1] == 0
    assert 700 <= slept[0] <= 731
    assert slept[0] % 30 == 0
    assert outcome.cold > 0


@pytest.mark.parametrize("text", ["owner=alerts", "policy=target,target=5", "target=3", "owner=none"])
@pytest.mark.parametrize(("name", "length_s"), [("nights", 2700), ("herds", 1500)])
def test_leaping_over_silence_changes_no_policy(text: str, name: str, length_s: float) -> None:
    policy = policies.parse(f"{text},zero-duration=2m")
    world = WORLDS[name]
    world = replace(world, length_s=length_s, slots=2, zero_after_s=policy.zero_after_s, max=20, sweep_s=30.0)
    calls = calls_of(world, 5)
    leapt = simulate(world, policy.decider(TIMING, 2), 5, calls)
    walked = simulate(world, Restless(policy.decider(TIMING, 2)), 5, calls)
    assert (leapt.counts, leapt.waits, leapt.cold) == (walked.counts, walked.waits, walked.cold)


def test_alerts_pile_up_only_above_what_the_minimum_carries() -> None:
    path = policies.parse("owner=alerts").decider(TIMING, 100)
    wanted = 1
    for second in range(60):
        sample = LoadSample(Instant(second), 11 if second > 5 else 0, 0, 11 if second > 5 else 0, 0)
        wanted = path.wanted(sample, wanted=wanted, ready=1, now=second + 0.5)
    assert wanted > 1
    path, wanted = policies.parse("owner=alerts,min=2").decider(TIMING, 100), 2
    for second in range(60):
        sample = LoadSample(Instant(second), 11 if second > 5 else 0, 0, 11 if second > 5 else 0, 0)
        wanted = path.wanted(sample, wanted=wanted, ready=2, now=second + 0.5)
    assert wanted == 2


@pytest.mark.parametrize(
    ("labels", "owner"),
    [
        pytest.param({}, Owner.ALERTS, id="nothing"),
        pytest.param({"com.openfaas.scale.target": "5"}, Owner.SCALER, id="target"),
        pytest.param({"com.openfaas.scale.type": "capacity"}, Owner.SCALER, id="type"),
        pytest.param({"com.openfaas.scale.min": "2", "com.openfaas.scale.max": "2"}, Owner.NONE, id="fixed"),
        pytest.param(
            {"com.openfaas.scale.target": "5", "com.springtide.scale.owner": "alerts"}, Owner.ALERTS, id="named"
        ),
        pytest.param({"com.springtide.scale.owner": "scaler", "app": "x"}, Owner.SCALER, id="named alone"),
    ],
)
def test_labels_of_a_function_are_a_policy(labels: dict[str, str], owner: Owner) -> None:
    found = policies.of_labels("hello", labels)
    assert found.owner is owner
    assert found.scale == ScalePolicy.from_labels(labels)[0]
    found.decider(TIMING, 100)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"com.openfaas.scale.min": "x"}, ["hello: ", "com.openfaas.scale.min='x'"]),
        ({"com.openfaas.scale.type": "cpu", "com.openfaas.scale.target": "500"}, ["hello: type='cpu'", "type=rps"]),
        ({"com.springtide.scale.owner": "hpa"}, ["hello: ", "'hpa'", "leave it to another owner"]),
    ],
)
def test_labels_that_cannot_be_replayed_are_told(labels: dict[str, str], words: list[str]) -> None:
    with pytest.raises(BadInput) as caught:
        policies.of_labels("hello", labels)
    for word in words:
        assert word in str(caught.value)
