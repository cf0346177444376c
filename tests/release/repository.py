"""Repositories of a test's own: what is released is what Git has."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

DATE_S = 1_767_323_045
ROOT = Path(__file__).parents[2]

ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | {
    "GIT_AUTHOR_DATE": f"{DATE_S} +0000",
    "GIT_COMMITTER_DATE": f"{DATE_S} +0000",
    "GIT_CONFIG_GLOBAL": os.devnull,
}


def git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@example.org", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=ENVIRON, timeout=60).stdout.strip()


def committed(folder: Path) -> str:
    """All that is in the ``folder``, as a new repository's first commit; its digits."""
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "first")
    return git(folder, "rev-parse", "HEAD")


def copy_of_this_one(folder: Path) -> str:
    """A repository with this one's files as they are now, what is not committed included; its commit's digits."""
    for name in git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"):
        source, target = ROOT / name, folder / name
        if name and os.path.lexists(source):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    return committed(folder)
