"""Whether the kernel can run a file, as far as the file itself tells: of the reason execve says a word, if any.

A script whose interpreter is missing, or a program made for another C library, is "no such file" there, though it is.
"""

from __future__ import annotations

import os
import shutil
import stat
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

HEAD_BYTES = 256
"""As many of a script's first line as Linux reads."""
MAX_INTERPRETERS = 4
"""Scripts whose interpreter is a script again."""
BINFMT = Path("/proc/sys/fs/binfmt_misc")
_EXECUTABLE, _SHARED = 2, 3
_PT_INTERP = 3


def why_not(program: str, path: str, folder: Path | None = None, *, depth: int = 0) -> str:
    """Why it cannot be run; empty where nothing speaks against it.

    ``program`` is a path, relative to ``folder``, or a name on ``path``.
    """
    file = (
        (folder or Path("/")) / program if "/" in program else Path(shutil.which(program, path=path) or "/nonexistent")
    )
    try:
        status = file.stat()
    except (OSError, ValueError):
        return f"there is no program {program!r}" + ("" if "/" in program else f" on PATH {path}")
    if why := _not_to_be_run(file, status.st_mode):
        return f"{program} {why}"
    try:
        return _content(file, program, path, depth) if sys.platform == "linux" else ""
    except OSError:
        return ""  # A program that may be run and not read.


def _not_to_be_run(file: Path, mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "is a folder; name the program in it"
    if not stat.S_ISREG(mode):
        return "is no file"
    return "" if os.access(file, os.X_OK) else "may not be executed; chmod +x it, or name its interpreter first"


def _content(file: Path, program: str, path: str, depth: int) -> str:
    with file.open("rb") as opened:
        head = opened.read(HEAD_BYTES)
        if not head:
            return f"{program} is empty"
        if head.startswith(b"#!"):
            why = _script(head, path, depth) if depth < MAX_INTERPRETERS else ""
            return f"{program}: its first line {why}" if why else ""
        if head.startswith(b"\x7fELF"):
            try:
                loader = _loader(head, file.stat().st_size, opened.fileno())
            except (struct.error, ValueError):
                return f"{program} is damaged: it begins as a program does (ELF) and goes on as none"
            there = not loader or Path(loader).exists()
            return "" if there else f"{program} was built for another C library: its loader {loader} is not here"
    if any(entry.name not in ("register", "status") for entry in (BINFMT.iterdir() if BINFMT.is_dir() else ())):
        return ""  # Anything may be a program then.
    return (
        f"{program} is neither a program for this machine nor a script: a script begins with a line such as #!/bin/sh"
    )


def _script(head: bytes, path: str, depth: int) -> str:
    first, newline, _ = head.partition(b"\n")
    if not newline and len(head) == HEAD_BYTES:
        return ""
    line = first.decode(errors="replace")
    if line.endswith("\r"):
        return f"{line[:-1]!r} ends with a carriage return: write the file with Unix line ends"
    words = line[2:].split(maxsplit=1)
    if not words:
        return "names no interpreter after #!"
    if not words[0].startswith("/"):
        return ""  # Looked for where the program is started, wherever that is.
    why = why_not(words[0], path, depth=depth + 1)
    if not why and Path(words[0]).name == "env" and len(words) > 1:
        # Without -S all that follows is one word to env.
        asked = [words[1].strip()] if not words[1].startswith("-") else words[1].split()
        named = called_by_env(asked)
        why = why_not(named[0], path, depth=depth + 1) if named else ""
    return f"is {line!r}, and {why}" if why else ""


def interpreter_of(file: Path) -> Sequence[str]:
    """The words of a script's first line that are a command: its interpreter, or what ``env`` is told to find."""
    try:
        with file.open("rb") as opened:
            head = opened.read(HEAD_BYTES)
    except OSError:
        return ()
    if not head.startswith(b"#!"):
        return ()
    words = head.partition(b"\n")[0].decode(errors="replace")[2:].split()
    if words and Path(words[0]).name == "env":
        return (words[0], *called_by_env(words[1:])[:1])
    return words[:1]


def called_by_env(words: Sequence[str]) -> Sequence[str]:
    """The command in what env is given; nothing where that is not certain."""
    rest = [*words]
    if rest[:1] == ["-S"]:
        del rest[0]
    while rest and "=" in rest[0]:
        del rest[0]
    return rest if rest and not rest[0].startswith("-") else ()


def _loader(head: bytes, size: int, fd: int) -> str:
    """The path of an ELF program's dynamic loader; empty without. Raises struct.error, ValueError for a damaged one."""
    if len(head) < 20 or head[4] not in (1, 2) or head[5] not in (1, 2):
        raise ValueError("no class or byte order")
    wide, order = head[4] == 2, "<>"[head[5] - 1]
    (kind,) = struct.unpack_from(order + "H", head, 16)
    (start,) = struct.unpack_from(order + ("Q" if wide else "I"), head, 32 if wide else 28)
    entry, count = struct.unpack_from(order + "HH", head, 54 if wide else 42)
    if kind not in (_EXECUTABLE, _SHARED) or not count or entry != (56 if wide else 32) or start + entry * count > size:
        raise ValueError("nothing to load")
    for at in range(start, start + entry * count, entry):
        part = os.pread(fd, entry, at)
        if struct.unpack_from(order + "I", part)[0] == _PT_INTERP:
            (offset,) = struct.unpack_from(order + ("Q" if wide else "I"), part, 8 if wide else 4)
            (length,) = struct.unpack_from(order + ("Q" if wide else "I"), part, 32 if wide else 16)
            return os.fsdecode(os.pread(fd, min(length, HEAD_BYTES), offset).rstrip(b"\0"))
    return ""
