"""The control loop's rule beside Knative's in simulated worlds, and both against the goals that the rule was made for.

Each world is lived through once for each seed under ``scaler.sim.adapter``, which runs the production decision and
nothing else, and once under ``scaler.sim.knative``, with the same callers. The seeds from ``HELD_OUT_SEED`` on were not
used when the rule was tuned. A world's figures are means over its seeds; counts of actions and flaps are sums.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from bench.lives import Progress, lived
from bench.report import Row
from springtide.scaler.core.follow import Bounds
from springtide.scaler.sim.adapter import Springtide, labels_of
from springtide.scaler.sim.engine import Decider, World, simulate
from springtide.scaler.sim.knative import ZERO_AFTER_S, Knative
from springtide.scaler.sim.worlds import CHANGING, KINDS

HELD_OUT_SEED, SEEDS = 501, 10
MAX_SEEDS = 1000
WORLDS = {world.name: world for world in (*KINDS, *CHANGING)}
BESIDE = frozenset(world.name for world in CHANGING)
"""Worlds in the table that the goals for all together were not made for."""
RULES = ("springtide", KNATIVE := "knative")
MIN_WAIT_S = 0.01
"""Below this a wait counts as this much in a mean of ratios."""

COST, MAX_COST = 0.80, 1.15
P99, MAX_P99, MAX_P99_FAST, P99_NOTHING_S = 0.55, 1.1, 1.5, 0.25
STEP_S = 1.0
ACTIONS, FLAPS, REGRETTED = 1 / 6, 1 / 8, 1 / 20


@dataclass(frozen=True, slots=True)
class Life:
    """What became of one world, with one seed, under one rule."""

    p99_s: float
    replica_s: float
    actions: int
    flaps: int
    regretted: int
    unserved: int


@dataclass(frozen=True, slots=True)
class Compared:
    """One world under both rules."""

    world: str
    ours: Sequence[Life]
    knative: Sequence[Life]

    @property
    def p99_s(self) -> tuple[float, float]:
        return fmean(life.p99_s for life in self.ours), fmean(life.p99_s for life in self.knative)

    @property
    def p99_ratio(self) -> float:
        ours, knative = self.p99_s
        return max(ours, MIN_WAIT_S) / max(knative, MIN_WAIT_S)

    @property
    def cost_ratio(self) -> float:
        return sum(life.replica_s for life in self.ours) / sum(life.replica_s for life in self.knative)

    @property
    def allowed_p99_s(self) -> float:
        factor = MAX_P99_FAST if self.world == "fast calls" else MAX_P99
        return max(factor * self.p99_s[1], P99_NOTHING_S)

    def row(self) -> Row:
        ours, knative = self.p99_s
        return {
            "world": self.world,
            "p99_s": round(ours, 2),
            "knative_p99_s": round(knative, 2),
            "p99_ratio": round(self.p99_ratio, 2),
            "cost_replica_s": round(fmean(life.replica_s for life in self.ours)),
            "cost_ratio": round(self.cost_ratio, 2),
            "actions": sum(life.actions for life in self.ours),
            "knative_actions": sum(life.actions for life in self.knative),
            "flaps": sum(life.flaps for life in self.ours),
            "knative_flaps": sum(life.flaps for life in self.knative),
            "regretted": sum(life.regretted for life in self.ours),
            "unserved": sum(life.unserved for life in self.ours),
            "misses": ", ".join(self.misses()),
        }

    def misses(self) -> list[str]:
        """Goals for each world that it does not reach."""
        found = []
        if self.p99_s[0] > self.allowed_p99_s:
            found.append(f"p99 <= {self.allowed_p99_s:.2f} s")
        if self.world == "step" and self.p99_s[0] > STEP_S:
            found.append(f"p99 <= {STEP_S:g} s")
        if self.cost_ratio > MAX_COST:
            found.append(f"cost <= {MAX_COST:g} x")
        return found


def compared(worlds: Sequence[str], seeds: Sequence[int], jobs: int, progress: Progress) -> list[Compared]:
    """All of them, in ``jobs`` processes."""
    lives = lived(live, [(name, rule, seed) for name in worlds for rule in RULES for seed in seeds], jobs, progress)
    return [Compared(name, *([lives[name, rule, seed] for seed in seeds] for rule in RULES)) for name in worlds]


def live(name: str, rule: str, seed: int) -> Life:
    """One life under one of ``RULES``."""
    world = WORLDS[name]
    bounds = Bounds(world.min, world.max, world.slots)
    decider: Decider = Springtide(labels_of(bounds))
    if rule == KNATIVE:
        decider, world = Knative(bounds), _to_zero_by_knative(world)
    outcome = simulate(world, decider, seed)
    return Life(
        outcome.percentile(0.99),
        outcome.replica_s,
        outcome.actions,
        outcome.flaps(),
        outcome.regretted(),
        outcome.unserved,
    )


def _to_zero_by_knative(world: World) -> World:
    return world if world.zero_after_s is None else replace(world, zero_after_s=ZERO_AFTER_S)


def summary(found: Sequence[Compared]) -> Iterator[Row]:
    """Each goal for all worlds together that it was made for, and what was reached."""
    found = [each for each in found if each.world not in BESIDE] or found

    def both(count: Callable[[Life], int]) -> tuple[int, int]:
        ours = sum(count(life) for each in found for life in each.ours)
        return ours, max(1, sum(count(life) for each in found for life in each.knative))

    actions, flaps = both(lambda life: life.actions), both(lambda life: life.flaps)
    regretted = both(lambda life: life.regretted)[0]
    unserved = both(lambda life: life.unserved)[0]
    yield _goal("p99, geometric mean of ratios", _geometric(each.p99_ratio for each in found), P99)
    yield _goal("cost, geometric mean of ratios", _geometric(each.cost_ratio for each in found), COST)
    yield _goal("actions, of Knative's", actions[0] / actions[1], ACTIONS)
    yield _goal("flaps, of Knative's", flaps[0] / flaps[1], FLAPS)
    yield _goal("regretted shrinks, of Knative's flaps", regretted / flaps[1], REGRETTED)
    yield _goal("calls unserved", unserved, 0)
    yield _goal("worlds that miss a goal of their own", sum(bool(each.misses()) for each in found), 0)


def _goal(what: str, reached: float, at_most: float) -> Row:
    return {"goal": what, "reached": round(reached, 3), "at_most": round(at_most, 3), "met": reached <= at_most}


def _geometric(ratios: Iterator[float]) -> float:
    return math.exp(fmean(math.log(ratio) for ratio in ratios))
