"""What ``springtide up`` prints is what the page about it shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from springtide.cli.announcements import Announcer
from springtide.cli.state import Running, StateFolder
from springtide.provider.process.wall_probe import Possible
from springtide.watchdog.start import Walls

PAGE = Path(__file__).parents[2] / "docs" / "start.md"
WALLS = Possible(Walls(namespaces=True, ports=True, calls=True))
STATE = StateFolder(Path("/home/you/.local/state/springtide"))
HERE = "http://127.0.0.1:"
RUNNING = Running(
    pid=1,
    gateway=HERE + "8080",
    metrics=HERE + "8082",
    provider=HERE + "1",
    alert_receiver=HERE + "2",
    scaler=HERE + "3",
    idler=HERE + "4",
    prometheus=HERE + "9090",
    alertmanager=HERE + "9093",
    nats="nats://127.0.0.1:4222",
    nats_monitoring=HERE + "8222",
    fast=False,
    walls=str(WALLS),
    parts={},
)


def test_what_up_prints_is_shown_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    announcer = Announcer(
        STATE,
        as_json=False,
        default_state=True,
        command=".venv/bin/springtide",
        payload_secret=str(STATE.payload_secret_of({})),
    )
    announcer.starting()
    announcer.ready(RUNNING, sample=True)

    assert f"```text\n{capsys.readouterr().out}```" in PAGE.read_text()
