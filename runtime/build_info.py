"""What is running: the version, and the commit it was built from.

The version is the installed distribution's, which has it from pyproject.toml. The commit is in ``build_stamp.json``,
where Git writes it whenever it exports the sources (``export-subst``), as a release does. In a checkout the file has
Git's placeholders still, and Git can be asked.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

STAMP = Path(__file__).with_name("build_stamp.json")
PACKAGE = Path(__file__).parents[1]
"""Where springtide is imported from: ``src/springtide`` in a checkout."""
NOT_INSTALLED = "not installed"
GIT_DEADLINE_S = 5.0
SHOWN_DIGITS = 12
"""Of a commit's 40."""


@dataclass(frozen=True, slots=True)
class Commit:
    digits: str
    date: str
    """When it was committed, by ISO 8601."""
    changed: bool = False
    """The files are not as committed."""

    def __str__(self) -> str:
        changed = ", with changes" if self.changed else ""
        return f"commit {self.digits[:SHOWN_DIGITS]} of {self.date[: len('2000-01-01')]}{changed}"


def version() -> str:
    try:
        return metadata.version("springtide")
    except metadata.PackageNotFoundError:
        return NOT_INSTALLED


def described(stamp: Path = STAMP, package: Path = PACKAGE) -> str:
    """The version with the commit, or with why that is not known."""
    commit = stamped(stamp) or checked_out(package)
    unknown = "commit unknown: neither from a release nor in a checkout that git can read"
    return f"{version()} ({commit or unknown})"


def stamped(stamp: Path) -> Commit | None:
    """What Git wrote when it exported the sources; None if it did not, or the file is not there or damaged."""
    try:
        text = json.loads(stamp.read_text())
        digits, date = text["commit"], text["date"]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return None if "$Format" in f"{digits}{date}" else Commit(str(digits), str(date))


def checked_out(package: Path) -> Commit | None:
    """What Git says of the checkout whose ``src`` the package is in; None without one, or without git."""
    root = package.parent.parent
    if package.parent.name != "src" or not (root / ".git").exists():
        return None
    try:
        digits, _, date = _git(root, "show", "--no-patch", "--format=%H %cI", "HEAD").strip().partition(" ")
        return Commit(digits, date, changed=bool(_git(root, "status", "--porcelain", "--untracked-files=no")))
    except (OSError, subprocess.SubprocessError):
        return None


def _git(root: Path, *words: str) -> str:
    # Named, so that a hook's GIT_DIR does not count.
    command = ["git", "--no-optional-locks", f"--git-dir={root / '.git'}", f"--work-tree={root}", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_DEADLINE_S, check=True)
    return done.stdout
