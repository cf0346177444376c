"""``springtide advise --sleep``, by its command line."""

from __future__ import annotations

import json
import random
import re
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


def test_a_wish_that_cannot_be_had_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    new = tmp_path / "calls.csv"
    new.write_text(f"0,new\n{5 * 24 * HOUR_S},new\n{7 * 24 * HOUR_S},new\n")
    shown = advised(capsys, "new", "--from", str(new), "--cold", "0%")

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
        (("--within", "0s"), "--within 0ms: write a time above 0"),
        (("--deployed", "/dev/null"), "--deployed: write the answer of GET /system/functions"),
        (("--cold", "many"), "--cold many: write a share of 0% to 100%"),
        (("--rare", "11"), "--rare"),
    ],
)
def test_what_is_out_of_bounds_is_named(
    calls: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, str], problem: str
) -> None:
    assert run(["advise", "--sleep", "--from", str(calls), *arguments], {}) != 0

    assert problem in capsys.readouterr().err


def test_curve_reaches_over_all_prices_and_rises_in_hours_with_each(
    calls: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tried = of(capsys, "--from", str(calls), "--rare", "0")["tried"]

    prices = [each["cold_worth_s"] for each in tried]
    assert prices == sorted(set(prices))
    assert (prices[0], prices[-1]) == (60, 7 * 24 * HOUR_S)
    assert tried[0]["replica_hours"] < tried[-1]["replica_hours"]
    assert tried[0]["cold_share"] > tried[-1]["cold_share"]


def test_today_is_what_labels_say_and_only_functions_that_may_sleep_count(
    calls: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    zero, policy = {"com.openfaas.scale.zero": "true"}, {"com.springtide.scale.zero-policy": "learned"}
    listed = [
        {"name": "often", "namespace": "fn", "labels": zero | {"com.openfaas.scale.zero-duration": "5m"}},
        {"name": "timer", "namespace": "fn", "labels": zero | policy},
        {"name": "rare", "namespace": "fn", "labels": None},
    ]
    file = tmp_path / "functions.json"
    file.write_text(json.dumps(listed))
    recorded = tmp_path / "calls.csv"
    recorded.write_text(re.sub(r",(\w+)", r",\1.fn", calls.read_text()))

    def today(*arguments: str) -> tuple[int, float]:
        found = of(capsys, "--from", str(recorded), *arguments)
        return found["functions"], found["today"]["replica_hours"]

    count, hours = today("--deployed", str(file))
    often, timer = today("often.fn", "--today", "5m"), today("timer.fn", "--today", "15m")
    assert count == 2
    assert often[1] < hours < often[1] + timer[1]  # the timer's learned sleep costs less than its silence would

    file.write_text(json.dumps(listed[2:]))
    assert run(["advise", "--sleep", "--from", str(recorded), "--deployed", str(file)], {}) != 0
    assert "no function that may sleep was called" in capsys.readouterr().err


def test_of_more_functions_than_there_is_time_for_some_are_drawn(
    calls: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    many = tmp_path / "calls.csv"
    rows = [line.split(",") for line in calls.read_text().splitlines()]
    many.write_text("".join(f"{at},{name}-{number}\n" for at, name in rows for number in range(40)))

    found = of(capsys, "--from", str(many), "--within", "2s")

    assert found["of_functions"] == 120
    assert 0 < found["functions"] < 30, "as many as are replayed in a second at 16 prices"
