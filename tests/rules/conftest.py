from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from springtide.cli.tools import Tools
from springtide.rules import Targets

Check = Callable[..., str]


@pytest.fixture
def targets() -> Targets:
    return Targets(
        gateway_metrics="127.0.0.1:8082",
        provider="127.0.0.1:8081",
        alert_receiver="127.0.0.1:8083",
        idler="127.0.0.1:8084",
        scaler="127.0.0.1:8086",
        queue_worker="127.0.0.1:8087",
        cron="127.0.0.1:8088",
        console="127.0.0.1:8085",
        prometheus="127.0.0.1:9090",
        alertmanager="127.0.0.1:9093",
        connectors="/state/connectors",
    )


@pytest.fixture
def check() -> Check:
    """Runs a checker to a good end and gives its output; a failure shows all it said."""

    def run(program: Path, *arguments: str | Path) -> str:
        done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture
def promtool(check: Check, tools: Tools) -> Check:
    return lambda *arguments: check(tools.promtool, *arguments)


@pytest.fixture
def amtool(check: Check, tools: Tools) -> Check:
    return lambda *arguments: check(tools.amtool, *arguments)
