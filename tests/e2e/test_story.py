"""The main job, on real input: alerts, silence and callers move a function's replicas."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.demo_story import DEMO_S, check_whole_story, counts

CALLERS = 500

HANDLER = """
import pathlib
import time

def handle(event, context):
    while not pathlib.Path(event.query.get("until", "/")).exists():
        time.sleep(0.02)
    return {"statusCode": 200, "body": "answered"}
"""


@pytest.fixture
def handler(tmp_path: Path) -> Path:
    folder = tmp_path / "handler"
    folder.mkdir()
    (folder / "handler.py").write_text(HANDLER)
    return folder


def test_demo_tells_the_whole_story(fast_suite: Any) -> None:
    check_whole_story(fast_suite.springtide("demo", "--json", timeout_s=DEMO_S))


async def test_burst_on_a_sleeping_function_is_one_wake_and_all_answered(fast_suite: Any, handler: Path) -> None:
    fast_suite.deploy("burst", handler)
    fast_suite.scale("burst", 0)
    before = len(counts(fast_suite.decisions("burst"), "wake"))

    async with fast_suite.async_client() as client:
        replies = await asyncio.gather(*(client.get("/function/burst") for _ in range(CALLERS)))
    assert [reply.status_code for reply in replies] == [200] * CALLERS
    assert counts(fast_suite.decisions("burst"), "wake")[before:] == [(0, 1)]


async def test_long_call_survives_idling_resolving_updating_and_shrinking(
    fast_suite: Any, handler: Path, tmp_path: Path
) -> None:
    """One call outlasts everything that removes replicas; it is on a replica that each of them would take."""
    # It looks at the test's folder.
    settings = {"isolation": "none", "zero": "true", "zero_duration": "3s"}
    fast_suite.deploy("long", handler, **settings)
    over = tmp_path / "over"

    async with fast_suite.async_client() as client:
        call = asyncio.create_task(client.get("/function/long", params={"until": str(over)}))
        await asyncio.sleep(8)  # Longer than the idle time and several sweeps: the call must keep it awake.
        assert await asyncio.to_thread(fast_suite.replicas, "long") == 1
        await asyncio.to_thread(fast_suite.scale, "long", 5)
        await asyncio.to_thread(resolve_alert, fast_suite, "long")
        await asyncio.to_thread(fast_suite.deploy, "long", handler, **settings)
        await asyncio.to_thread(fast_suite.scale, "long", 1)
        assert await asyncio.to_thread(fast_suite.replicas, "long") == 1
        over.touch()

        assert (await call).status_code == 200


def resolve_alert(suite: Any, name: str) -> None:
    alert = {
        "status": "resolved",
        "labels": {"alertname": "APIHighInvocationRate", "function_name": f"{name}.openfaas-fn"},
        "startsAt": "2026-01-01T00:00:00Z",
        "fingerprint": f"long-{name}",
    }
    with suite.client() as client:
        response = client.post("/system/alert", json={"version": "4", "status": "resolved", "alerts": [alert]})
        assert response.status_code == 200, response.text
