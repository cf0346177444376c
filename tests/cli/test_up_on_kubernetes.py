from __future__ import annotations

from pathlib import Path

import pytest

from springtide.cli import addresses, processes
from springtide.cli.addresses import WishedPorts
from springtide.cli.command_line import run
from springtide.cli.ports import PortClaims
from springtide.cli.processes import Plan
from springtide.cli.runtimes import Runtime
from springtide.cli.state import StateFolder
from springtide.runtime.child_process import Child


def provider(tmp_path: Path, kubeconfig: str) -> Child:
    ports = WishedPorts(gateway=0, metrics=0, prometheus=0, alertmanager=0)
    plan = Plan(
        state=StateFolder(tmp_path),
        addresses=addresses.choose("127.0.0.1", ports, PortClaims()),
        tools=None,
        environ={},
        runtimes=frozenset({Runtime.KUBERNETES}),
        kubeconfig=kubeconfig,
    )

    return next(child for stage in processes.stages(plan) for child in stage if child.name == "provider")


@pytest.mark.parametrize(
    ("kubeconfig", "told"),
    [pytest.param("/k", ["/k"], id="the one named"), pytest.param("", [], id="the one kubectl would find")],
)
def test_provider_of_a_cluster_gets_its_kubeconfig(tmp_path: Path, kubeconfig: str, told: list[str]) -> None:
    command = list(provider(tmp_path, kubeconfig).command)

    assert "kubernetes-provider" in command
    assert "--data-dir" not in command
    assert [command[i + 1] for i, word in enumerate(command) if word == "--kubeconfig"] == told


def test_kubeconfig_without_a_cluster_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = run(["up", "--state-dir", str(tmp_path), "--kubeconfig", "/k"], {})

    assert status == 2
    assert "--provider kubernetes" in capsys.readouterr().err
