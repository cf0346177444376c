"""``springtide advise --sleep``, by its command line."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from springtide.cli.command_line import run
from springtide.scaler.core.policy import ScalePolicy, ZeroPolicy

HOUR_S = 3600


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A week: an hourly timer, one that is called every half hour or so, one that hardly anybody calls."""
    source = random.Random(1)
    rows = [(float(hour * HOUR_S), "timer") for hour in range(24 * 7)]
    at = 0.0
    while at < 7 * 24 * HOUR_S:
        at += source.expovariate(1 / 1800)
        rows.append((at, "often"))
    rows += [(day * 86400 + source.random() * 86400, "rare") for day in range(7)]
    file = tmp_path_factory.mktemp("calls") / "calls.csv"
    file.write_text("".join(f"{at:.3f},{name}\n" for at, name in sorted(rows)))
    return file


def advised(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["advise", "--sleep", *arguments], {}) == 0, capsys.readouterr().err
    return capsys.readouterr().out


def of(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(advised(capsys, *arguments, "--json"))
    return found


def test_for_as_many_replica_hours_as_today_fewer_calls_are_cold(
    calls: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = of(capsys, "--from", str(calls), "--today", "30m", "--rare", "0")

    assert found["fits"]
    assert found["today"]["silence_s"] == 1800
    assert found["best"]["replica_hours"] <= found["today"]["replica_hours"]
    assert found["best"]["cold_share"] < found["today"]["cold_share"]
    policy, problems = ScalePolicy.from_labels(found["labels"])
    assert problems == ()
    assert policy.zero_policy is ZeroPolicy.LEARNED
    assert policy.cold_worth_s == found["best"]["cold_worth_s"]


def test_who_wishes_fewer_cold_calls_pays_for_them_and_no_more(calls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few, many = (of(capsys, "--from", str(calls), "--rare", "0", "--cold", cold) for cold in ("5%", "20%"))

    assert few["fits"]
    assert few["best"]["cold_share"] <= 0.05
    assert many["best"]["cold_share"] <= 0.20
    assert many["best"]["replica_hours"] < few["best"]["replica_hours"]


def test_a_wish_that_cannot_be_had_is_told(calls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = advised(capsys, "rare", "--from", str(calls), "--cold", "0%")

    assert "nothing that was tried reaches at most 0.00% cold calls" in shown


def test_table_and_labels_are_printed(calls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = advised(capsys, "--from", str(calls))

    assert "3 functions" in shown
    assert "fixed 15m" in shown
    assert shown.count("<-") == 1
    assert 'com.springtide.scale.cold-worth-rare: "0.8"' in shown


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--today", "0s"), "--today 0ms: write a time above 0, at most 168h"),
        (("--today", "400h"), "--today 400h: write a time above 0, at most 168h"),
        (("--cold", "many"), "--cold many: write a share of 0% to 100%"),
        (("--rare", "11"), "--rare"),
    ],
)
def test_what_is_out_of_bounds_is_named(
    calls: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, str], problem: str
) -> None:
    assert run(["advise", "--sleep", "--from", str(calls), *arguments], {}) != 0

    assert problem in capsys.readouterr().err
