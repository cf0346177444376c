"""A function whose load is its queue, in a whole suite: asleep, woken by its first call, many, and few again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nats", reason="the extra `async` brings the broker's client")

JOBS = 200
HANDLER = """
import time
from pathlib import Path

def handle(event, context):
    while not Path({go!r}).exists():
        time.sleep(0.1)
    with Path({file!r}).open("a") as file:
        file.write(event.body.decode() + "\\n")
"""


def test_replicas_follow_the_backlog_up_and_down(fast_suite: Any, tmp_path: Path) -> None:
    name, ran, go, folder = "queued", tmp_path / "ran", tmp_path / "go", tmp_path / "queued"
    folder.mkdir()
    (folder / "handler.py").write_text(HANDLER.format(file=str(ran), go=str(go)))
    labels = {"type": "queue", "target": "10", "max": "10", "zero": "true", "zero-duration": "1h"}
    body = {
        "service": name,
        "image": "springtide/python",
        # It writes to the test's folder.
        "labels": {"com.springtide.isolation": "none"}
        | {f"com.openfaas.scale.{key}": value for key, value in labels.items()},
        "annotations": {"com.springtide.handler": str(folder)},
        "envVars": {"max_inflight": "2", "exec_timeout": "10m"},
    }
    with fast_suite.client() as client:
        answer = client.post("/system/functions", json=body)
        assert answer.status_code == 202, answer.text
    fast_suite.scale(name, 0)
    fast_suite.eventually(lambda: fast_suite.status(name).get("availableReplicas", 0) == 0, "it sleeps", 120.0)

    with fast_suite.client() as client:
        for number in range(JOBS):
            assert client.post(f"/async-function/{name}", content=str(number)).status_code == 202
    fast_suite.eventually(lambda: fast_suite.replicas(name) == 10, "a replica for each ten calls", 120.0)
    go.touch()
    fast_suite.eventually(lambda: len(ran.read_text().splitlines()) >= JOBS, "all of them are made", 240.0)
    fast_suite.eventually(lambda: fast_suite.replicas(name) <= 1, "few replicas without a backlog", 240.0)

    changes = [(one["writer"], one["before"], one["after"]) for one in fast_suite.decisions(name)]
    changes = [change for change in changes if change[1] != change[2]]
    assert sorted(map(int, ran.read_text().splitlines())) == list(range(JOBS)), "each once"
    assert ("wake", 0, 1) in changes
    assert changes.count(("wake", 0, 1)) == 1
    assert {(writer, after > before) for writer, before, after in changes if before and after} == {
        ("scaler", True),
        ("scaler", False),
    }
