"""``springtide replay``, by its command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from springtide.cli.command_line import run
from springtide.cli.replay import pictures
from springtide.cli.replay.pictures import Picture
from springtide.scaler.sim.engine import PARTS, Outcome
from springtide.scaler.sim.replay import replicas_over_time

DATA = Path(__file__).parents[1] / "scaler" / "sim" / "data"
INVOCATIONS, DURATIONS = (DATA / f"azure2019-excerpt-{name}.csv" for name in ("invocations", "durations"))
AZURE = ["replay", "--from", str(INVOCATIONS), "--durations", str(DURATIONS), "--policy", "target=10"]


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    """21 calls a second for five minutes, as alerts are shown in the demo, and one an hour later."""
    file = tmp_path / "calls.csv"
    file.write_text("".join(f"{100 + number / 21},hello\n" for number in range(21 * 300)) + "4000,hello\n0,other\n")
    return file


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["replay", *arguments], {}) == 0
    return capsys.readouterr().out


def test_policies_stand_beside_each_other(calls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = told(
        capsys, "hello", "--from", str(calls), "--service", "5ms", "--price", "0.1",
        "--policy", "owner=alerts", "--policy", "target=50", "--policy", "target=50,zero-duration=5m", "--json",
    )  # fmt: skip
    alerts, loop, sleeping = json.loads(shown)["policies"]
    assert (alerts["largest"], loop["largest"]) == (20, 1)
    assert alerts["calls"] == loop["calls"] == 6301
    assert alerts["replica_hours"] > 2 * loop["replica_hours"]
    assert alerts["cost"] == pytest.approx(alerts["replica_hours"] * 0.1, rel=1e-3)
    assert loop["replica_hours"] == pytest.approx(4000 / 3600, rel=0.01)
    assert sleeping["replica_hours"] < loop["replica_hours"] / 2
    assert (loop["cold"], sleeping["wait_p99_s"] > 0) == (0, False)
    assert 2 <= sleeping["cold"] < 200


def test_a_function_has_a_table_and_a_picture_without_colour_where_nobody_looks(
    calls: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = told(capsys, "hello", "--from", str(calls), "--policy", "owner=alerts")
    assert "POLICY" in shown
    assert "calls/s   " in shown
    assert "at most 20, owner=alerts" in shown
    assert "\x1b" not in shown


STACK = """
functions:
  fast:
    image: some/image
    labels: {com.openfaas.scale.target: "1", com.openfaas.scale.max: "9"}
  slow:
    image: some/image
    labels: {com.openfaas.scale.zero: "true", com.openfaas.scale.zero-duration: 1m}
"""


def test_each_function_is_replayed_as_it_is_deployed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, stack = tmp_path / "calls.csv", tmp_path / "stack.yaml"
    stack.write_text(STACK)
    file.write_text("".join(f"{at / 4},fast.openfaas-fn\n" for at in range(1200)) + "5,slow\n400,slow\n")
    words = ["--from", str(file), "--stack", str(stack), "--json"]
    shown = json.loads(told(capsys, *words, "--policy", "owner=none"))
    assert [each["policy"] for each in shown["policies"]] == ["owner=none", f"--stack {stack}"]
    of = {each["function"]: each["policies"][1] for each in shown["functions"]}
    assert of["fast.openfaas-fn"]["largest"] > 4
    assert of["slow"]["replica_hours"] < 400 / 3600
    assert shown["policies"][1]["calls"] == 1202

    log = tmp_path / "decisions.ndjson"
    log.write_text(
        '{"t": -9, "function": "slow", "before": 0, "after": 1}\n'
        '{"t": 66, "function": "slow", "before": 1, "after": 0}\n'
        '{"t": 399.9, "function": "slow", "before": 0, "after": 1}\n'
    )
    known = json.loads(told(capsys, *words, "--decisions", str(log)))
    own = {each["function"]: each["beside_what_ran"] for each in known["functions"]}
    assert own["fast.openfaas-fn"] == []
    assert own["slow"] == known["beside_what_ran"]
    assert own["slow"][1]["cold_starts_error"] == 0
    lines = told(capsys, *words[:-1], "--decisions", str(log)).splitlines()
    assert [line.partition(":")[0] for line in lines[-2:]] == ["    fast.openfaas-fn", "    slow"]
    assert lines[-2].endswith(": not known")

    file.write_text("1,unheard\n2,unheard\n")
    assert run(["replay", *words], {}) == 1
    assert "has no function unheard" in capsys.readouterr().err


def test_calls_take_as_long_as_was_logged_unless_somebody_says_how_long(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of 10 calls a second that take 2 s some 20 are under way."""
    log = tmp_path / "gateway.log"
    call = '{"event": "call", "function": "f", "seconds": 2, "timestamp": %s}\n'
    log.write_text("".join(call % (1000 + at / 10) for at in range(3000)))
    words = ["f", "--from", str(log), "--policy", "type=capacity,target=1,max=100", "--json"]
    logged, written = (json.loads(told(capsys, *words, *more)) for more in ((), ("--service", "100ms")))
    assert logged["functions"][0]["service_mean_s"] == 2
    assert logged["policies"][0]["largest"] > 20 > written["policies"][0]["largest"]


def test_the_same_bytes_come_out_twice(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*AZURE[1:], "--policy", "zero-duration=5m", "--json"]
    first = told(capsys, *arguments)
    assert first == told(capsys, *arguments)
    assert first != told(capsys, *arguments, "--seed", "2")
    assert sum(each["calls"] for each in json.loads(first)["policies"]) == 2 * 5313


def test_the_page_asks_nobody_and_shows_names_as_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, page = tmp_path / "calls.csv", tmp_path / "page.html"
    file.write_text('1,"<script>alert(1)</script>"\n90,b\n')
    told(capsys, "--from", str(file), "--html", str(page))
    text = page.read_text()
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "http" not in text.replace("http-equiv", "")
    assert text.count("<svg") == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--from", "/nowhere"], ["/nowhere", "No such file"]),
        ([*AZURE[1:], "--html", "/nowhere/page.html"], ["--html /nowhere/page.html", "make it first"]),
        (["nobody", *AZURE[1:]], ["no call of nobody", "there are"]),
        ([*AZURE[1:], "--policy", "min=x"], ["min='x'", "whole number"]),
        ([*AZURE[1:], "--service", "0"], ["--service 0", "0.1ms to 1h"]),
        ([*AZURE[1:], "--cold-start", "soon"], ["--cold-start", "'soon'"]),
        ([*AZURE[1:], *["--policy", "min=1"] * 20], ["21 policies", "at most 20"]),
    ],
)
def test_an_error_is_a_sentence(arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["replay", *arguments], {}) == 1
    shown = capsys.readouterr().err
    for word in words:
        assert word in shown


def test_the_documented_example_comes_out_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = (DATA.parents[3] / "docs" / "replay.md").read_text().split("```text\n")[1].partition("```")[0]
    file = tmp_path / "calls.csv"
    file.write_text("".join(f"{600 + n / 21:.3f},hello\n" for n in range(6300)) + "0,hello\n7200,hello\n")
    tried = ["owner=alerts", "target=50", "target=50,zero-duration=5m", "knative,zero-duration=5m"]
    options = [word for policy in tried for word in ("--policy", policy)]
    out = told(capsys, "hello", "--from", str(file), "--service", "5ms", "--price", "0.05", *options)
    assert out == example


def test_a_silence_of_thirty_thousand_years_is_leapt_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "calls.csv"
    file.write_text("0,hello\n1e12,hello\n")
    policies = ("owner=alerts", "target=5", "policy=target,zero-duration=5m", "knative,zero=true", "owner=none")
    tried = [word for policy in policies for word in ("--policy", policy)]
    shown = json.loads(told(capsys, "--from", str(file), "--json", *tried))["policies"]
    assert [result["calls"] for result in shown] == [2] * 5
    assert [result["cold"] for result in shown] == [0, 0, 2, 2, 0]


def test_replicas_over_time_are_those_of_the_counts() -> None:
    outcome = Outcome(counts=[(0.0, 1), (30.0, 4), (60.0, 0), (90.0, 2)])
    parts = replicas_over_time(outcome, 120.0)
    assert len(parts) == PARTS
    assert [parts[0], parts[29], parts[30], parts[59], parts[60], parts[90], parts[119]] == [1, 1, 4, 4, 0, 2, 2]
    assert sum(parts) == pytest.approx(30 + 120 + 60)


def test_anything_above_nothing_is_seen() -> None:
    assert pictures.blocks([0, 0.01, 1], columns=3) == " ▁█"
    assert pictures.blocks([0.0] * 4, columns=2) == "  "
    assert "aria-label" in pictures.page("t", [], ["A"], [["b"]], [Picture("f", "p", [0, 1], [1, 2])])
