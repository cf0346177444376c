"""kill -9 of each part in turn, under load: state intact, nothing orphaned, callers answered again."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

HANDLER = 'def handle(event, context):\n    return {"statusCode": 200, "body": "answered"}\n'
AGAIN_S = 3.0
START_OF_CLIMB_S = 60.0


@pytest.fixture
def handler(tmp_path: Path) -> Path:
    folder = tmp_path / "handler"
    folder.mkdir()
    (folder / "handler.py").write_text(HANDLER)
    return folder


def processes_of(state: Path) -> dict[int, str]:
    """Every living process whose command line or environment names this state folder."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if entry.joinpath("stat").read_text().rpartition(")")[2].split()[0] == "Z":
                continue
            words = entry.joinpath("cmdline").read_bytes() + entry.joinpath("environ").read_bytes()
        except OSError:
            continue
        if str(state).encode() in words:
            found[int(entry.name)] = words.split(b"\0")[0].decode(errors="replace")
    return found


def under_load(suite: Any, name: str, deed: Callable[[], None]) -> tuple[dict[int, int], float]:
    """Statuses of calls at 50/s while ``deed`` happens, and seconds from the deed to the next answer of 200."""

    async def story() -> tuple[dict[int, int], float]:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        calls = asyncio.create_task(suite.load(name, per_second=50, stop=stop))
        await asyncio.sleep(1)
        await asyncio.to_thread(deed)
        struck = loop.time()
        await asyncio.to_thread(answered_again, suite, name)
        gap = loop.time() - struck
        await asyncio.sleep(1)
        stop.set()
        return await calls, gap

    return asyncio.run(story())


def answered_again(suite: Any, name: str) -> None:
    def answers() -> bool:
        return httpx.get(f"{suite.gateway}/function/{name}", timeout=2).status_code == 200

    suite.eventually(answers, f"{name} answers again", 30)


@pytest.mark.parametrize(
    "part", ["gateway", "provider", "alert-receiver", "scaler", "idler", "alertmanager", "prometheus", "nats"]
)
def test_killed_part_comes_back_with_its_state(fast_suite: Any, handler: Path, part: str) -> None:
    name = f"steady-{part}"  # one that is rolled over has a replica more for a while
    fast_suite.deploy(name, handler, factor="0")
    fast_suite.scale(name, 3)
    fast_suite.eventually(lambda: fast_suite.status(name).get("availableReplicas") == 3, "3 replicas answer")
    before, pid = fast_suite.status(name), fast_suite.run["parts"][part]

    statuses, _ = under_load(fast_suite, name, lambda: os.kill(pid, signal.SIGKILL))

    fast_suite.eventually(lambda: fast_suite.run["parts"].get(part, pid) != pid, f"{part} is back")
    fast_suite.eventually(lambda: fast_suite.status(name).get("availableReplicas") == 3, "3 replicas answer")
    after = fast_suite.status(name)
    assert {key: after[key] for key in before if key != "usage"} == before
    assert statuses[200] > 0
    if part != "gateway":
        assert set(statuses) == {200}, "only the gateway's own death may cost a call"


async def test_function_comes_down_whose_alert_ended_while_alertmanager_was_killed(
    fast_suite: Any, handler: Path
) -> None:
    """The restarted Alertmanager has forgotten that it fired, so it never tells that it ended."""
    fast_suite.deploy("left", handler)

    stop = asyncio.Event()
    calls = asyncio.create_task(fast_suite.load("left", per_second=40, stop=stop))
    await asyncio.to_thread(
        fast_suite.eventually, lambda: fast_suite.replicas("left") >= 9, "it climbs", START_OF_CLIMB_S
    )
    stop.set()
    await calls
    os.kill(fast_suite.run["parts"]["alertmanager"], signal.SIGKILL)
    fast_suite.eventually(lambda: fast_suite.replicas("left") == 1, "it comes down", 60)

    [*_, first, _last] = [one for one in fast_suite.decisions("left") if one["after"] < one["before"]]
    assert "none was told to have ended" in first["detail"] or "descent" in first["detail"]


def test_killed_suite_starts_again_with_its_state_and_leaves_no_orphan(
    start_suite: Any, handler: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    with start_suite(state, "--fast", "--no-samples") as suite:
        suite.deploy("steady", handler, factor="0")
        suite.scale("steady", 3)
        with suite.client() as client:
            assert client.post("/system/secrets", json={"name": "token", "value": "x"}).status_code == 202
        statuses, _ = under_load_until_killed(suite, state)
        assert statuses[200] > 0

    with start_suite(state, "--fast", "--no-samples") as suite:
        answered_again(suite, "steady")
        assert suite.replicas("steady") == 3
        with suite.client() as client:
            assert [secret["name"] for secret in client.get("/system/secrets").json()] == ["token"]

    suite.eventually(lambda: processes_of(state) == {}, "no process of the suite is left", 15)


def under_load_until_killed(suite: Any, state: Path) -> tuple[dict[int, int], float]:
    """kill -9 of every process of the suite but the replicas and their host, which must not outlive it for long."""

    async def story() -> tuple[dict[int, int], float]:
        stop = asyncio.Event()
        calls = asyncio.create_task(suite.load("steady", per_second=50, stop=stop))
        await asyncio.sleep(1)
        suite.process.kill()
        await asyncio.to_thread(suite.process.wait)
        await asyncio.to_thread(
            suite.eventually, lambda: processes_of(state) == {}, "nothing outlives a killed suite for long", 30
        )
        stop.set()
        return await calls, 0.0

    return asyncio.run(story())
