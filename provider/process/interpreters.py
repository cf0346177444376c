"""The Python interpreters of this machine, and which of them a function may have."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from springtide.runtime.errors import BadInput

OLDEST = (3, 9)
"""The oldest that runs the watchdog."""
MINORS = range(OLDEST[1], 30)
ASK_TIMEOUT_S = 20.0
_QUESTION = (
    "import sys, sysconfig\n"
    "print(sys.implementation.name, '.'.join(map(str, sys.version_info[:3])), sysconfig.get_platform())"
)

_CLAUSE = re.compile(r"(?P<how>===|~=|==|!=|<=|>=|<|>)\s*(?P<number>\d+(?:\.\d+)*)(?P<any>\.\*)?")
Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Interpreter:
    path: str
    version: Version
    platform: str

    @property
    def number(self) -> str:
        return ".".join(map(str, self.version))


def base() -> Interpreter:
    """The one that we run on ourselves, without what is installed for us."""
    path: str = getattr(sys, "_base_executable", sys.executable)
    return Interpreter(path, tuple(sys.version_info[:3]), sysconfig.get_platform())


def choose(specifier: str, search: str) -> Interpreter:
    """The one that we run on where it will do, else the newest on the ``search`` path (as PATH) that does.

    Raises BadInput for a specifier that cannot be read, and where no interpreter satisfies it.
    """
    wanted = list(_clauses(specifier))
    own = base()
    if _satisfies(own.version, wanted):
        return own
    there = sorted(_on(search), key=lambda each: each.version, reverse=True)
    for each in there:
        if each.version >= OLDEST and _satisfies(each.version, wanted):
            return each
    known = ", ".join(dict.fromkeys(each.number for each in (own, *there)))
    raise BadInput(
        f"the handler wants Python {specifier}, and this machine has {known}: install that version, such that "
        "python3.N is on PATH, or change requires-python or .python-version beside the handler"
    )


def _on(search: str) -> Iterator[Interpreter]:
    for folder in search.split(os.pathsep):
        for name in (*(f"python3.{minor}" for minor in MINORS), "python3"):
            if folder and os.access(Path(folder) / name, os.X_OK):
                found = _asked(os.path.realpath(Path(folder) / name))
                if found is not None:
                    yield found


@cache
def _asked(path: str) -> Interpreter | None:
    """What an interpreter says of itself; None for one that is none of CPython's, or does not answer."""
    try:
        answer = subprocess.run(
            [path, "-I", "-S", "-c", _QUESTION],
            capture_output=True,
            timeout=ASK_TIMEOUT_S,
            check=True,
            env={"PATH": os.defpath},
        )
        name, number, platform = answer.stdout.decode().split()
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return Interpreter(path, _version(number), platform) if name == "cpython" else None


def _clauses(specifier: str) -> Iterator[tuple[str, Version, bool]]:
    for word in filter(None, (part.strip() for part in specifier.split(","))):
        match = _CLAUSE.fullmatch(word)
        if match is None:
            raise BadInput(f"requires-python: {specifier[:80]!r} cannot be read; write it as >=3.10 or >=3.10,<3.13")
        yield match["how"], _version(match["number"]), bool(match["any"])


def _satisfies(version: Version, clauses: Iterable[tuple[str, Version, bool]]) -> bool:
    return all(_holds(version, *clause) for clause in clauses)


def _holds(version: Version, how: str, number: Version, prefix: bool) -> bool:  # noqa: FBT001 - a clause, spread
    padded = number + (0,) * (3 - len(number))
    same = version[: len(number)] == number if prefix else version == padded
    return {
        "==": same,
        "===": same,
        "!=": not same,
        "~=": version >= padded and version[: len(number) - 1] == number[:-1],
        ">=": version >= padded,
        "<=": version <= padded,
        ">": version > padded,
        "<": version < padded,
    }[how]


def _version(text: str) -> Version:
    return tuple(int(part) for part in text.split("."))
