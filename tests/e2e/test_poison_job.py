"""A job that ends the replica it runs in, in a whole suite: it is given up, and takes nothing else along."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nats", reason="the extra `async` brings the broker's client")

ATTEMPTS = 4
JOBS = 10
POISON = "poison"
HANDLER = """
import asyncio, os, signal
from pathlib import Path

async def handle(event, context):
    word = event.body.decode()
    with Path({ran!r}).open("a") as file:
        file.write(word + "\\n")
    if word == "poison":
        {deed}
    await asyncio.sleep(0.5)
    return word
"""
DEEDS = {"exits": "os._exit(1)", "is-killed": "os.kill(os.getpid(), signal.SIGKILL)", "is-well": ""}
"""By itself, as the kernel does where memory runs out, and not at all."""


def test_what_ends_its_replica_is_given_up_and_all_else_is_done(fast_suite: Any, tmp_path: Path) -> None:
    for name, deed in DEEDS.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "handler.py").write_text(HANDLER.format(ran=str(folder / "ran"), deed=deed or "pass"))
        _deploy(fast_suite, name, folder)
    words = [*map(str, range(JOBS // 2)), POISON, *map(str, range(JOBS // 2, JOBS))]

    ids = {(name, word): _posted(fast_suite, name, word) for word in words for name in DEEDS}
    fast_suite.eventually(
        lambda: {_state(fast_suite, job) for job in ids.values()} <= {"done", "failed"}, "all end", 120
    )

    failed = {about for about, job in ids.items() if _state(fast_suite, job) == "failed"}
    assert failed == {("exits", POISON), ("is-killed", POISON)}
    for name in ("exits", "is-killed"):
        assert Counter((tmp_path / name / "ran").read_text().split())[POISON] == ATTEMPTS
        assert fast_suite.springtide("dead", "show", ids[name, POISON]).returncode == 0
    assert Counter((tmp_path / "is-well" / "ran").read_text().split()) == Counter(words)


def _deploy(suite: Any, name: str, folder: Path) -> None:
    retry = {"attempts": str(ATTEMPTS), "min_wait": "1s"}
    body = {
        "service": name,
        "image": "springtide/python",
        # It writes to the test's folder, and to process 1 of a sandbox its own signals do nothing.
        "labels": {"com.springtide.isolation": "none"},
        "annotations": {
            "com.springtide.handler": str(folder),
            **{f"com.openfaas.retry.{key}": value for key, value in retry.items()},
        },
    }
    with suite.client() as client:
        assert client.post("/system/functions", json=body).status_code == 202
    suite.eventually(lambda: suite.status(name).get("availableReplicas", 0) == 1, f"{name} is ready")


def _posted(suite: Any, name: str, word: str) -> str:
    with suite.client() as client:
        answer = client.post(f"/async-function/{name}", content=word)
    assert answer.status_code == 202, answer.text
    return str(answer.headers["X-Call-Id"])


def _state(suite: Any, job: str) -> str:
    with suite.client() as client:
        return str(client.get(f"/async-function/{job}").json()["state"])
