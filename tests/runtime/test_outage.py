"""What the log says of a fault that lasts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from structlog.testing import capture_logs

from springtide.runtime import virtual_time
from springtide.runtime.outage import CALM_S, Outage


def told(story: Callable[[Outage], Awaitable[None]]) -> list[tuple[float, str, dict[str, Any]]]:
    """When the log was told what, in seconds since the start."""
    lines: list[tuple[float, str, dict[str, Any]]] = []

    async def play() -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        with capture_logs(processors=[lambda _, __, line: {**line, "at": round(loop.time() - begun, 1)}]) as captured:
            await story(Outage("not watching", resource="pods"))
        lines.extend((line.pop("at"), line["event"], dict(line)) for line in captured)

    virtual_time.run(play(), virtual_time.VirtualTimeLoop())
    return lines


async def fail_for(outage: Outage, seconds: int) -> None:
    for _ in range(seconds):
        outage.failed("connection refused")
        await asyncio.sleep(1)


def test_outage_is_told_at_its_start_ever_more_rarely_and_at_its_end_with_its_duration() -> None:
    async def story(outage: Outage) -> None:
        await fail_for(outage, 600)
        outage.over()
        outage.over()

    lines = told(story)

    assert [at for at, _, _ in lines] == [0, 10, 30, 70, 150, 310, 600]
    assert {event for _, event, _ in lines[:-1]} == {"not watching"}
    _, event, fields = lines[-1]
    assert event == "over: not watching"
    assert (fields["lasted_s"], fields["failures"], fields["resource"]) == (600, 600, "pods")


def test_fault_that_flaps_is_told_no_more_often_than_one_that_stays() -> None:
    async def story(outage: Outage) -> None:
        for _ in range(300):
            outage.failed("reset")
            await asyncio.sleep(0.5)
            outage.over()
            await asyncio.sleep(0.5)

    lines = told(story)

    assert [at for at, event, _ in lines if event == "not watching"] == [0, 10, 30, 70, 150]
    assert len([event for _, event, _ in lines if event == "over: not watching"]) == 5


def test_fault_that_comes_back_later_is_a_new_one() -> None:
    async def story(outage: Outage) -> None:
        await fail_for(outage, 100)
        outage.over()
        await asyncio.sleep(CALM_S)
        await fail_for(outage, 11)

    assert [at for at, event, _ in told(story) if event == "not watching"] == [0, 10, 30, 70, 160, 170]
