"""How the soak judges what functions noted: it must see a job that is lost, and one that is run for nothing."""

from __future__ import annotations

import json
import math

import pytest

from bench.jobs.ledger import Execution, Kill, Letter, Verdict, executions, judge

JOB, OTHER = "job-1", "job-2"


def ran(started: float, ended: float = math.inf, status: int = 200, *, job: str = JOB, number: int = 1) -> Execution:
    return Execution(job, number, started, ended, 0 if ended == math.inf else status)


def judged(those: list[Execution], letters: list[Letter] | None = None, kills: list[Kill] | None = None) -> Verdict:
    return judge({1: JOB}, those, letters or [], kills or [], attempts={1: 3})


@pytest.mark.parametrize(
    ("those", "letters", "kills", "problem"),
    [
        pytest.param([], [], [], "never executed", id="a job that never ran"),
        pytest.param([ran(1.0)], [], [], "neither ended nor dead", id="a job that was cut off"),
        pytest.param([ran(1.0, 1.1, 500)], [], [], "neither ended nor dead", id="a job that only failed"),
        pytest.param([ran(1, 2), ran(5, 6)], [], [], "no kill that explains it", id="a job that ran once more"),
        pytest.param(
            [ran(1, 2), ran(9, 10)],
            [],
            [Kill(6.0, "gateway", 7.0)],
            "no kill that explains it",
            id="a kill that came too late",
        ),
        pytest.param(
            [ran(1, 2), ran(2.5, 2.6, job=OTHER)], [], [], "another id than", id="a number that ran under another id"
        ),
        pytest.param(
            [ran(1, 2, 500)], [Letter(JOB, 1, "no")], [], "before its attempts", id="a job that was given up too early"
        ),
        pytest.param(
            [ran(1, 2, 500), ran(3, 4, 500), ran(5, 6, 500)],
            [],
            [],
            "no dead letter",
            id="a job that was given up and is nowhere",
        ),
    ],
)
def test_a_fault_is_seen(those: list[Execution], letters: list[Letter], kills: list[Kill], problem: str) -> None:
    assert any(problem in told for told in judged(those, letters, kills).problems)


@pytest.mark.parametrize(
    ("those", "letters", "kills"),
    [
        pytest.param([ran(1, 2)], [], [], id="once"),
        pytest.param([ran(1, 2, 500), ran(3, 4)], [], [], id="after a failure"),
        pytest.param([ran(1), ran(8, 9)], [], [Kill(1.5, "gateway", 2.0)], id="cut off by a kill"),
        pytest.param([ran(1, 2), ran(8, 9)], [], [Kill(2.1, "queue-worker", 3.0)], id="not settled at a kill"),
        pytest.param(
            [ran(2, 3), ran(20, 21)],
            [],
            [Kill(1.0, "nats", 4.0), Kill(8.0, "queue-worker", 9.0)],
            id="not settled for the broker was away, and then the worker was killed",
        ),
        pytest.param(
            [ran(1, 2, 500), ran(3, 4, 500), ran(5, 6, 500)], [Letter(JOB, 3, "three times")], [], id="dead in the end"
        ),
        pytest.param([], [Letter(JOB, 3, "no answer")], [], id="dead, for nobody answered"),
    ],
)
def test_what_must_happen_is_no_fault(those: list[Execution], letters: list[Letter], kills: list[Kill]) -> None:
    assert judged(those, letters, kills).problems == []


@pytest.mark.parametrize(
    ("beside_ended", "beside_stored", "explained"),
    [
        pytest.param(4.0, 9.5, True, id="one that ended before was being stored"),
        pytest.param(4.0, 12.5, False, id="the next worker stored once more what it found"),
        pytest.param(4.0, 8.0, False, id="one that ended before had long been stored"),
        pytest.param(6.0, 9.5, False, id="one that ended later was being stored"),
    ],
)
def test_how_long_settling_takes_is_seen_and_not_assumed(
    beside_ended: float, beside_stored: float, *, explained: bool
) -> None:
    those = [ran(1.0, 5.0), ran(3.0, beside_ended, job=OTHER, number=2), ran(20.0, 21.0)]
    verdict = judge(
        {1: JOB, 2: OTHER},
        those,
        [],
        [Kill(10.0, "queue-worker", 11.0)],
        attempts={1: 3, 2: 3},
        stored={JOB: 21.1, OTHER: beside_stored},
    )
    assert (verdict.problems == []) is explained


def test_executions_in_flight_at_kills_bound_the_extra_ones() -> None:
    verdict = judged([ran(1), ran(8, 9)], kills=[Kill(1.5, "gateway", 2.0), Kill(30.0, "gateway", 31.0)])
    assert (len(verdict.extras), verdict.allowed_extras) == (1, 1)
    assert verdict.extras[0].kill == Kill(1.5, "gateway", 2.0)


def test_a_line_that_a_kill_cut_off_is_passed_over() -> None:
    start = json.dumps({"at": 1.0, "what": "start", "execution": "a", "number": 1, "job": JOB})
    end = json.dumps({"at": 2.0, "what": "end", "execution": "a", "number": 1, "job": JOB, "status": 200})
    assert executions([start, end[:20]]) == [ran(1.0)]
    assert executions([start, end]) == [ran(1.0, 2.0)]
