"""The whole suite with its functions on a cluster, and what must not depend on one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from springtide.cli.stack import PYTHON_IMAGE
from tests.e2e.conftest import ROOT, running
from tests.kubernetes.emulator import Image, running_in_thread

HANDLER = ROOT / "cli" / "demo" / "function"


def counts(events: list[dict[str, object]], reason: str) -> list[tuple[object, object]]:
    return [(e["before"], e["after"]) for e in events if e["reason"] == reason and e["before"] != e["after"]]


@pytest.mark.usefixtures("pod_network", "tools")
def test_demo_tells_the_whole_story_on_a_cluster(tmp_path: Path) -> None:
    with running_in_thread(images={PYTHON_IMAGE: Image(handler=HANDLER)}) as cluster:
        kubeconfig = tmp_path / "kubeconfig"
        cluster.do(lambda emulator: emulator.write_kubeconfig(kubeconfig))
        options = ("--fast", "--provider", "kubernetes", "--kubeconfig", str(kubeconfig))
        with running(tmp_path / "state", *options, "--prometheus-port", "0", "--alertmanager-port", "0") as suite:
            result = suite.springtide("demo", "--json", timeout_s=150)

        events = [json.loads(line) for line in result.stdout.splitlines()]
        assert result.returncode == 0, result.stdout + result.stderr
        assert counts(events, "alert_firing") == [(1, 5), (5, 9), (9, 13), (13, 17), (17, 20)]
        assert counts(events, "alert_resolved") == [(20, 16), (16, 12), (12, 8), (8, 4), (4, 1)]
        assert counts(events, "idle") == [(1, 0)]
        assert counts(events, "wake") == [(0, 1)]
        followed = [e for e in events if "-scaler-" in e["function"] and e["before"] != e["after"] != 0]
        assert {e["writer"] for e in followed if e["before"]} == {"scaler"}
        assert followed[-1]["after"] == 1
        assert cluster.do(lambda emulator: emulator.warnings) == []


@pytest.mark.parametrize(
    "module",
    [
        "springtide.gateway.service",
        "springtide.idler.service",
        "springtide.scaler.service",
        "springtide.alert_receiver.service",
        "springtide.cli.command_line",
        "springtide.cli.up",
    ],
)
def test_module_does_without_the_kubernetes_library(module: str) -> None:
    script = f"import sys, {module}; sys.exit('kubernetes' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0
