"""What a function within walls needs to see of the machine, beside the system: its code, and the programs it runs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from springtide.provider.process import executable, runnable
from springtide.provider.process.launches import FunctionProgram
from springtide.watchdog import own_root

MAX_SHOWN = 64
_SHARED = ("/", "/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - where everybody's files are
_OF_INSTALLATION = ("bin", "sbin", "lib", "lib64", "libexec", "share")


def shown(
    wanted: FunctionProgram, path: str, more: Sequence[str], never: Sequence[str | Path]
) -> tuple[tuple[str, str], ...]:
    """Pairs of where each is and at which path it is looked for; ``more`` the operator names.

    ``path`` is where programs are looked for; what has one of ``never`` in it is not shown as a whole.
    """
    hidden = [*_SHARED, *(os.path.realpath(folder) for folder in never)]
    places = [*more, *_programs(wanted, path)]
    places += [str(place) for place in (wanted.folder, wanted.handler, wanted.config.static_path) if place]
    found = {place: os.path.realpath(place) for place in places if not _of_system(place)}
    return tuple((source, place) for place, source in found.items() if not _holds(source, hidden))[:MAX_SHOWN]


def _holds(source: str, hidden: Sequence[str]) -> bool:
    return any(Path(folder).is_relative_to(source) for folder in hidden)


def _programs(wanted: FunctionProgram, path: str) -> Iterator[str]:
    """Of what is not the system's: programs, the scripts they run, and the folders that both were installed in."""
    command, folder = wanted.config.command, Path(wanted.folder or "/")
    for program in runnable.programs_of(command) if command else ():
        for file in _with_interpreters(program, path, folder):
            yield str(file)
            yield from _beside(Path(os.path.realpath(file)))
    for name in runnable.files_of(command):
        yield from _beside(Path(os.path.realpath(folder / name)))


def _beside(file: Path) -> Iterator[str]:
    """The file, and what it was installed with: it may need that."""
    yield str(file)
    if file.parent.name in ("bin", "sbin"):
        prefix = file.parent.parent
        yield from (str(prefix / name) for name in _OF_INSTALLATION if (prefix / name).is_dir())
    else:
        yield str(file.parent)


def _with_interpreters(program: str, path: str, folder: Path) -> Iterator[Path]:
    """A script is run by another program, which its first line names."""
    for _ in range(executable.MAX_INTERPRETERS):
        found = str(folder / program) if "/" in program else shutil.which(program, path=path)
        if not found or not Path(found).is_file():
            return
        yield Path(found)
        words = executable.interpreter_of(Path(found))
        if not words:
            return
        program = words[-1] if Path(words[0]).name == "env" and len(words) > 1 else words[0]


def _of_system(place: str) -> bool:
    return place.strip("/").partition("/")[0] in own_root.SYSTEM
