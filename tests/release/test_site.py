"""The folder of all versions: which are listed, in which order, and where its readers land."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from release import site


def folder_with(tmp_path: Path, *names: str) -> Path:
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "index.html").touch()
    return tmp_path


def listed(folder: Path) -> list[dict[str, Any]]:
    return list(json.loads((folder / site.LIST).read_text()))


def test_versions_are_listed_newest_first_as_the_theme_reads_them(tmp_path: Path) -> None:
    site.index(folder_with(tmp_path, "0.9.0", "0.10.0", "dev", "0.11.0rc1"))

    assert [one["version"] for one in listed(tmp_path)] == ["0.10.0", "0.9.0", "0.11.0rc1", "dev"]
    assert [one["aliases"] for one in listed(tmp_path)] == [["latest"], [], [], []]
    assert 'url=0.10.0/"' in (tmp_path / "index.html").read_text()


def test_what_is_no_version_is_not_listed(tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()

    assert site.index(folder_with(tmp_path, "0.1.0")) == ["0.1.0"]


@pytest.mark.parametrize("name", ["..", "../0.1.0", ".hidden", "0.1.0/x", "a" * 65, ""])
def test_a_version_is_a_folders_name(name: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(site.main, ["--into", str(tmp_path / "site"), "--", name])

    assert done.exit_code == 2
    assert "names no version" in done.output
    assert not (tmp_path / "site").exists()


def test_a_version_has_the_pages_and_the_theme_looks_for_the_list(tmp_path: Path) -> None:
    done = CliRunner().invoke(site.main, ["1.2.3", "--into", str(tmp_path)])
    assert done.exit_code == 0, done.output

    page = (tmp_path / "1.2.3" / "index.html").read_text()

    assert '"provider": "mike"' in page
    assert [one["version"] for one in listed(tmp_path)] == ["1.2.3"]
