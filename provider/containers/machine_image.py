"""This machine's Python as the root file system of an image: what handlers are built upon, without any registry.

In it are an interpreter with its standard library, the libraries that both need, a shell, certificates and our
watchdog; everything where it is on the machine, for an interpreter finds its library by its own place.
"""

from __future__ import annotations

import fnmatch
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO

from springtide import watchdog
from springtide.runtime.errors import BadInput, Unavailable, reason_of

OWN = "opt"
"""Where our watchdog is: the folder in which it is started as a module."""
HOME, USER = "/home/app", 12000
"""Of whom functions run as; the user is that of OpenFaaS's ``setNonRootUser``."""
PROGRAMS = ("sh", "env")
"""Beside the interpreter: handlers run commands by way of a shell."""

FORMAT = "1"
"""Counts up when the same Python makes another image."""
ASK_S = 60.0
_LEFT_OUT = (
    *("test", "tests", "_test*.so", "site-packages", "dist-packages", "config-3*", "*.opt-[12].pyc"),
    *("idlelib", "tkinter", "_tkinter*.so", "turtledemo", "lib2to3", "ensurepip"),
)
"""Of the standard library: what no function uses, or what would bring the libraries of a desktop along."""
_QUESTION = """
import json, ssl, sys, sysconfig
places = sysconfig.get_paths()
print(json.dumps({
    "number": ".".join(map(str, sys.version_info[:3])),
    "libraries": sorted({places["stdlib"], places["platstdlib"]}),
    "certificates": ssl.get_default_verify_paths().cafile,
}))
"""
_CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
_ACCOUNTS = {
    "etc/passwd": f"root:x:0:0:root:/:/bin/sh\napp:x:{USER}:{USER}:app:{HOME}:/bin/sh\n",
    "etc/group": f"root:x:0:\napp:x:{USER}:\n",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MachinePython:
    """An interpreter with what belongs to it. ``program`` is its real path."""

    program: Path
    names: tuple[Path, ...]
    """Links to it by which an environment may call it."""
    number: str
    libraries: tuple[Path, ...]
    certificates: Path | None
    key: str
    """The same for what makes the same image."""


def known(python: Path) -> MachinePython:
    """What there is to know of the interpreter that an environment has. Blocks; raises BadInput."""
    program, at, names = python.resolve(), python, list[Path]()
    while at.is_symlink():
        at = at.parent / at.readlink()
        if at.parent != python.parent and at != program:
            names.append(at)
    command = [str(program), "-I", "-S", "-c", _QUESTION]
    try:
        answer = subprocess.run(command, capture_output=True, timeout=ASK_S, check=True, env={})
        told = json.loads(answer.stdout)
        return MachinePython(
            program=program,
            names=tuple(names),
            number=str(told["number"]),
            libraries=tuple(Path(one).resolve() for one in told["libraries"]),
            certificates=Path(told["certificates"]) if told["certificates"] else None,
            key=_key(program, names, str(told["number"])),
        )
    except (OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
        raise BadInput(
            f"{python} does not say where its library is ({reason_of(error)}); install Python anew"
        ) from error


def write(python: MachinePython, to: IO[bytes], programs: Iterable[str] = PROGRAMS) -> None:
    """An uncompressed tar; the same bytes for the same machine. Blocks; raises Unavailable when it cannot be made."""
    found = [Path(place) for name in programs if (place := shutil.which(name))]
    try:
        with tarfile.open(fileobj=to, mode="w") as tar:
            for library in python.libraries:
                add(tar, library, whole=False)
            add(tar, python.program)
            add(tar, _watchdog(), f"{OWN}/springtide/watchdog")
            for path in _needed([python.program, *found, *_modules(python)]):
                add(tar, path.resolve(), str(path))
            for program in found:
                add(tar, program.resolve(), f"bin/{program.name}")
            if python.certificates is not None and python.certificates.is_file():
                add(tar, python.certificates.resolve(), str(python.certificates))
                if str(python.certificates) != f"/{_CERTIFICATES}":
                    add(tar, python.certificates.resolve(), _CERTIFICATES)
            for name, text in _ACCOUNTS.items():
                _text(tar, name, text)
            for link in sorted({Path("/usr/bin/python3"), *python.names} - {python.program}):
                _link(tar, str(link).lstrip("/"), str(python.program))
            _folder(tar, "var/openfaas/secrets")
            add_places(tar)
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f"no image can be made of this machine's Python: {reason_of(error)}") from error


def add(tar: tarfile.TarFile, source: Path, name: str = "", *, whole: bool = True) -> None:
    """A file or a folder, as root's and for everybody to read; at its own path where it is not named."""

    def wanted(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if entry.name != under and not whole and _is_left_out(PurePath(entry.name).name):
            return None
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mode |= 0o555 if entry.isdir() or entry.mode & 0o100 else 0o444
        return entry

    under = (name or str(source)).lstrip("/")
    tar.add(source, under, filter=wanted)


def add_places(tar: tarfile.TarFile) -> None:
    """Where functions write. A layer that has something below says so again: its folders hide those of layers below."""
    _folder(tar, "tmp", 0o1777)
    _folder(tar, HOME.lstrip("/"), owner=USER)


def _key(program: Path, names: list[Path], number: str) -> str:
    told = [FORMAT, str(program), *map(str, names), number, str(program.stat().st_mtime_ns)]
    content = hashlib.sha256("\0".join(told).encode())
    for file in sorted(_watchdog().rglob("*.py")):
        content.update(file.read_bytes())
    return f"{number}-{content.hexdigest()[:12]}"


def _is_left_out(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in _LEFT_OUT)


def _watchdog() -> Path:
    return Path(watchdog.__file__).resolve().parent


def _modules(python: MachinePython) -> Iterator[Path]:
    for library in python.libraries:
        yield from (file for file in library.glob("lib-dynload/*.so") if not _is_left_out(file.name))


def _needed(programs: list[Path]) -> list[Path]:
    """The libraries of these, each by the path by which it is looked for; and of names, which are loaded by name."""
    told = subprocess.run(["ldd", *map(str, programs)], capture_output=True, text=True, check=False, timeout=ASK_S)
    found = {Path(word) for line in told.stdout.splitlines() for word in line.split() if word.startswith("/")}
    beside = {path.parent for path in found if path.name.startswith("libc.so")}
    names = {
        library for folder in beside for kind in ("dns", "files") for library in folder.glob(f"libnss_{kind}.so.2")
    }
    return sorted(path for path in (found | names) - set(programs) if path.is_file())


def _text(tar: tarfile.TarFile, name: str, text: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(text)
    tar.addfile(entry, io.BytesIO(text.encode()))


def _link(tar: tarfile.TarFile, name: str, to: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, to
    tar.addfile(entry)


def _folder(tar: tarfile.TarFile, name: str, mode: int = 0o755, *, owner: int = 0) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, mode, owner, owner
    tar.addfile(entry)
