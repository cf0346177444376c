"""Every command has a page, and roff prints what the command says of itself."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import click
import pytest

from release.manual import escaped, pages
from springtide.cli.command_line import COMMANDS, springtide
from tests.release.repository import DATE_S


def shown(page: str, tmp_path: Path) -> str:
    """As a reader sees it; skips where there is no man."""
    if shutil.which("man") is None or shutil.which("groff") is None:
        pytest.skip("man is not here")
    (tmp_path / "page.1").write_text(page)
    command = ["man", "--warnings=w", "--encoding=UTF-8", "--no-hyphenation", "--no-justification", "--local-file"]
    environ = {
        "PATH": "/usr/bin:/bin",
        "MANWIDTH": "100",
        "LANG": "C.UTF-8",
        "MANPAGER": "cat",
        "MAN_KEEP_FORMATTING": "",
    }
    done = subprocess.run(
        [*command, str(tmp_path / "page.1")], capture_output=True, text=True, timeout=60, env=environ, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return pages(springtide, "springtide", version="1.2.3", date_s=DATE_S)


def test_every_command_has_a_page(made: dict[str, str]) -> None:
    assert {f"springtide-{name}.1" for name in COMMANDS} | {"springtide.1", "springtide-jobs-wait.1"} <= set(made)
    assert all(made.values())


def test_a_page_names_version_and_the_commits_date(made: dict[str, str]) -> None:
    head = made["springtide-invoke.1"].splitlines()[0]

    assert head == r'.TH "SPRINGTIDE\-INVOKE" "1" "2026-01-02" "springtide 1.2.3" "Springtide"'


def test_a_page_shows_usage_options_and_the_command_above_it(made: dict[str, str], tmp_path: Path) -> None:
    text = shown(made["springtide-jobs-wait.1"], tmp_path)

    assert "springtide jobs wait [OPTIONS] ID" in text
    assert "--help" in text
    assert "springtide-jobs(1)" in text


def test_paragraphs_that_are_not_wrapped_stay_as_they_are(made: dict[str, str], tmp_path: Path) -> None:
    assert '       zsh, in ~/.zshrc after compinit:    eval "$(springtide completion zsh)"\n' in shown(
        made["springtide-completion.1"], tmp_path
    )


def test_no_text_is_a_command_to_roff(tmp_path: Path) -> None:
    @click.command(help=".SH is\n\n'no \\fBcommand --here of a-b")
    @click.option("--flag", help=".TP neither")
    def odd() -> None:
        """Never run."""

    text = shown(pages(odd, "odd", version="1", date_s=DATE_S)["odd.1"], tmp_path)

    assert ".SH is" in text
    assert "'no \\fBcommand --here of a-b" in text
    assert ".TP neither" in text


def test_commands_that_are_hidden_have_no_page() -> None:
    group = click.Group("tool", help="A tool.", commands=[click.Command("secret", hidden=True), click.Command("open")])

    assert set(pages(group, "tool", version="1", date_s=DATE_S)) == {"tool.1", "tool-open.1"}


def test_hyphens_can_be_copied() -> None:
    assert escaped("--a\\b") == r"\-\-a\eb"
