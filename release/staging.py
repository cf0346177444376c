"""A folder with the commit's files and those that a release adds: the manual and the shells' completions."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

from release import manual
from release.preconditions import Release
from release.programs import run
from springtide.cli.command_line import springtide
from springtide.cli.commands.completion import PROGRAM, script

SHELL_FILES = {
    "bash": Path("share/bash-completion/completions/springtide"),
    "zsh": Path("share/zsh/site-functions/_springtide"),
    "fish": Path("share/fish/vendor_completions.d/springtide.fish"),
}
"""Where each shell looks below a prefix; pyproject.toml installs them there."""
MANUAL = Path("share/man/man1")


def stage(release: Release, folder: Path) -> None:
    """Fill the empty ``folder``. Raises Failed."""
    exported = run(["git", "-C", release.root, "archive", "--format=tar", release.commit])
    with tarfile.open(fileobj=io.BytesIO(exported)) as archive:
        archive.extractall(folder, filter="data")
    texts = {MANUAL / name: text for name, text in _manual(release).items()}
    texts |= {path: script(shell, springtide) + "\n" for shell, path in SHELL_FILES.items()}
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    set_times(folder, release.date_s)


def _manual(release: Release) -> dict[str, str]:
    return manual.pages(springtide, PROGRAM, version=release.version, date_s=release.date_s)


def set_times(folder: Path, date_s: int) -> None:
    """Of all files in it, and for all builders that go by those."""
    for path in sorted(folder.rglob("*")):
        os.utime(path, (date_s, date_s), follow_symlinks=False)
