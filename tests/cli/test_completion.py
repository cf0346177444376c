"""What is offered to somebody who presses Tab, and that shells can read what offers it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from springtide.cli.command_line import run
from springtide.cli.commands.completion import SHELLS, VARIABLE
from tests.cli.conftest import Terminal


def offered(terminal: Terminal, monkeypatch: pytest.MonkeyPatch, *words: str) -> list[str]:
    """By the protocol of click's scripts; the last of ``words`` is what is being typed."""
    monkeypatch.setenv(VARIABLE, "bash_complete")
    monkeypatch.setenv("COMP_WORDS", " ".join(("springtide", *words)))
    monkeypatch.setenv("COMP_CWORD", str(len(words)))
    terminal.capture.readouterr()
    with pytest.raises(SystemExit) as left:
        run([], terminal.environ)
    sys.stdout.flush()
    out, err = terminal.capture.readouterr()
    assert (left.value.code, err) == (0, "")
    return [line.removeprefix("plain,") for line in out.split()]


def test_commands_and_options_are_offered(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    assert offered(terminal, monkeypatch, "sch") == ["schedule"]
    assert offered(terminal, monkeypatch, "jobs", "wa") == ["wait"]
    assert offered(terminal, monkeypatch, "invoke", "--as") == ["--async"]


def test_functions_that_are_there_are_offered(terminal: Terminal, api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal.log_in(api.url)
    for name in ("resize", "report", "mail"):
        done = terminal("deploy", name, "--gateway", api.url, "--fprocess", "cat")
        assert done.status == 0, done.err

    assert offered(terminal, monkeypatch, "invoke", "--gateway", api.url, "re") == ["report", "resize"]
    assert offered(terminal, monkeypatch, "remove", "--gateway", api.url, "mail", "repo") == ["report"]


def test_where_no_gateway_answers_nothing_is_offered_and_nothing_said(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert offered(terminal, monkeypatch, "invoke", "--gateway", "http://127.0.0.1:1", "re") == []


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_can_read_its_script(shell: str, terminal: Terminal, tmp_path: Path) -> None:
    done = terminal("completion", shell)
    assert (done.status, done.err) == (0, "")
    file = tmp_path / "script"
    file.write_text(done.out)
    if (program := shutil.which(shell)) is None:
        pytest.skip(f"{shell} is not here")

    read = subprocess.run([program, "-n", str(file)], capture_output=True, text=True, timeout=60, check=False)

    assert (read.returncode, read.stderr) == (0, "")


def test_bash_completes_by_the_script(terminal: Terminal, tmp_path: Path) -> None:
    if (bash := shutil.which("bash")) is None:
        pytest.skip("bash is not here")
    program = tmp_path / "springtide"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m springtide.cli "$@"\n')
    program.chmod(0o755)
    (tmp_path / "script").write_text(terminal("completion", "bash").out)
    typed = f"source {tmp_path}/script; COMP_WORDS=(springtide roll); COMP_CWORD=1; _springtide_completion springtide"

    done = subprocess.run(
        [bash, "--norc", "-c", f'{typed}; echo "${{COMPREPLY[@]}}"'],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        timeout=60,
        check=False,
    )

    assert (done.stdout, done.stderr) == ("rollback\n", "")
