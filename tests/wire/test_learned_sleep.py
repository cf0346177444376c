"""What who learns tells of pauses, and what a reader makes of it."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from springtide.runtime.errors import Unavailable, Unsupported
from springtide.scaler.core.keepalive.pressure import Worth
from springtide.scaler.core.keepalive.rule import Basis, NotLearned, Why, Window
from springtide.scaler.core.learned_silence import LearnedSilence
from springtide.scaler.core.vocabulary import FunctionRef, Instant
from springtide.wire import learned_sleep
from springtide.wire.json_api import NONSENSE
from springtide.wire.learned_sleep import SleepPlans
from tests.fakes.http import HttpServer

ECHO, OTHER, NEW = FunctionRef("openfaas-fn", "echo"), FunctionRef("space", "other"), FunctionRef("openfaas-fn", "new")
PAUSES = Why(Basis.PAUSES, pauses=40, worth_s=900.5, within_s=math.inf, ended_share=0.71, expected_share=0.2)
TIMER = Why(Basis.TIMER, pauses=9, worth_s=900, within_s=60, ended_share=1, expected_share=1, interval_s=(359.5, 361))
TOLD: learned_sleep.Silences = {
    ECHO: LearnedSilence((Window(1000, 1060), Window(1300, math.inf)), Instant(1000), PAUSES),
    OTHER: LearnedSilence((Window(1000, 1060),), Instant(1000), TIMER, forecasts=False),
    NEW: NotLearned("none of its pauses is known"),
    FunctionRef("openfaas-fn", "never called"): NotLearned("it was not called yet since anybody learns"),
}
WORTHS = {ECHO: Worth(0.05, 900.5), OTHER: Worth(0.003, 900), NEW: Worth(0.0001, 8900)}


def test_what_was_told_comes_back_as_it_was() -> None:
    answer = json.loads(learned_sleep.encode(TOLD, WORTHS, 1010.0))

    assert learned_sleep.decode(answer) == TOLD
    assert learned_sleep.worths(answer) == WORTHS


GOOD: dict[str, Any] = json.loads(learned_sleep.encode(TOLD, WORTHS, 1010.0))["functions"][str(ECHO)]


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"windows": []}, id="no windows"),
        pytest.param({"windows": [[5, 4]]}, id="a window that ends before it begins"),
        pytest.param({"windows": [[1, 2]] * 17}, id="too many windows"),
        pytest.param({"windows": 7}, id="a number for windows"),
        pytest.param({"basis": "moon"}, id="another basis"),
        pytest.param({"lastEnd": "soon"}, id="a word for a time"),
        pytest.param({"worthSeconds": -1}, id="a negative price"),
        pytest.param({"intervalSeconds": [1]}, id="half an interval"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(NONSENSE):
        learned_sleep.decode({"functions": {str(ECHO): GOOD | wrong}})


@pytest.mark.parametrize("calls_per_s", [-1, "often", [1]])
def test_calls_that_make_no_sense_are_refused(calls_per_s: object) -> None:
    with pytest.raises(NONSENSE):
        learned_sleep.worths({"functions": {str(ECHO): GOOD | {"callsPerSecond": calls_per_s}}})


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"functions": "all"}', b'{"functions": [7]}'])
def test_question_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        learned_sleep.asked(body)


@pytest.mark.uvloop
@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        pytest.param(200, learned_sleep.encode(TOLD, WORTHS, 1.0), None, id="a good answer"),
        pytest.param(200, b"{}", Unavailable, id="no functions"),
        pytest.param(501, b"no cron part is configured", Unsupported, id="nobody who learns"),
        pytest.param(404, b"not found", Unsupported, id="a gateway of somebody else's"),
        pytest.param(503, b"another copy learns", Unavailable, id="no copy that learns"),
    ],
)
async def test_plans_are_asked_of_a_gateway(status: int, body: bytes, error: type[Exception] | None) -> None:
    async def answer(path: str) -> tuple[int, bytes]:
        assert path == learned_sleep.PATH
        return status, body

    server = HttpServer(answer)
    await server.start()
    plans = SleepPlans([f"http://127.0.0.1:{server.port}"], None)
    try:
        if error is None:
            assert await plans.plans([ECHO]) == TOLD
            assert await plans.worths([ECHO]) == WORTHS
        else:
            with pytest.raises(error):
                await plans.plans([ECHO])
    finally:
        await plans.aclose()
        await server.stop()
