"""A quarter of an hour of a real suite: replaying what ran gives what the decision log says there was.

The log has the changes that a suite wrote at its default times while two functions were called, one scaled by alerts
(max 8, factor 25), the other sleeping after 45 s; the calls come from its gateway's access log. And ten minutes of
another one, of a function that the control loop followed and that slept; the calls are its gateway's access log.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from springtide.cli.command_line import run
from springtide.runtime.errors import BadInput
from springtide.scaler.sim import trust
from springtide.scaler.sim.trust import Change

DATA = Path(__file__).parent / "data"


def replayed(capsys: pytest.CaptureFixture[str], function: str, policy: str) -> dict[str, float]:
    log, calls = DATA / "real-run-decisions.jsonl", DATA / f"real-run-{function}.csv"
    words = ["replay", function, "--from", str(calls), "--decisions", str(log), "--policy", policy, "--json"]
    assert run([*words, "--service", "52ms", "--cold-start", "300ms"], {}) == 0
    (told,) = json.loads(capsys.readouterr().out)["beside_what_ran"]
    return dict(told)


@pytest.mark.parametrize(
    ("function", "policy"), [("busy", "owner=alerts,max=8,factor=25"), ("sleepy", "max=5,zero-duration=45s")]
)
def test_what_ran_is_replayed_within_the_bounds(capsys: pytest.CaptureFixture[str], function: str, policy: str) -> None:
    error = replayed(capsys, function, policy)
    assert abs(error["replica_s_error"]) <= trust.REPLICA_S_WITHIN
    assert abs(error["cold_starts_error"]) <= trust.COLD_STARTS_WITHIN


def test_what_the_loop_did_is_replayed(capsys: pytest.CaptureFixture[str]) -> None:
    """With the looks, lengths, starts and workers that were recorded it makes the moves that there were."""
    words = ["replay", "nap", "--from", str(DATA / "real-loop-nap.log"), "--json"]
    words += ["--decisions", str(DATA / "real-loop-decisions.jsonl")]
    policy = "type=rps,target=4,max=10,zero-duration=1m"
    assert run([*words, "--policy", policy, "--policy", "type=rps,target=4,max=10"], {}) == 0
    ours, awake = json.loads(capsys.readouterr().out)["beside_what_ran"]
    assert abs(ours["replica_s_error"]) <= 0.01
    assert ours["cold_starts_error"] == 0
    assert awake["replica_s_error"] > 2 * trust.REPLICA_S_WITHIN


def test_another_policy_is_told_to_be_another(capsys: pytest.CaptureFixture[str]) -> None:
    assert replayed(capsys, "busy", "owner=none")["replica_s_error"] < -trust.REPLICA_S_WITHIN


def test_counts_are_taken_from_the_begin_to_the_end() -> None:
    log = [Change(5.0, 1, 3), Change(20.0, 3, 0), Change(40.0, 0, 2)]
    was = trust.really(log, begin=10.0, length_s=50.0)
    assert was is not None
    assert (was.replica_s, was.largest, was.cold_starts, was.awake) == (3 * 10 + 2 * 20, 3, 1, True)
    assert sum(count or 0 for count in was.replicas) / len(was.replicas) * 50 == pytest.approx(70)


def test_a_log_that_says_nothing_is_not_zero() -> None:
    assert trust.really([], begin=0.0, length_s=10.0) is None
    assert str(trust.error([], replica_s=0.0, cold=0, cold_starts=0)) == "not known"


@pytest.mark.parametrize("line", ["{}", "[]", '{"t": "x", "function": "f", "before": 1, "after": 1}', "no", "1"])
def test_a_line_that_is_no_decision_is_named(line: str) -> None:
    good = '{"t": 1, "function": "f", "before": 0, "after": 1}'
    with pytest.raises(BadInput, match=r"log, line 2: .*write t, function, before and after"):
        trust.read([good, line], "log")


def looked(*instants: float) -> list[Change]:
    return [Change(at, 1, 1, "scaler", at) for at in instants]


def test_looks_that_are_not_in_the_log_come_evenly_between_those_that_are() -> None:
    looks = trust.looks([looked(100.25, 103.25), looked(101.25, 107.31, 111.3)], begin=101.0, length_s=12.0)
    assert looks == pytest.approx(
        [-0.75, 0.25, 1.25, 2.25, 3.265, 4.28, 5.295, 6.31, 7.3075, 8.305, 9.3025, 10.3, 11.3, 12.3], abs=0.01
    )


@pytest.mark.parametrize(
    "log",
    [
        pytest.param([], id="nobody looked"),
        pytest.param([looked(10.0, 20.5, 400.0)], id="a long gap"),
        pytest.param([looked(10.0, 11.0)], id="none near the end"),
        pytest.param([looked(390.0, 391.0)], id="none near the begin"),
    ],
)
def test_looks_that_the_log_tells_too_seldom_are_not_known(log: list[list[Change]]) -> None:
    assert trust.looks(log, begin=0.0, length_s=400.0) == ()


@pytest.mark.parametrize(
    ("first", "known"),
    [
        pytest.param(Change(7.5, 0, 1, "person"), (-2.0, -1.0, 0.0, 1.0), id="deployed then"),
        pytest.param(Change(7.5, 0, 1, "wake"), (1.0,), id="woken: what came before is not known"),
        pytest.param(Change(12.0, 1, 2, "scaler"), (1.0,), id="there already"),
    ],
)
def test_looks_before_the_first_call_count_where_the_function_is_as_new(
    first: Change, known: tuple[float, ...]
) -> None:
    was = trust.really([first], 10.0, 5.0, (-3.0, -2.0, -1.0, 0.0, 1.0))
    assert was is not None
    assert was.looks == known


def test_a_log_tells_when_the_load_was_seen() -> None:
    line = '{"t": 5.5, "function": "f", "before": 1, "after": 1, "writer": "%s", "inputs": {"data_age_s": 0.25}}'
    (by_loop, by_alert) = trust.read([line % "scaler", line % "alert"], "log")["f"]
    assert (by_loop.looked_at, by_alert.looked_at) == (5.25, None)
