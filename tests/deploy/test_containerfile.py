"""The container file by its rules, and the set of files it installs by running it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from springtide.triggers.sources import kinds
from tests.deploy.installations import containers, named

ROOT = Path(__file__).parents[2]
FILE = ROOT / "deploy" / "Containerfile"
PARTS = (
    "gateway",
    "kubernetes-provider",
    "alert-receiver",
    "scaler",
    "queue-worker",
    "cron",
    "connector",
    "idler",
    "console",
    "cluster-credentials",
)


def _instructions() -> list[tuple[str, str]]:
    text = re.sub(r"\\\n\s*", " ", FILE.read_text())
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines]


def _last_stage() -> list[tuple[str, str]]:
    steps = _instructions()
    return steps[max(index for index, (name, _) in enumerate(steps) if name == "FROM") :]


def _packages() -> set[str]:
    """The folder of links that make one package of the others, and what it links to."""
    return {"src", *(link.name for link in (ROOT / "src" / "springtide").iterdir() if link.is_symlink())}


def test_every_package_is_copied_and_nothing_else_of_the_sources() -> None:
    copied = {text.split("/", 1)[0] for name, text in _instructions() if name == "COPY" and text.count("/") == 2}
    allowed = {line[1:] for line in (ROOT / ".containerignore").read_text().splitlines() if line.startswith("!")}

    assert copied == _packages()
    assert allowed == _packages() | {"pyproject.toml", "README.md", "LICENSE"}


def test_the_image_has_what_every_kind_of_source_needs() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (asked,) = {found[1] for _, text in _instructions() if (found := re.search(r"'\.\[([a-z,]+)\]'", text))}
    there, next_ = set(), asked.split(",")
    while next_:
        there |= {name := next_.pop()}
        next_ += [more for line in extras[name] for more in re.findall(r"^springtide\[([a-z]+)\]$", line)]

    assert {known.extra for known in kinds.KINDS.values() if known.extra} <= there
    assert {"async", "nkeys", "otel"} <= there


def test_builders_leave_out_the_same_whatever_their_file_is_called() -> None:
    assert (ROOT / ".dockerignore").read_text() == (ROOT / ".containerignore").read_text()


def test_the_image_runs_as_the_user_that_the_pods_say() -> None:
    user = dict(_last_stage())["USER"]
    pod = named("defaults", "Deployment", "gateway")["spec"]["template"]["spec"]

    assert user == f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}"
    assert pod["securityContext"]["runAsUser"] != 0


def test_the_image_starts_parts_by_their_names_without_a_shell() -> None:
    steps = dict(_last_stage())

    assert steps["ENTRYPOINT"] == '["springtide"]'
    assert "CMD" not in steps
    assert containers(named("defaults", "Deployment", "idler"))[0]["args"] == ["idler"]


def test_the_last_stage_runs_no_installer() -> None:
    names = [name for name, _ in _last_stage()]

    assert names.count("COPY") == 1
    assert "RUN" not in names
    assert "ADD" not in [name for name, _ in _instructions()]


def test_bases_have_a_tag_and_can_be_replaced() -> None:
    steps = _instructions()

    assert steps[0] == ("ARG", "PYTHON=docker.io/library/python:3.11-slim")
    assert [text.split()[0] for name, text in steps if name == "FROM"] == ["${PYTHON}", "${PYTHON}"]


def test_the_image_is_labelled_with_the_projects_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    steps = dict(_last_stage())

    assert steps["ARG"] == f"VERSION={project['version']}"
    assert 'org.opencontainers.image.version="${VERSION}"' in steps["LABEL"]
    assert f'org.opencontainers.image.licenses="{project["license"]}"' in steps["LABEL"]


def test_dependencies_are_installed_of_what_is_copied_before(tmp_path: Path) -> None:
    """What the step does before pip, and what pip asks of the sources then."""
    for name, text in _instructions():
        if name == "COPY":
            for file in text.split()[:-1]:
                shutil.copy(ROOT / file, tmp_path)
        if "pip install" in text:
            step = re.sub(r"^(.*)/opt/springtide/bin/python -m pip install.*$", r"\1", text)
            break
    asked = "from setuptools.build_meta import get_requires_for_build_wheel as asked; asked()"  # as pip asks first
    done = subprocess.run(
        ["sh", "-c", f"{step}{sys.executable} -c '{asked}'"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )

    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The distribution alone, built from what the container file copies, in a folder of its own."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    for name in _packages():
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run(
        [*command, "--target", target, source], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return target


@pytest.mark.parametrize("part", PARTS)
def test_parts_start_from_what_is_installed(installed: Path, part: str) -> None:
    """Without the sources, a home or anything else that an image does not have."""
    program = f"import sys; sys.path.insert(0, {str(installed)!r}); from springtide.cli.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, part, "--help"],
        cwd="/",
        env={"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert f"springtide {part}" in done.stdout


def test_files_that_are_no_modules_are_installed_too(installed: Path) -> None:
    """Pages, samples, rules: all that git has below the packages."""
    suffixes = {".html", ".css", ".js", ".svg", ".json", ".yml", ".yaml", ".typed"}
    there = {
        path.relative_to(ROOT)
        for name in _packages() - {"src"}
        for path in (ROOT / name).rglob("*")
        if path.suffix in suffixes
    }
    lacking = {path for path in there if not (installed / "springtide" / path).is_file()}

    assert len(there) > 20
    # Promtool's cases are tests.
    assert {path for path in lacking if path.parts[:2] != ("rules", "tests")} == set()
