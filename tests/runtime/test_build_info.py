"""What --version says of a checkout, of what Git exported, and of neither."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from springtide.runtime.build_info import STAMP, Commit, checked_out, described, stamped, version

DATE = "2026-01-02T03:04:05+00:00"
ROOT = Path(__file__).parents[2]


def git(folder: Path, *words: str) -> bytes:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environ |= {"GIT_AUTHOR_DATE": DATE, "GIT_COMMITTER_DATE": DATE, "GIT_CONFIG_GLOBAL": os.devnull}
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@example.org", *words]
    return subprocess.run(command, check=True, capture_output=True, env=environ, timeout=60).stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with the stamp in a package below src, and nothing else."""
    if shutil.which("git") is None:
        pytest.skip("git is not here")
    package = tmp_path / "checkout" / "src" / "springtide"
    (package / "runtime").mkdir(parents=True)
    shutil.copy(STAMP, package / "runtime" / STAMP.name)
    root = package.parents[1]
    attributes = (ROOT / ".gitattributes").read_text().replace("runtime/", "src/springtide/runtime/")
    (root / ".gitattributes").write_text(attributes)
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "first")
    return root


def digits(checkout: Path) -> str:
    return git(checkout, "rev-parse", "HEAD").decode().strip()


def said(checkout: Path) -> str:
    package = checkout / "src" / "springtide"
    return described(package / "runtime" / STAMP.name, package)


def test_a_checkout_tells_its_commit(checkout: Path) -> None:
    assert checked_out(checkout / "src" / "springtide") == Commit(digits(checkout), DATE)
    assert said(checkout) == f"{version()} (commit {digits(checkout)[:12]} of 2026-01-02)"


def test_a_checkout_whose_files_were_changed_says_so(checkout: Path) -> None:
    (checkout / ".gitattributes").write_text("")

    assert said(checkout) == f"{version()} (commit {digits(checkout)[:12]} of 2026-01-02, with changes)"


def test_what_git_exports_carries_its_commit(checkout: Path, tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(git(checkout, "archive", "HEAD"))) as archive:
        archive.extractall(tmp_path / "exported", filter="data")
    package = tmp_path / "exported" / "src" / "springtide"

    assert stamped(package / "runtime" / STAMP.name) == Commit(digits(checkout), DATE)
    assert said(tmp_path / "exported") == f"{version()} (commit {digits(checkout)[:12]} of 2026-01-02)"


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="these are exported sources")
def test_the_stamp_in_a_checkout_says_nothing() -> None:
    assert stamped(STAMP) is None


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(None, id="no file"),
        pytest.param("{", id="no JSON"),
        pytest.param("[]", id="no object"),
        pytest.param('{"commit": "abc"}', id="no date"),
        pytest.param('{"commit": "$Format:%H$", "date": "$Format:%cI$"}', id="not exported by Git"),
    ],
)
def test_where_nothing_tells_the_commit_that_is_said(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / STAMP.name).write_text(text)

    told = described(tmp_path / STAMP.name, tmp_path)

    assert told == f"{version()} (commit unknown: neither from a release nor in a checkout that git can read)"


def test_a_checkout_that_git_cannot_read_tells_no_commit(checkout: Path) -> None:
    (checkout / ".git" / "HEAD").write_text("nonsense")

    assert checked_out(checkout / "src" / "springtide") is None
