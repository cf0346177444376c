"""The whole suite with its functions on a cluster, and what must not depend on one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from springtide.provider.spec import PYTHON_IMAGE
from tests.demo_story import DEMO_S, check_whole_story
from tests.e2e.conftest import ROOT, running
from tests.kubernetes.emulator import Image, running_in_thread

HANDLER = ROOT / "cli" / "demo" / "function"


@pytest.mark.usefixtures("pod_network", "tools")
def test_demo_tells_the_whole_story_on_a_cluster(tmp_path: Path) -> None:
    with running_in_thread(images={PYTHON_IMAGE: Image(handler=HANDLER)}) as cluster:
        kubeconfig = tmp_path / "kubeconfig"
        cluster.do(lambda emulator: emulator.write_kubeconfig(kubeconfig))
        options = ("--fast", "--provider", "kubernetes", "--kubeconfig", str(kubeconfig))
        with running(tmp_path / "state", *options, "--prometheus-port", "0", "--alertmanager-port", "0") as suite:
            result = suite.springtide("demo", "--json", timeout_s=DEMO_S)

        check_whole_story(result)
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
