"""``springtide doctor`` of the machine: each verdict by what is known, and the whole on machines made poorer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from springtide.cli.doctor import machine
from springtide.cli.doctor.broker_facts import Disk
from springtide.cli.doctor.findings import Level, Verdict
from springtide.cli.doctor.machine_facts import MachineFacts
from springtide.cli.tools import Missing
from springtide.provider.process.wall_probe import CALLS, FILES, PORTS, PROCESSES, Possible, probe_anywhere
from springtide.watchdog.start import Walls

GIB = 1024**3
ALL = Possible(Walls(namespaces=True, ports=True, calls=True))
LANDLOCK = Possible(Walls(files_by_rules=True, ports=True, calls=True))
NONE = Possible(Walls(), dict.fromkeys((FILES, PROCESSES, PORTS, CALLS), "an old kernel"))
WELL = MachineFacts(
    kernel="6.18",
    root=False,
    walls=ALL,
    wanted_walls=False,
    cgroup_controllers=("memory", "cpu", "pids"),
    programs={"Prometheus": "2.53.0", "Alertmanager": "0.27.0"},
    disk=Disk(Path("/s"), 100 * GIB, 60 * GIB),
    clock=1.8e9,
    clock_synchronised=True,
    newest_file=1.8e9,
    open_files=65_536,
    processes=30_000,
)
UNPRIVILEGED = {"kernel/apparmor_restrict_unprivileged_userns": "1"}


@pytest.mark.parametrize(
    ("check", "facts", "level", "says"),
    [
        pytest.param(machine.files, {}, Level.OK, "namespaces", id="own root"),
        pytest.param(machine.files, {"walls": LANDLOCK}, Level.WARNING, "Landlock", id="rules alone"),
        pytest.param(machine.files, {"walls": NONE}, Level.WARNING, "an old kernel", id="no walls"),
        pytest.param(machine.processes, {"walls": NONE, "wanted_walls": True}, Level.ERROR, "no function", id="wanted"),
        pytest.param(machine.ports_closed, {"walls": NONE}, Level.WARNING, "old kernel", id="ports open"),
        pytest.param(machine.system_calls, {"walls": NONE}, Level.WARNING, "old kernel", id="all calls"),
        pytest.param(machine.cgroups, {"cgroup_controllers": ("memory",)}, Level.WARNING, "cpu, pids", id="groups"),
        pytest.param(machine.cgroups, {}, Level.OK, "limited", id="delegated"),
        pytest.param(machine.engine, {"engine": "/run/podman.sock"}, Level.OK, "/run/podman.sock", id="engine"),
        pytest.param(machine.engine, {}, Level.OK, "none is needed", id="no engine"),
        pytest.param(machine.monitoring, {"programs": Missing("no; get")}, Level.WARNING, "no alert", id="no tools"),
        pytest.param(
            machine.monitoring, {"programs": {"Prometheus": "2.9.1"}}, Level.WARNING, "2.9.1 is older", id="old tools"
        ),
        pytest.param(
            machine.monitoring, {"programs": {"Prometheus": ""}}, Level.ERROR, "does not say", id="tools that fail"
        ),
        pytest.param(machine.ports, {"taken_ports": {"--gateway-port": 8080}}, Level.ERROR, "8080", id="port taken"),
        pytest.param(machine.disk, {"disk": Disk(Path("/s"), GIB, GIB)}, Level.WARNING, "1.0 GiB", id="little disk"),
        pytest.param(machine.disk, {"disk": Disk(Path("/s"), GIB, 1)}, Level.ERROR, "0.0 GiB", id="full disk"),
        pytest.param(machine.clock, {"clock": 1e9}, Level.ERROR, "before", id="clock of another age"),
        pytest.param(machine.clock, {"newest_file": 1.8e9 + 100}, Level.ERROR, "100 s", id="clock set back"),
        pytest.param(machine.clock, {"clock_synchronised": False}, Level.WARNING, "nobody", id="clock on its own"),
        pytest.param(machine.open_files, {"open_files": 256}, Level.ERROR, "256", id="few files"),
        pytest.param(machine.open_files, {"open_files": 2048}, Level.WARNING, "2048", id="not many files"),
        pytest.param(machine.user_processes, {"processes": 100}, Level.ERROR, "100", id="few processes"),
        pytest.param(machine.credentials, {"loose_files": {"/s/p": 0o644}}, Level.ERROR, "/s/p (644)", id="loose"),
        pytest.param(machine.credentials, {"foreign_files": ("/s/p",)}, Level.ERROR, "/s/p", id="somebody else's"),
    ],
)
def test_verdict_says_what_is_wrong_and_what_to_do(
    check: Callable[[MachineFacts], Verdict | None], facts: dict[str, Any], level: Level, says: str
) -> None:
    verdict = check(replace(WELL, **facts))

    assert verdict is not None
    assert verdict.level is level
    assert says in verdict.says
    assert (verdict.remedy == "") == (level is Level.OK), "what is not well has a remedy"


def test_nothing_is_wrong_with_a_machine_that_has_all() -> None:
    found = {check.__name__: check(WELL) for check in machine.CHECKS}

    assert {name: verdict.level for name, verdict in found.items() if verdict} == dict.fromkeys(found, Level.OK)


@pytest.mark.parametrize(
    ("sysctls", "root", "remedy"),
    [
        pytest.param({"user/max_user_namespaces": "0"}, False, "user.max_user_namespaces=15000", id="none allowed"),
        pytest.param({"kernel/unprivileged_userns_clone": "0"}, False, "userns_clone=1", id="Debian of old"),
        pytest.param(UNPRIVILEGED, False, "AppArmor profile", id="Ubuntu"),
        pytest.param(UNPRIVILEGED, True, "CAP_SYS_ADMIN", id="root in a container"),
        pytest.param({}, False, "CONFIG_USER_NS", id="a kernel without"),
    ],
)
def test_remedy_for_namespaces_is_the_one_for_this_system(sysctls: dict[str, str], root: bool, remedy: str) -> None:
    verdict = machine.files(replace(WELL, walls=NONE, sysctls=sysctls, root=root))

    assert remedy in verdict.remedy


def doctor(kind: str, state: Path, **environ: str) -> tuple[int, dict[str, dict[str, str]]]:
    """Its exit status, and its checks by name."""
    came = subprocess.run(
        [sys.executable, "-m", "tests.cli.broken_machine", kind, "doctor", "--json", "--state-dir", str(state)],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if came.returncode == 77:
        pytest.skip(f"this machine cannot be made poorer so: {came.stderr}")
    assert came.stdout, came.stderr
    told = json.loads(came.stdout)
    assert told["healthy"] == (came.returncode == 0)
    return came.returncode, {check["check"]: check for check in told["checks"]}


def levels(checks: dict[str, dict[str, str]], *names: str) -> list[str]:
    return [checks[f"machine.{name}"]["level"] for name in names]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    secrets = tmp_path / "state" / "secrets"
    secrets.mkdir(parents=True, mode=0o700)
    (secrets / "basic-auth-password").write_text("secret")
    (secrets / "basic-auth-password").chmod(0o600)
    return tmp_path / "state"


def test_machine_as_it_is_has_what_the_probe_finds(state: Path) -> None:
    _, checks = doctor("whole", state)

    here = probe_anywhere()
    assert levels(checks, "credentials", "disk") == ["ok", "ok"]
    assert (levels(checks, "ports_closed") == ["ok"]) == (PORTS not in here.missing)
    assert (levels(checks, "files") == ["ok"]) == here.walls.namespaces


def test_machine_without_namespaces_is_told_of(state: Path) -> None:
    _, checks = doctor("without_namespaces", state)

    assert levels(checks, "files") == ["warning"]


def test_machine_without_walls_starts_nothing_where_they_are_asked_for(state: Path) -> None:
    status, checks = doctor("without_any_walls", state, function_isolation_minimum="sandbox")

    assert status == 1
    assert levels(checks, "files", "processes", "ports_closed") == ["error"] * 3


def test_machine_with_few_open_files_is_told_of(state: Path) -> None:
    status, checks = doctor("with_few_open_files", state)

    assert status == 1
    assert levels(checks, "open_files") == ["error"]


def test_machine_with_a_full_disk_is_told_of(state: Path) -> None:
    status, checks = doctor("with_little_disk", state)

    assert status == 1
    assert levels(checks, "disk") == ["error"]


def test_machine_on_which_others_read_the_password_is_told_of(state: Path) -> None:
    (state / "secrets" / "basic-auth-password").chmod(0o644)

    status, checks = doctor("whole", state)

    assert status == 1
    assert "basic-auth-password (644)" in checks["machine.credentials"]["says"]
    assert checks["machine.credentials"]["remedy"].startswith("chmod go= ")
