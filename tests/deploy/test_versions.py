from __future__ import annotations

from pathlib import Path

from deploy.versions import FILES, project_version, with_version


def test_a_new_version_in_pyproject_is_written_wherever_one_is_stated(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "7.8.9rc1"\n')
    now = project_version()
    chart, containerfile, document = (with_version(path.read_text(), tmp_path) for path in FILES)

    assert "\nversion: 7.8.9rc1\nappVersion: 7.8.9rc1\n" in chart
    assert "\nARG VERSION=7.8.9rc1\n" in containerfile
    assert "registry.example/springtide:7.8.9rc1" in document
    assert now not in f"{chart}{containerfile}"


def test_other_versions_stay(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "7.8.9"\n')
    text = 'apiVersion: v2\nkubeVersion: ">=1.29.0-0"\nARG PYTHON=docker.io/library/python:3.11-slim\n'

    assert with_version(text, tmp_path) == text
