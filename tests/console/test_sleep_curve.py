"""The curve of learned sleep as the console keeps it: worked out aside, once for all who look, bounded, and closed."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from springtide.console.functions import FunctionInfo
from springtide.console.sleep_curve import FRESH_FOR_S, RETRY_S, SleepCurve
from springtide.runtime.errors import BadInput
from springtide.scaler.core.vocabulary import FunctionRef, Instant

URL = "http://prom:9090"
ASLEEP = FunctionInfo(ref=FunctionRef("fn", "naps"), labels={"com.openfaas.scale.zero": "true"})
AWAKE = FunctionInfo(ref=FunctionRef("fn", "stays"))
TELLS = (
    "import json, sys; print(json.dumps({'recorded_s': 90000, 'words': sys.argv[1:], 'read': json.load(sys.stdin)}))"
)


@dataclass
class ManualClock:
    at: float = 1_700_000_000.0

    def now(self) -> Instant:
        return Instant(self.at)

    def wall(self) -> Instant:
        return Instant(self.at)

    def advance(self, seconds: float) -> None:
        self.at += seconds


def curve(code: str, clock: ManualClock, *functions: FunctionInfo, **more: Any) -> SleepCurve:
    """A program in the command's place."""
    listed = {info.key: info for info in functions}
    command = (sys.executable, "-c", code)
    return SleepCurve(command, URL, "/run/secrets", functions=lambda: listed or None, clock=clock, **more)


async def worked_out(one: SleepCurve, span: str = "7d") -> dict[str, Any]:
    async with asyncio.timeout(120):
        while (seen := one.seen(span))["working"]:  # noqa: ASYNC110 - a process of its own becomes so
            await asyncio.sleep(0.02)
    return seen


async def test_the_command_reads_the_labels_of_functions_that_may_sleep_and_no_secret() -> None:
    told = (await worked_out(curve(TELLS, ManualClock(), ASLEEP, AWAKE)))["curve"]

    assert told["words"] == [
        "--sleep", "--json", "--within=180s", "--deployed=-", f"--prometheus={URL}",
        "--prometheus-secrets=/run/secrets", "--since=7d",
    ]  # fmt: skip
    assert told["read"] == [{"name": "naps", "namespace": "fn", "labels": dict(ASLEEP.labels)}]


async def test_nobody_waits_and_all_who_look_within_the_hour_see_one_answer() -> None:
    clock = ManualClock()
    one = curve(TELLS.replace("sys.argv[1:]", "__import__('os').getpid()"), clock, ASLEEP)
    assert one.seen("7d")["curve"] is None
    first = (await worked_out(one))["curve"]["words"]

    clock.advance(FRESH_FOR_S - 1)
    assert one.seen("7d")["curve"]["words"] == first
    assert not one.seen("7d")["working"]
    clock.advance(1)
    again = one.seen("7d")
    assert again["working"]
    assert again["curve"]["words"] == first, "what was known is shown until there is something newer"
    assert (await worked_out(one))["curve"]["words"] != first


async def test_what_is_wrong_is_told_beside_what_was_known_and_tried_again() -> None:
    clock = ManualClock()
    one = curve("import sys; sys.exit('springtide: no calls in that time')", clock, ASLEEP)
    assert (await worked_out(one))["problem"] == "No calls in that time."
    assert not one.seen("7d")["working"]
    clock.advance(RETRY_S)
    assert one.seen("7d")["working"]
    await one.aclose()


async def test_one_that_hangs_ends_at_its_deadline_and_when_the_console_does() -> None:
    hangs = "import time; time.sleep(600)"
    late = await worked_out(curve(hangs, ManualClock(), ASLEEP, deadline_s=0.5))
    assert late["problem"] == "It took longer than 0.5 s; ask for a shorter time."
    one = curve(hangs, ManualClock(), ASLEEP)
    assert one.seen("24h")["working"]
    await asyncio.sleep(0)
    await one.aclose()
    assert "0 worked on" in repr(one)


async def test_it_says_why_there_is_none() -> None:
    assert "No function here may sleep" in curve(TELLS, ManualClock(), AWAKE).seen("7d")["off"]
    without = SleepCurve((), "", "", functions=dict, clock=ManualClock())
    assert "no Prometheus is configured; set prometheus_url" in without.seen("7d")["off"]
    with pytest.raises(BadInput, match="span: '1y' is none of 24h, 7d, 30d"):
        without.seen("1y")


async def test_before_functions_are_known_nothing_is_asked() -> None:
    one = curve(TELLS, ManualClock())
    assert one.seen("7d")["working"]
    assert repr(one) == "<SleepCurve 0 spans known, 0 worked on>"
    assert json.dumps(one.seen("7d"))
