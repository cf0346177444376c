"""What the bench of learned sleep calls reached, missed, and worse than recorded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench import keepalive
from bench.keepalive import HYBRID, KAPPAS, THETAS_S, Figures, name_of

HYBRIDS = Figures(HYBRID, 4.0, 0.2, 1000.0, 100.0)
PRICES = len(THETAS_S)


def world(*learned: tuple[float, float, float], hybrid: Figures = HYBRIDS) -> Sequence[Figures]:
    """The same curve for each κ: cold starts per 1,000, share, hours; the last point goes on."""
    points = [*learned, *[learned[-1]] * (PRICES - len(learned))]
    curves = [
        Figures(name_of(theta_s, kappa), *point, 5.0)
        for kappa in KAPPAS
        for theta_s, point in zip(THETAS_S, points, strict=True)
    ]
    return [hybrid, *curves]


def test_a_goal_is_looked_for_along_the_curve_and_not_only_at_its_points() -> None:
    first, second, third = keepalive.goals({"1": world((8.0, 0.3, 600.0), (2.0, 0.1, 900.0))})

    # Halfway in share, two thirds of the way in cold starts: both are reached at two thirds.
    assert first["hours_of_hybrid"] == 0.8
    assert second["hours_of_hybrid"] == 0.8
    assert (first["met"], second["met"]) == (True, False)
    assert third["hours_of_hybrid"] < 0.8
    assert first["flaps_of_hybrid"] == 0.05


def test_what_no_price_reaches_is_not_known_and_not_met() -> None:
    first, second, _ = keepalive.goals({"1": world((8.0, 0.3, 600.0), (2.0, 0.25, 900.0))})

    assert (first["hours_of_hybrid"], first["met"]) == (None, False)
    assert second["hours_of_hybrid"] == 0.8


def test_of_several_populations_the_median_counts_and_the_range_is_told() -> None:
    found = {str(seed): world((4.0, 0.2, hours)) for seed, hours in enumerate((700.0, 910.0, 950.0))}
    first, *_ = keepalive.goals(found)

    told = [first[name] for name in ("hours_of_hybrid", "least", "most", "met", "met_in")]
    assert told == [0.91, 0.7, 0.95, True, "2 of 3"]


def test_others_are_compared_where_the_curve_costs_as_much() -> None:
    hybrid = Figures(HYBRID, 4.0, 0.2, 750.0, 100.0)
    (row,) = keepalive.equal_hours(world((8.0, 0.3, 600.0), (2.0, 0.1, 900.0), hybrid=hybrid))

    assert (row["learned_0_cold"], row["learned_0.8_share"]) == (5.0, 20.0)


@pytest.mark.parametrize(
    ("now", "news"),
    [
        pytest.param(0.807, [], id="as missed as before"),
        pytest.param(0.82, ["(b): 0.82 of the hybrid's hours instead of 0.8"], id="worse"),
        pytest.param(None, ["(b): None of the hybrid's hours instead of 0.8"], id="not reached any more"),
    ],
)
def test_only_what_is_worse_than_recorded_is_news(tmp_path: Path, now: float | None, news: list[str]) -> None:
    goals = [{"goal": "(b)", "hours_of_hybrid": 0.8, "least": 0.7, "met": False}]
    kept = {"at": "2026-01-02", "seeds": [601], "goals": goals}
    (tmp_path / "2026-01-02-keepalive.json").write_text(json.dumps(kept))
    older = kept | {"at": "2026-01-01", "goals": [goals[0] | {"hours_of_hybrid": 0.5}]}
    (tmp_path / "2026-01-01-keepalive.json").write_text(json.dumps(older))
    other_seeds = keepalive.recorded(tmp_path, [602])

    reached = [{"goal": "(b)", "hours_of_hybrid": now}]
    assert list(keepalive.worse(reached, keepalive.recorded(tmp_path, [601]))) == news
    assert list(keepalive.worse(reached, other_seeds)) == []
