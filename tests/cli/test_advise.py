"""``springtide advise``, by its command line."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from springtide.cli.command_line import run
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.sim.advice import _p99, sorted_columns

HOUR_S = 3600


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    """Eight hours: ten calls a second for a minute of each, and one call a day later to end it."""
    file = tmp_path / "calls.csv"
    rows = [f"{hour * HOUR_S + n / 10},hello" for hour in range(8) for n in range(600)]
    file.write_text("\n".join([*rows, "0,rare", f"{8 * HOUR_S},rare"]) + "\n")
    return file


def advised(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["advise", *arguments], {}) == 0, capsys.readouterr().err
    return capsys.readouterr().out


def of(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(advised(capsys, *arguments, "--json"))["functions"][0]
    return found


def test_the_cheapest_that_is_good_enough_is_printed_as_a_patch(
    calls: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = advised(capsys, "hello", "--from", str(calls), "--p99", "3s", "--cold", "10%")
    patch = yaml.safe_load(shown[shown.index("functions:") : shown.index("\n\nhello,")])
    labels = patch["functions"]["hello"]["labels"]
    policy, problems = ScalePolicy.from_labels(labels)

    assert problems == ()
    assert policy.zero, "there are 59 silent minutes in an hour"
    assert policy.names_load
    assert "its two halves by themselves give" in shown
    assert "\x1b" not in shown


def test_who_wishes_more_gets_what_costs_more(calls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    easy = of(capsys, "hello", "--from", str(calls), "--p99", "3s", "--cold", "10%")
    strict = of(capsys, "hello", "--from", str(calls), "--p99", "0.1s", "--cold", "0.01%")

    assert easy["good_enough"]
    assert strict["good_enough"]
    assert easy["replicas"] < strict["replicas"]
    assert strict["cold_share"] <= 0.0001
    assert strict["wait_p99_s"] <= 0.1
    cheaper = [tried for tried in strict["tried"] if tried["replicas"] < strict["replicas"]]
    assert cheaper
    assert all(tried["wait_p99_s"] > 0.1 or tried["cold_share"] > 0.0001 for tried in cheaper)


def test_calls_a_second_are_tried_where_they_are_asked_for(calls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = of(capsys, "hello", "--from", str(calls), "--type", "rps", "--p99", "3s", "--cold", "10%")

    assert found["labels"]["com.openfaas.scale.type"] == "rps"
    assert {tried["policy"].split(",")[0] for tried in found["tried"]} == {"type=rps"}
    assert any("target=1," in tried["policy"] for tried in found["tried"])


def test_that_nothing_is_good_enough_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "calls.csv"
    file.write_text("\n".join(f"{n / 50},busy" for n in range(6000)) + "\n")
    arguments = ["busy", "--from", str(file), "--service", "1s", "--concurrency", "1", "--max", "3", "--p99", "1s"]
    assert not of(capsys, *arguments)["good_enough"]
    assert "is good enough; this one comes nearest" in advised(capsys, *arguments)


def test_all_functions_get_one_patch(calls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = advised(capsys, "--from", str(calls))
    patch = yaml.safe_load(shown[shown.index("functions:") : shown.index("FUNCTION")])

    assert set(patch["functions"]) == {"hello", "rare"}
    assert "GOOD ENOUGH" in shown


def test_several_days_are_judged_by_their_days(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "calls.csv"
    file.write_text("\n".join(f"{hour * HOUR_S},hello" for hour in range(4 * 24 + 1)) + "\n")
    found = of(capsys, "hello", "--from", str(file), "--p99", "4s", "--cold", "100%")

    sure = found["uncertainty"]
    assert sure["by"] == "days"
    low, high = sure["replicas"]
    assert low <= found["replicas"] * 1.02
    assert high >= found["replicas"] * 0.98


def test_a_hundredth_of_the_calls_waited_longer() -> None:
    """Of 1000 calls 20 waited a second: p99 is in their bin; with 5 of them it is nothing."""
    assert _p99(Counter({0: 20}), 1000) == 1.0
    assert _p99(Counter({0: 5}), 1000) == 0.0


def test_extremes_are_left_out() -> None:
    rows = [(float(n), 0.0, -float(n)) for n in range(100)]
    first, _, last = sorted_columns(rows)
    assert (first[0], first[-1], last[0]) == (5, 94, -94)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--cold", "many"], ["--cold many", "0% to 100%"]),
        (["--cold", "101%"], ["--cold 101%"]),
        (["--p99", "2h"], ["--p99 2h", "0s to 1h"]),
        (["--p99", "soon"], ["--p99", "'soon'"]),
    ],
)
def test_an_error_says_what_to_write(
    calls: Path, arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["advise", "--from", str(calls), *arguments], {}) == 1
    shown = capsys.readouterr().err
    for word in words:
        assert word in shown
