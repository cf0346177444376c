"""The same files are the same bytes; what Helm would pack is what we pack."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import yaml

from release import chart
from release.archives import read_tar_gz, write_tar_gz
from release.preconditions import Release
from tests.release.repository import DATE_S, ROOT

RELEASE = Release(ROOT, "0.1.0", "0" * 40, DATE_S, "")


def test_order_and_place_of_writing_do_not_show(tmp_path: Path) -> None:
    one, other = tmp_path / "one.tar.gz", tmp_path / "other.tgz"
    write_tar_gz(one, {"a/b": b"1", "a/c": b"2"}, date_s=DATE_S)
    write_tar_gz(other, {"a/c": b"2", "a/b": b"1"}, date_s=DATE_S)

    assert one.read_bytes() == other.read_bytes()
    assert read_tar_gz(one) == {"a/b": b"1", "a/c": b"2"}


def test_the_time_is_the_commits(tmp_path: Path) -> None:
    one, other = tmp_path / "one.tgz", tmp_path / "other.tgz"
    write_tar_gz(one, {"a": b"1"}, date_s=DATE_S)
    write_tar_gz(other, {"a": b"1"}, date_s=DATE_S + 1)

    assert one.read_bytes() != other.read_bytes()


def test_the_chart_is_packed_as_helm_packs_it(tmp_path: Path) -> None:
    if importlib.util.find_spec("helm_python") is None:
        pytest.skip("helm-python-sdk is not installed: there is none for this machine")
    import helm_python

    (tmp_path / "helms").mkdir()
    theirs = Path(helm_python.package(ROOT / "deploy" / "chart", destination=tmp_path / "helms"))
    ours = chart.package(RELEASE, ROOT, tmp_path)
    packed, expected = read_tar_gz(ours), read_tar_gz(theirs)
    about = "springtide/Chart.yaml"

    assert ours.name == theirs.name
    assert yaml.safe_load(packed.pop(about)) == yaml.safe_load(expected.pop(about))  # Helm writes it anew
    assert packed == expected
    assert helm_python.lint(ours)["errors"] == []


def test_what_helm_ignores_is_not_packed(tmp_path: Path) -> None:
    for name in ("Chart.yaml", ".helmignore", ".git/config", "values.yaml.orig", "templates/a.yaml", "templates/b.tmp"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    assert [str(path) for path in chart.files_of(tmp_path)] == ["Chart.yaml", "templates/a.yaml"]
    assert (ROOT / "deploy" / "chart" / ".helmignore").read_text().split() == [".*", "*.orig", "*.tmp"]
