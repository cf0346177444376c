"""Which build this is."""

from __future__ import annotations

from pathlib import Path

import pytest

from springtide.runtime.build_version import Version

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("noted", "sha"),
    [
        pytest.param(
            f'{{"url": "x", "vcs_info": {{"vcs": "git", "commit_id": "{COMMIT}"}}}}', COMMIT, id="a repository"
        ),
        pytest.param('{"url": "file:///src", "dir_info": {}}', "1.2", id="a folder"),
        pytest.param("[", "1.2", id="nonsense"),
        pytest.param(None, "1.2", id="an index"),
    ],
)
def test_sha_is_the_commit_that_was_installed_or_the_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noted: str | None, sha: str
) -> None:
    folder = tmp_path / "springtide-1.2.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: springtide\nVersion: 1.2\n")
    if noted is not None:
        (folder / "direct_url.json").write_text(noted)
    monkeypatch.syspath_prepend(str(tmp_path))

    assert Version.installed() == Version("1.2", sha)


def test_version_without_a_commit_has_a_sha_all_the_same() -> None:
    assert Version("dev").sha == "dev"
