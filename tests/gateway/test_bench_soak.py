"""The soak's judgement: what counts as right, as nobody's fault, and as lost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench.soak.tally import HALT_TAKES_S, RESTART_TAKES_S, Answer, Call, Kind, Log, Tally, Verdict, judge

TOKEN = "0123"
CALL = Call("f", Kind.GET, TOKEN, b"", 100.0, reused=False)
STREAM = replace(CALL, kind=Kind.STREAM)
KEPT = replace(CALL, reused=True)
HEADERS = {"x-token": TOKEN, "x-call-id": TOKEN, "x-pid": "7", "x-replica": "f-1-a"}


def answer(**given: Any) -> Answer:
    values: dict[str, Any] = {"status": 200, "headers": HEADERS, "body": bytearray(TOKEN.encode()), "ended": 101.0}
    return Answer(**(values | given))


@pytest.mark.parametrize(
    ("call", "got", "log", "verdict"),
    [
        pytest.param(CALL, answer(), Log(), Verdict.RIGHT, id="its own token"),
        pytest.param(replace(CALL, body=b"post"), answer(body=bytearray(b"post")), Log(), Verdict.RIGHT, id="its body"),
        pytest.param(CALL, answer(body=bytearray(b"4567")), Log(), Verdict.LOST, id="another's body"),
        pytest.param(CALL, answer(headers=HEADERS | {"x-token": "4567"}), Log(), Verdict.LOST, id="another's answer"),
        pytest.param(CALL, answer(headers=HEADERS | {"x-call-id": "4567"}), Log(), Verdict.LOST, id="another's id"),
        pytest.param(
            CALL, answer(headers=HEADERS | {"x-replica": "g-1-a"}), Log(), Verdict.LOST, id="another function's"
        ),
        pytest.param(CALL, answer(status=502), Log({7: 100.5}), Verdict.LOST, id="refused by the gateway"),
        pytest.param(
            STREAM,
            answer(body=bytearray(b"0123 0\n01"), broken="ended"),
            Log({7: 100.5}),
            Verdict.OWN_REPLICA_KILLED,
            id="cut short by the kill",
        ),
        pytest.param(
            STREAM,
            answer(body=bytearray(b"0123 1\n"), broken="ended"),
            Log({7: 100.5}),
            Verdict.LOST,
            id="cut short, but wrong before",
        ),
        pytest.param(
            STREAM, answer(body=bytearray(), broken="ended"), Log({8: 100.5}), Verdict.LOST, id="another was killed"
        ),
        pytest.param(
            STREAM, answer(body=bytearray(), broken="ended"), Log({7: 99.0}), Verdict.LOST, id="killed before the call"
        ),
        pytest.param(
            STREAM, answer(body=bytearray(), broken="ended"), Log({7: 101.5}), Verdict.LOST, id="killed after its end"
        ),
        pytest.param(
            CALL,
            Answer(broken="reset", ended=101.0),
            Log({7: 100.5}),
            Verdict.LOST,
            id="no answer, whoever was killed",
        ),
        pytest.param(
            KEPT, Answer(broken="reset", ended=101.0), Log(), Verdict.LOST, id="kept connection ended for no reason"
        ),
        pytest.param(
            KEPT,
            Answer(broken="reset", ended=101.0),
            Log(restarts=[100.0]),
            Verdict.CONNECTION_ENDED,
            id="kept connection ended by a restart",
        ),
        pytest.param(
            KEPT,
            Answer(broken="reset", ended=101.0),
            Log(restarts=[100.0 - RESTART_TAKES_S]),
            Verdict.LOST,
            id="kept connection ended long after a restart",
        ),
        pytest.param(
            CALL, Answer(broken="reset", ended=101.0), Log(restarts=[100.0]), Verdict.LOST, id="new connection reset"
        ),
        pytest.param(
            STREAM,
            answer(body=bytearray(b"0123 0\n"), broken="ended", port=5),
            Log(halted={5: 100.5}),
            Verdict.OWN_WORKER_REPLACED,
            id="cut short with its gateway worker",
        ),
        pytest.param(
            STREAM,
            answer(body=bytearray(b"0123 1\n"), broken="ended", port=5),
            Log(halted={5: 100.5}),
            Verdict.LOST,
            id="cut short with its gateway worker, but wrong before",
        ),
        pytest.param(
            STREAM,
            answer(body=bytearray(b"0123 0\n"), broken="ended", port=6),
            Log(halted={5: 100.5}),
            Verdict.LOST,
            id="cut short at another gateway worker",
        ),
        pytest.param(
            CALL,
            Answer(broken="reset", ended=101.0, port=5),
            Log(halted={5: 101.0 - HALT_TAKES_S - 1}),
            Verdict.LOST,
            id="cut short long after its gateway worker was halted",
        ),
    ],
)
def test_judgement(call: Call, got: Answer, log: Log, verdict: Verdict) -> None:
    assert judge(call, got, log) is verdict


def test_tally_counts_times_and_tells_failures() -> None:
    tally = Tally()
    tally.add(CALL, answer(first_byte=100.002))
    tally.add(CALL, answer(first_byte=100.1, headers=HEADERS | {"server-timing": "hold;dur=1"}))
    tally.add(CALL, answer(status=503))

    row = tally.row()

    assert (row["calls"], row["lost"], row["held"]) == (3, 1, 1)
    assert row["prompt_p50_ms"] == pytest.approx(2.0)
    assert row["held_max_ms"] == pytest.approx(100.0)
    assert tally.failures[0]["status"] == 503
