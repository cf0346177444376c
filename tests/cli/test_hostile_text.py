"""Text that others wrote: on a terminal it is shown and does nothing; in a file it has bounds."""

from __future__ import annotations

import json
import os
import pty
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from springtide.cli import yaml_text
from springtide.cli.command_line import run
from springtide.cli.faas_cli_config import LoginFile
from springtide.cli.terminal_text import lines, one_line
from springtide.runtime.errors import BadInput
from tests.cli.test_commands import deployed

HOSTILE = "\x1b]0;owned\x07\x1b[31mred\x9b2J\r\u202eabc\x7f"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param(HOSTILE, r"\x1b]0;owned\x07\x1b[31mred\x9b2J\r\u202eabc\x7f", id="commands"),
        pytest.param("\ud800", r"\ud800", id="half a character"),
        pytest.param("Grüße, 世界 👩‍👩‍👧 \u00a0", "Grüße, 世界 👩‍👩‍👧 \u00a0", id="letters of all kinds stay"),
    ],
)
def test_what_a_terminal_would_obey_is_spelt_out(text: str, shown: str) -> None:
    assert one_line(text) == lines(text) == shown


def test_only_text_of_several_lines_keeps_its_ends() -> None:
    assert (one_line("a\n\tb"), lines("a\n\tb")) == (r"a\n\tb", "a\n\tb")


def test_logs_and_descriptions_of_a_hostile_function_do_nothing_to_the_terminal(springtide: Any, api: Any) -> None:
    deployed(springtide, "echo", "--annotation", f"note={HOSTILE}", "--env", f"WORD={HOSTILE}")
    api.say("echo", f"said {HOSTILE}\nnext")

    for words in (("logs", "echo"), ("describe", "echo"), ("list",), ("explain", "echo"), ("describe", HOSTILE)):
        outcome = springtide(*words)
        assert not set(outcome.out + outcome.err) & set("\x1b\x07\x9b\r\u202e\x7f"), words
    assert r"said \x1b]0;owned\x07" in springtide("logs", "echo").out
    exact = json.loads(springtide("logs", "echo", "--json").out)["text"]
    assert exact == f"said {HOSTILE}\nnext"


def test_answer_is_text_on_a_terminal_and_bytes_elsewhere(springtide: Any, api: Any) -> None:
    """In a process of its own, which has a terminal."""
    deployed(springtide)
    command = [sys.executable, "-m", "springtide.cli", "invoke", "echo", "-d", "\x1b]0;owned\x07 ü", "-g", api.url]
    child, terminal = pty.fork()
    if child == 0:
        os.execv(command[0], command)  # noqa: S606 - the test's own words

    shown = b""
    try:
        while chunk := os.read(terminal, 4096):
            shown += chunk
    except OSError:  # Linux's way to say that the other end is closed
        pass
    os.waitpid(child, 0)
    os.close(terminal)

    assert rb"\x1b]0;owned\x07" in shown
    assert b"\x1b" not in shown
    assert "ü".encode() in shown


def test_argument_that_is_no_text_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["describe", "\udcff", "-g", "http://127.0.0.1:9"], {}) == 1
    assert "is not text that can be sent" in capsys.readouterr().err


# YAML.

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + level)}: &{chr(98 + level)} [{', '.join([f'*{chr(97 + level)}'] * 9)}]\n" for level in range(9)
)
MERGES = "b0: &b0 {x: y}\n" + "".join(f"b{n}: &b{n} {{<<: [*b{n - 1}, *b{n - 1}]}}\n" for n in range(1, 40))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param(LAUGHS, "more than 50000 values, aliases followed (line 5", id="aliases of aliases"),
        pytest.param(MERGES, "more than 50000 values, aliases followed", id="merges of merges"),
        pytest.param("a: &a [*a]", "an alias, *…, stands for nothing that is whole before it", id="an alias of itself"),
        pytest.param("[" * 20_000, "nested more than 50 levels deep (line 1, column 51)", id="brackets"),
        pytest.param("- " * 20_000 + "x", "nested more than 50 levels deep", id="dashes"),
        pytest.param("{a: " * 20_000, "nested more than 50 levels deep", id="braces"),
        pytest.param("x: " + "y" * 1_000_000, "more than 1000000 characters", id="a large file"),
        pytest.param('a: "\\ud800"', "half of a surrogate pair (line 1, column 4)", id="half a character"),
        pytest.param("? [a]\n: b", "a key must be text", id="a list for a key"),
    ],
)
def test_yaml_out_of_bounds_is_refused_at_once_with_its_place(text: str, why: str, tmp_path: Path) -> None:
    started = time.process_time()
    with pytest.raises(BadInput) as refused:
        yaml_text.load(text, "stack.yaml")

    assert why in str(refused.value)
    assert time.process_time() - started < 5
    config = tmp_path / "config.yml"
    config.write_text(text)
    if "key" not in why:
        with pytest.raises(BadInput, match="repair it or move it away"):
            LoginFile(config).credentials("http://127.0.0.1:8080")


def test_values_with_a_tag_are_the_text_that_was_written() -> None:
    assert yaml_text.load("a: !!int 0755\nb: !!timestamp x\nc: !!binary '*'", "f") == {"a": "0755", "b": "x", "c": "*"}


def test_stack_file_without_an_end_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["deploy", "-f", "/dev/zero"], {}) == 1
    assert "characters" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(("logs", "f", "--since", "9" * 400 + "h"), "write a duration (5m) or a time", id="a past"),
        pytest.param(("logs", "f", "--since", "0001-01-01T00:00:00+14:00"), "write a duration", id="no year"),
        pytest.param(
            ("invoke", "f", "-d", "x", "--timeout", "9" * 400), "is longer than any duration", id="a time-out"
        ),
        pytest.param(("top", "--every", "nan"), "--every nan: write seconds", id="no number"),
        pytest.param(("list", "-g", f"http://a:{'9' * 400}"), "not an address", id="a port"),
        pytest.param(("list", "-g", f"http://{'a' * 300}"), "not an address", id="a host"),
        pytest.param(("secret", "create", "s", "--from-file", "/dev/zero"), "more than 1048576 bytes", id="a secret"),
        pytest.param(("hpa", "f", "-f", "/dev/zero"), "more than 1000000 characters", id="a stack file"),
    ],
)
def test_value_out_of_all_bounds_is_one_sentence(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert run(words, {"OPENFAAS_URL": "http://127.0.0.1:9"}) == 1

    err = capsys.readouterr().err
    assert said in err
    assert err.startswith("springtide: ")
