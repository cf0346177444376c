"""Whoever reads a command's output may stop, as ``head`` does: the command ends, and says nothing of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from springtide.cli.command_line import READER_GONE
from tests.cli.test_commands import deployed


def unread(*words: str, environ: Mapping[str, str] = os.environ) -> tuple[int, bytes]:
    """Status, and what was said beside, of one whose output nobody reads."""
    read, write = os.pipe()
    os.close(read)
    try:
        command = [sys.executable, "-m", "springtide.cli", *words]
        done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, env=environ, timeout=600, check=False)
    finally:
        os.close(write)
    return done.returncode, done.stderr


@pytest.mark.parametrize("words", ["--help", "--version", "jobs --help", "completion bash"])
def test_a_command_that_nobody_reads_ends_as_if_by_the_signal(words: str) -> None:
    assert unread(*words.split()) == (READER_GONE, b"")


def test_so_do_those_that_ask_a_gateway(springtide: Any) -> None:
    deployed(springtide)
    logged_in = {**os.environ, **springtide.environ}

    for words in (("list",), ("explain", "echo"), ("describe", "echo"), ("list", "--json")):
        assert unread(*words, environ=logged_in) == (READER_GONE, b""), words


def test_what_failed_is_told_as_ever() -> None:
    status, said = unread("list", "--gateway", "http://127.0.0.1:1")

    assert status == 1
    assert b"no gateway answers" in said
