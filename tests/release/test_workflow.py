"""The workflow that makes a release of a tag signs by a key that is in an agent, and in no file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.versions import project_version
from release.signing import write_sums
from tests.release import test_signing
from tests.release.repository import ROOT

WORKFLOW = ROOT / ".github" / "workflows" / "release.yml"
MAKE = f"""#!/bin/sh
env > "$SEEN"
exec "{sys.executable}" -c '
import sys
from pathlib import Path
from release.signing import SUMS, sign
words = sys.argv[2].removeprefix("RELEASE_ARGS=").split()
assert words[0] == "--signing-key", words
sign(Path(sys.argv[3]) / SUMS, Path(words[1]))
' "$@" "$OUT"
"""
"""Signs what there is, as a release does."""

key, out = test_signing.key, test_signing.out


def steps() -> dict[str, dict[str, Any]]:
    read = yaml.safe_load(WORKFLOW.read_text())
    return {step["name"]: step for step in read["jobs"]["release"]["steps"] if "name" in step}


def ended(socket: Path) -> bool:
    """Whether the agent there is gone: it takes its socket along."""
    deadline = time.monotonic() + 60.0
    while socket.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return not socket.exists()


def test_checksums_are_signed_by_a_key_that_no_file_and_no_later_program_has(
    key: Path, out: Path, tmp_path: Path
) -> None:
    if shutil.which("ssh-agent") is None:
        pytest.skip("ssh-agent is not here")
    programs, runner = tmp_path / "bin", tmp_path / "runner"
    programs.mkdir()
    runner.mkdir()
    (programs / "make").write_text(MAKE)
    (programs / "make").chmod(0o755)
    write_sums(out)
    private = key.read_text()
    key.unlink()
    environ = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    environ |= {"OUT": str(out), "SEEN": str(tmp_path / "seen"), "RUNNER_TEMP": str(runner), "SIGNING_KEY": private}

    script = steps()["Build, try and sign"]["run"]
    done = subprocess.run(
        ["bash", "-e", "-c", script], env=environ, capture_output=True, text=True, timeout=600, check=False
    )

    assert done.returncode == 0, done.stderr
    assert test_signing.verified(out, key)
    seen = dict(line.split("=", 1) for line in (tmp_path / "seen").read_text().splitlines() if "=" in line)
    assert "SIGNING_KEY" not in seen
    assert ended(Path(seen["SSH_AUTH_SOCK"]))
    assert [path for path in tmp_path.rglob("*") if path.is_file() and "PRIVATE KEY" in path.read_text()] == []


def test_without_the_secret_it_ends_and_says_which(tmp_path: Path) -> None:
    script = steps()["Build, try and sign"]["run"]
    environ = {**os.environ, "SIGNING_KEY": "", "RUNNER_TEMP": str(tmp_path)}
    done = subprocess.run(
        ["bash", "-e", "-c", script], env=environ, capture_output=True, text=True, timeout=600, check=False
    )

    assert (done.returncode, "no secret RELEASE_SIGNING_KEY" in done.stdout) == (1, True)


@pytest.mark.parametrize(("tag", "status"), [("v{version}", 0), ("v{version}0", 1), ("v9.9.9", 1)])
def test_a_tag_of_another_version_is_none(tag: str, status: int) -> None:
    version = project_version()
    environ = {**os.environ, "GITHUB_REF_NAME": tag.format(version=version)}
    script = steps()["The tag is the version's"]["run"]

    assert (
        subprocess.run(["bash", "-e", "-c", script], cwd=ROOT, env=environ, timeout=60, check=False).returncode
        == status
    )


def test_a_release_is_made_only_where_every_test_passed() -> None:
    read = yaml.safe_load(WORKFLOW.read_text())

    assert read["jobs"]["test"] == {"uses": "./.github/workflows/test.yml"}
    assert read["jobs"]["release"]["needs"] == "test"
    assert read["permissions"] == {"contents": "read"}
