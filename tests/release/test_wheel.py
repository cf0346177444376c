"""What a release is made of, built once of this repository's files as they are, and the wheel used as a stranger would.

Its dependencies are those of this environment: whether an index has them is for ``make release`` itself to see.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy.versions import ROOT, project_version
from release import bill, distribution, trial
from release.preconditions import Release
from release.staging import SHELL_FILES, stage
from tests.release.repository import DATE_S, copy_of_this_one


@dataclass(frozen=True)
class Built:
    release: Release
    staged: Path
    sdist: Path
    wheel: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    if shutil.which("git") is None:
        pytest.skip("git is not here")
    repository, staged, out = (tmp_path_factory.mktemp(name) for name in ("repository", "staged", "out"))
    commit = copy_of_this_one(repository)
    release = Release(repository, project_version(), commit, DATE_S, "- [FEATURE] This.")
    stage(release, staged)
    return Built(release, staged, *distribution.build(release, staged, out))


@pytest.fixture(scope="module")
def environment(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the wheel, by pip; dependencies are found where this interpreter has them, but nothing of ours is."""
    target = tmp_path_factory.mktemp("environment")
    venv.create(target, symlinks=True)
    python = target / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    done = subprocess.run([*pip, str(built.wheel)], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    (packages,) = target.glob("lib/*/site-packages")
    # A folder that is named so is not looked at for more such files, as that of an editable installation is.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return target


def test_the_wheel_is_enough_to_run_the_suite_and_call_functions(
    built: Built, environment: Path, tmp_path: Path
) -> None:
    seen = trial.use(built.release, environment, tmp_path)

    assert seen[0] == f"springtide {built.release.version} (commit {built.release.commit[:12]} of 2026-01-02)"
    assert "springtide invoke hello --async --wait: Hello, world!" in seen
    assert seen[-1] == "springtide up: ended when it was told to"


def test_the_wheel_has_every_file_of_its_packages(built: Built) -> None:
    """Pages, rules, samples, stamps: all that Git has below them."""
    with zipfile.ZipFile(built.wheel) as wheel:
        packed = set(wheel.namelist())
    folders = [link for link in (built.staged / "src" / "springtide").iterdir() if link.is_symlink()]
    wanted = {
        f"springtide/{folder.name}/{path.relative_to(folder.resolve())}"
        for folder in folders
        for path in folder.resolve().rglob("*")
        if path.is_file()
    }

    assert len(wanted) > 500
    assert wanted - packed == set()
    assert {f"springtide-{built.release.version}.data/data/{path}" for path in SHELL_FILES.values()} <= packed


def test_everything_in_the_wheel_is_of_the_commits_time_and_readable_by_all(built: Built) -> None:
    """So that it is the same bytes, whenever and with whatever umask it is built."""
    expected = datetime.fromtimestamp(DATE_S, UTC).timetuple()[:6]
    with zipfile.ZipFile(built.wheel) as wheel:
        entries = wheel.infolist()

    assert {entry.date_time[:5] for entry in entries} == {expected[:5]}  # a zip knows two seconds apart
    assert {entry.external_attr >> 16 & 0o777 for entry in entries} <= {0o644, 0o755, 0o664}


def test_everything_in_the_source_distribution_is_of_the_commits_time_and_nobodys(built: Built) -> None:
    with tarfile.open(built.sdist) as sdist:
        entries = sdist.getmembers()

    assert {(entry.mtime, entry.uid, entry.uname, entry.mode) for entry in entries} == {(DATE_S, 0, "", 0o644)}
    assert [entry.name for entry in entries] == sorted(entry.name for entry in entries)


def test_both_are_what_a_package_index_takes(built: Built) -> None:
    command = [sys.executable, "-m", "twine", "--no-color", "check", "--strict", str(built.sdist), str(built.wheel)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert (done.returncode, done.stdout.count("PASSED")) == (0, 2), done.stdout + done.stderr


def test_the_bill_is_of_every_extra_that_users_install() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    listed, next_ = set(), bill.EXTRAS.split(",")
    while next_:
        listed |= {name := next_.pop()}
        next_ += [more for line in extras[name] for more in re.findall(r"^springtide\[([a-z]+)\]$", line)]

    assert set(extras) - listed == {"test", "lint", "docs", "fuzz", "release"}


def test_the_bill_lists_what_is_installed_and_nothing_of_this_machine(
    built: Built, environment: Path, tmp_path: Path
) -> None:
    text = bill.write(built.release, environment / "bin" / "python", built.staged, tmp_path).read_text()
    listed = json.loads(text)

    assert listed["bomFormat"] == "CycloneDX"
    assert (listed["metadata"]["component"]["name"], listed["metadata"]["component"]["version"]) == (
        "springtide",
        built.release.version,
    )
    assert {"click", "httpx", "uvloop"} <= {component["name"] for component in listed["components"]}
    assert str(environment) not in text
    assert "timestamp" not in listed["metadata"]
