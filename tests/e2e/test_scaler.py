"""The control loop in a running suite: a function that names its load has the replicas that it needs, and says why."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

HANDLER = """
import asyncio
async def handle(event, context):
    await asyncio.sleep(0.5)
    return "ok"
"""
CALLERS = 8


@pytest.fixture
def handler(tmp_path: Path) -> Path:
    folder = tmp_path / "handler"
    folder.mkdir()
    (folder / "handler.py").write_text(HANDLER)
    return folder


async def callers(suite: Any, name: str, stop: asyncio.Event) -> list[int]:
    """So many calls in flight all the time; the statuses of all of them."""
    statuses = []
    async with suite.async_client() as client:

        async def caller() -> None:
            while not stop.is_set():
                statuses.append((await client.get(f"/function/{name}")).status_code)

        await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return statuses


def made_by(suite: Any, name: str, writer: str) -> list[tuple[int, int]]:
    """Before and after of each change."""
    return [
        (one["before"], one["after"])
        for one in suite.decisions(name)
        if one["writer"] == writer and one["before"] != one["after"]
    ]


async def until(suite: Any, true: Any, what: str) -> None:
    await asyncio.to_thread(suite.eventually, true, what, 120.0)


def test_function_follows_its_calls_in_flight_up_and_down(fast_suite: Any, handler: Path) -> None:
    name = "follows"
    fast_suite.deploy(name, handler, type="capacity", target="1")
    assert fast_suite.status(name)["owner"] == "scaler"

    async def story() -> list[int]:
        stop = asyncio.Event()
        calls = asyncio.create_task(callers(fast_suite, name, stop))
        await until(fast_suite, lambda: fast_suite.replicas(name) >= CALLERS, "a replica for each caller")
        scaler = fast_suite.run["parts"]["scaler"]
        os.kill(scaler, signal.SIGKILL)
        await until(fast_suite, lambda: fast_suite.run["parts"]["scaler"] != scaler, "another scaler")
        assert fast_suite.replicas(name) >= CALLERS, "one that has just begun takes nothing away"
        stop.set()
        return await calls

    assert set(asyncio.run(story())) == {200}
    fast_suite.eventually(lambda: fast_suite.replicas(name) <= 2, "few replicas without load", 240.0)
    assert {after > before for before, after in made_by(fast_suite, name, "scaler")} == {True, False}
    assert made_by(fast_suite, name, "alert") == []
    told = fast_suite.springtide("explain", name).stdout
    assert "the scaler" in told
    assert "need" in told


def test_alert_path_has_what_names_no_load(fast_suite: Any, handler: Path) -> None:
    fast_suite.deploy("silent", handler)
    assert fast_suite.status("silent")["owner"] == "alert"


def test_herd_wakes_several_replicas_at_once_when_two_herds_were_seen(fast_suite: Any, handler: Path) -> None:
    name, herd = "herded", 12
    fast_suite.deploy(name, handler, type="capacity", target="1", max="12", zero="true", zero_duration="2s")

    def asleep() -> bool:
        return fast_suite.replicas(name) == 0

    async def meets() -> list[int]:
        async with fast_suite.async_client() as client:
            return [answer.status_code for answer in await asyncio.gather(*(client.get(path) for _ in range(herd)))]

    path, woken = f"/function/{name}", [0]
    for _ in range(12):  # three, but one that comes within seconds of the last is met by what was known before
        fast_suite.eventually(asleep, "it sleeps", 120.0)
        assert asyncio.run(meets()) == [200] * herd
        woken = [after for _, after in made_by(fast_suite, name, "wake")]
        if woken[-1] > 1:
            break

    assert woken[:2] == [1, 1]
    assert 2 <= woken[-1] <= 12
