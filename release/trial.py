"""The wheel as a stranger meets it: an empty environment, an empty home, and nothing of the repository around."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import venv
from collections.abc import Mapping
from pathlib import Path

from release.errors import Failed
from release.preconditions import Release
from release.programs import MAX_TOLD_CHARS, run
from release.staging import MANUAL, SHELL_FILES

READY_DEADLINE_S = 120.0
END_DEADLINE_S = 60.0
PORTS = ("gateway", "metrics", "prometheus", "alertmanager", "nats")
EXPECTED = b"Hello, world!"


def install(wheel: Path, folder: Path) -> Path:
    """Into a new environment, by pip and from its index, with asynchronous calls; its folder. Raises Failed."""
    target = folder / "environment"
    venv.create(target, symlinks=True)  # without pip, which would be in the bill of materials
    add(wheel, "async", target)
    return target


def add(wheel: Path, extras: str, environment: Path) -> None:
    """Whatever of ``extras`` is not there yet; what is stays in its version. Raises Failed."""
    pip: list[str | Path] = [sys.executable, "-m", "pip", "--python", environment / "bin" / "python"]
    run([*pip, "install", "--quiet", "--disable-pip-version-check", f"{wheel}[{extras}]"])
    # What pip notes of where a file came from is a path of this machine, and would be in the bill of materials.
    for noted in environment.glob("lib/*/site-packages/springtide-*.dist-info/direct_url.json"):
        noted.unlink()


def use(release: Release, environment: Path, folder: Path) -> list[str]:
    """What was seen to work, a line each. Raises Failed."""
    home, here = folder / "home", folder / "here"
    home.mkdir()
    here.mkdir()
    program = environment / "bin" / "springtide"
    environ = {"HOME": str(home), "PATH": f"{environment / 'bin'}:{os.defpath}", "LANG": "C.UTF-8"}
    seen = [_version(release, program, environ, here), _files(environment)]
    with _Suite(program, environ, here) as suite:
        seen.append(f"springtide up: ready in {suite.ready_s:.1f} s")
        for words in (["invoke", "hello"], ["invoke", "hello", "--async", "--wait"]):
            answer = run([program, *words], folder=here, environ=environ)
            if EXPECTED not in answer:
                raise Failed(f"springtide {' '.join(words)}: answered {answer[:200]!r}, not {EXPECTED!r}")
            seen.append(f"springtide {' '.join(words)}: {EXPECTED.decode()}")
    seen.append("springtide up: ended when it was told to")
    return seen


def _version(release: Release, program: Path, environ: Mapping[str, str], here: Path) -> str:
    told = run([program, "--version"], folder=here, environ=environ).decode().strip()
    if not told.startswith(f"springtide {release.version} (commit {release.commit[:7]}"):
        raise Failed(f"springtide --version: says {told!r}, and this is {release.version} of {release.commit}")
    return told


def _files(environment: Path) -> str:
    wanted = (MANUAL / "springtide.1", *SHELL_FILES.values())
    lacking = [str(path) for path in wanted if not (environment / path).is_file()]
    if lacking:
        raise Failed(f"the wheel installs no {', '.join(lacking)}")
    pages = len(list((environment / MANUAL).glob("*.1")))
    return f"{pages} pages of the manual, completion for {', '.join(SHELL_FILES)}"


class _Suite:
    """``springtide up`` on free ports, from when it is ready until it has ended."""

    def __init__(self, program: Path, environ: Mapping[str, str], here: Path) -> None:
        ports = [word for port in PORTS for word in (f"--{port}-port", "0")]
        self._command = [str(program), "up", "--json", *ports]
        self._environ, self._here = dict(environ), here
        self._errors = here / "up.log"

    def __enter__(self) -> _Suite:
        began = time.monotonic()
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=errors, cwd=self._here, env=self._environ
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
        self.ready_s = time.monotonic() - began
        return self

    def _wait_until_ready(self) -> None:
        assert self._process.stdout is not None
        late = threading.Timer(READY_DEADLINE_S, self._process.kill)
        late.start()
        try:
            for line in self._process.stdout:
                if json.loads(line).get("event") == "ready":
                    return
        finally:
            late.cancel()
        raise Failed(f"springtide up: not ready within {READY_DEADLINE_S:g} s, or it ended\n{self._said()}")

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.communicate(timeout=END_DEADLINE_S)
        except subprocess.TimeoutExpired as error:
            self._process.kill()
            self._process.wait()
            raise Failed(f"springtide up: did not end within {END_DEADLINE_S:g} s of Ctrl-C") from error
        if self._process.returncode != 0:
            raise Failed(f"springtide up: ended with status {self._process.returncode}\n{self._said()}")

    def _said(self) -> str:
        return self._errors.read_text(errors="replace")[-MAX_TOLD_CHARS:]
