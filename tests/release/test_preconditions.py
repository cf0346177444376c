"""A version is released from a commit, once, with its changes told; or all that is against it is said."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from deploy.versions import FILES, ROOT
from release.__main__ import main
from release.errors import Refused
from release.preconditions import Release, examine
from tests.release.repository import DATE_S, committed, git

CHANGES = "# Changelog\n\n## Unreleased\n\n## 1.2.3\n\n- [FEATURE] This.\n\n## 1.2.2\n\n- [FEATURE] That.\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Version 1.2.3, ready to be released."""
    if shutil.which("git") is None:
        pytest.skip("git is not here")
    root = tmp_path / "checkout"
    root.mkdir()
    (root / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    (root / "CHANGELOG.md").write_text(CHANGES)
    for path in FILES:
        copy = root / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text("version: 1.2.3\n")
    committed(root)
    return root


def reasons(root: Path) -> tuple[str, ...]:
    with pytest.raises(Refused) as refused:
        examine(root)
    return refused.value.reasons


def test_a_release_is_a_commit_with_its_time_and_its_changes(checkout: Path) -> None:
    commit = git(checkout, "rev-parse", "HEAD")

    assert examine(checkout) == Release(checkout, "1.2.3", commit, DATE_S, "- [FEATURE] This.")


def test_files_that_are_not_as_committed_are_named(checkout: Path) -> None:
    (checkout / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n\n')
    (checkout / "stray").touch()

    (reason,) = reasons(checkout)

    assert reason == "not as committed: pyproject.toml, stray; commit or remove that"


def test_many_files_are_counted(checkout: Path) -> None:
    for number in range(8):
        (checkout / f"stray{number}").touch()

    (reason,) = reasons(checkout)

    assert "stray4 and 3 more;" in reason
    assert "stray5" not in reason


@pytest.mark.parametrize("kind", [(), ("--annotate", "--message", "1.2.3")], ids=["light", "annotated"])
def test_a_version_is_released_of_one_commit(checkout: Path, kind: tuple[str, ...]) -> None:
    git(checkout, "tag", *kind, "v1.2.3")
    tagged = examine(checkout).commit
    git(checkout, "commit", "--quiet", "--allow-empty", "--message", "second")

    (reason,) = reasons(checkout)

    assert reason.startswith(f"the tag v1.2.3 is there already, at commit {tagged[:12]}")


def test_another_versions_tag_is_no_hindrance(checkout: Path) -> None:
    git(checkout, "tag", "v1.2.2")

    assert examine(checkout).tag == "v1.2.3"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param("## 1.2.2\n\n- old\n", "has nothing below `## 1.2.3`", id="no section"),
        pytest.param("## 1.2.3\n\n## 1.2.2\n\n- old\n", "has nothing below `## 1.2.3`", id="an empty one"),
        pytest.param("## 1.2.30\n\n- other\n", "has nothing below `## 1.2.3`", id="one that only begins like it"),
        pytest.param("## Unreleased\n\n- late\n\n## 1.2.3\n\n- new\n", "below `## Unreleased`", id="not all moved"),
    ],
)
def test_changes_have_to_be_told(checkout: Path, changes: str, expected: str) -> None:
    (checkout / "CHANGELOG.md").write_text(changes)
    git(checkout, "commit", "--quiet", "--all", "--message", "second")

    (reason,) = reasons(checkout)

    assert expected in reason


def test_a_chart_of_another_version_is_not_released(checkout: Path) -> None:
    chart = FILES[0].relative_to(ROOT)
    (checkout / chart).write_text("version: 1.2.2\n")
    git(checkout, "commit", "--quiet", "--all", "--message", "second")

    (reason,) = reasons(checkout)

    assert reason == f"{chart}: not version 1.2.3; run: python -m deploy"


def test_everything_against_it_is_said_at_once(checkout: Path) -> None:
    git(checkout, "tag", "v1.2.3")
    git(checkout, "commit", "--quiet", "--allow-empty", "--message", "second")
    (checkout / "CHANGELOG.md").write_text("")

    with pytest.raises(Refused) as refused:
        examine(checkout, ["no signing key"])

    assert [reason.split(":")[0].split()[0] for reason in refused.value.reasons] == ["not", "the", "CHANGELOG.md", "no"]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="these are exported sources")
def test_without_a_key_nothing_is_built_and_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RELEASE_SIGNING_KEY", raising=False)

    done = CliRunner().invoke(main, ["--out", str(tmp_path / "out")])

    assert done.exit_code == 1
    assert "release: refused: no signing key: name one with --signing-key or RELEASE_SIGNING_KEY" in done.output
    assert not (tmp_path / "out").exists()
