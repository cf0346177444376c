"""The goals table: what it counts as missed, and that it lives the lives it says."""

from __future__ import annotations

import pytest

from bench import goals
from bench.goals import Compared, Life
from springtide.scaler.core.follow import Bounds
from springtide.scaler.sim.engine import simulate
from springtide.scaler.sim.knative import Knative


def compared(world: str, p99_s: float, replica_s: float) -> Compared:
    knative = Life(1.0, 1000.0, actions=60, flaps=40, regretted=20, unserved=0)
    return Compared(world, [Life(p99_s, replica_s, actions=9, flaps=4, regretted=1, unserved=0)], [knative])


@pytest.mark.parametrize(
    ("world", "p99_s", "replica_s", "misses"),
    [
        pytest.param("ramp", 1.1, 1150.0, [], id="as much as may be"),
        pytest.param("ramp", 1.2, 800.0, ["p99 <= 1.10 s"], id="waits"),
        pytest.param("fast calls", 1.4, 800.0, [], id="half more for fast calls"),
        pytest.param("step", 1.05, 800.0, ["p99 <= 1 s"], id="a step has a second"),
        pytest.param("ramp", 0.2, 1160.0, ["cost <= 1.15 x"], id="costs"),
    ],
)
def test_a_world_has_goals_of_its_own(world: str, p99_s: float, replica_s: float, misses: list[str]) -> None:
    assert compared(world, p99_s, replica_s).misses() == misses


def test_all_worlds_together_are_geometric_means_and_sums() -> None:
    found = {row["goal"]: row for row in goals.summary([compared("ramp", 0.25, 500.0), compared("saw", 1.0, 1125.0)])}
    assert found["p99, geometric mean of ratios"]["reached"] == 0.5
    assert found["cost, geometric mean of ratios"]["reached"] == 0.75
    assert found["actions, of Knative's"]["reached"] == 0.15
    assert found["flaps, of Knative's"]["reached"] == 0.1
    assert all(row["met"] for row in found.values())


def test_worlds_beside_the_goals_count_alone_only() -> None:
    changing = compared("becomes long", 0.5, 500.0)
    alone, both = (
        {row["goal"]: row for row in goals.summary(each)}
        for each in ([changing], [changing, compared("ramp", 1.0, 500.0)])
    )
    assert alone["p99, geometric mean of ratios"]["reached"] == 0.5
    assert both["p99, geometric mean of ratios"]["reached"] == 1.0


def test_each_world_is_lived_under_both_rules_by_the_same_seeds() -> None:
    told: list[tuple[int, int]] = []

    found = goals.compared(["tiny load"], [501, 502], 1, lambda over, of: told.append((over, of)))

    (row,) = found
    world = goals.WORLDS["tiny load"]
    alone = simulate(world, Knative(Bounds(world.min, world.max, world.slots)), 502)
    assert row.knative[1].replica_s == alone.replica_s
    assert (len(row.ours), len(row.knative)) == (2, 2)
    assert told == [(over, 4) for over in range(1, 5)]
