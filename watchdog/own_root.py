"""A root folder of a replica's own: the system's programs and libraries, read-only, and nothing else of the machine.

Made in two steps. What every replica has is mounted while it is a spare (``prepare``); then it is told which it is,
and what its function has is added (``complete``) and the rest of the machine covered. Nothing is unmounted, which
would wait for all processors: what is covered cannot be uncovered without rights that the replica has given up.
The mounts live in the replica's mount namespace and vanish with it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from . import linux
from .sandbox import SECRETS

SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "opt", "nix", "gnu")
"""Below the root: what distributions and package managers install programs to."""
CONFIGURATION = (
    *("passwd", "group", "nsswitch.conf", "hosts", "host.conf", "resolv.conf", "gai.conf", "hostname"),
    *("protocols", "services", "localtime", "timezone", "locale.alias", "mime.types", "os-release", "debian_version"),
    *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "fonts", "terminfo", "inputrc", "profile"),
    *("ssl/certs", "ssl/openssl.cnf", "pki/tls/certs", "pki/tls/cert.pem", "pki/ca-trust", "ca-certificates"),
    *("crypto-policies", "java", "perl", "python3", "python3.11", "python3.12", "python3.13", "magic", "mailcap"),
)
"""Of ``/etc``, what programs need to run and to find others: no passwords, no private keys, no services' settings."""
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
FOR_READERS = ("sys/devices/system/cpu", "sys/devices/system/node", "sys/kernel/mm/transparent_hugepage")
"""Of ``/sys``: runtimes count processors there."""
OUTSIDE = "/.outside"
"""The machine's root, until it is covered."""
_SCRATCH = "/.scratch"
_MODE = "mode=0755"


@dataclass(frozen=True)
class Scratch:
    """Places to write to, one bounded memory for all of them, which is the replica's own and ends with it."""

    size_bytes: int
    folders: tuple[str, ...]
    """Absolute paths."""


@dataclass(frozen=True)
class Shown:
    """A file or folder of the machine, read-only, at ``place``; the two differ where a link leads to it."""

    source: str
    place: str


def prepare(stage: str, interpreter: Iterable[Shown]) -> None:
    """Make the new root and move there; the machine's is at ``OUTSIDE``. Raises OSError.

    This process is the first of its PID namespace, and has its mount namespace to itself. ``stage`` is an empty folder;
    ``interpreter`` are those that this process itself runs from.
    """
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
    linux.mount("tmpfs", stage, kind="tmpfs", options=f"{_MODE},size=1m")
    root = Path(stage)
    for name in (*SYSTEM, *FOR_READERS):
        _show_or_link(Path("/", name), root / name)
    for name in CONFIGURATION:
        _show(Path("/etc", name), root / "etc" / name)
    for name in DEVICES:
        _show(Path("/dev", name), root / "dev" / name, read_only=False)
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        (root / "dev" / name).symlink_to(target)
    for name in ("proc", OUTSIDE[1:], _SCRATCH[1:], "run"):
        (root / name).mkdir()
    for one in interpreter:
        _show(Path(one.source), Path(stage + one.place))
    flags = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC
    linux.mount("proc", str(root / "proc"), kind="proc", flags=flags)
    os.chdir(stage)
    linux.pivot_root(".", OUTSIDE[1:])
    os.chdir("/")


def complete(*, shown: Iterable[Shown], hidden: Iterable[str], secrets: str, scratch: Scratch) -> None:
    """Add what the function has, and cover the rest of the machine. Raises OSError.

    ``hidden`` are the suite's own folders, of which only what is ``shown`` is to be seen; ``secrets`` is a
    folder that is to be where OpenFaaS functions look for it, too.
    """
    flags = linux.MS_NOSUID | linux.MS_NODEV
    for folder in hidden:
        if Path(folder).is_dir():
            linux.mount("tmpfs", folder, kind="tmpfs", flags=flags, options=f"{_MODE},size=1m")
    _make_scratch(scratch)
    for one in sorted(set(shown), key=lambda one: one.place):
        _show(Path(OUTSIDE + one.source), Path(one.place))
    if secrets:
        _show(Path(OUTSIDE + secrets), SECRETS)
    for folder in ("/proc", *filter(os.path.ismount, hidden), "/"):
        linux.set_read_only(folder, recursive=False)
    for place in (OUTSIDE, _SCRATCH):
        linux.mount("tmpfs", place, kind="tmpfs", flags=flags | linux.MS_RDONLY, options="mode=0555,size=4k")


def _make_scratch(scratch: Scratch) -> None:
    flags = linux.MS_NOSUID | linux.MS_NODEV
    linux.mount("tmpfs", _SCRATCH, kind="tmpfs", flags=flags, options=f"{_MODE},size={scratch.size_bytes}")
    for number, folder in enumerate(sorted({*scratch.folders} - {"/"})):
        own = Path(_SCRATCH, str(number))
        own.mkdir()
        own.chmod(0o1777)
        Path(folder).mkdir(parents=True, exist_ok=True)
        linux.mount(str(own), folder, flags=linux.MS_BIND)


def _show_or_link(source: Path, target: Path) -> None:
    """As it is on the machine: of ``/bin``, most have made a link."""
    if source.is_symlink():
        target.symlink_to(source.readlink())
    else:
        _show(source, target)


def _show(source: Path, target: Path, *, read_only: bool = True) -> None:
    """The same file or folder at ``target``; nothing where there is none."""
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    elif source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():  # it may lie in a folder that is shown already, and cannot be written to
            target.touch()
    else:
        return
    linux.mount(str(source), str(target), flags=linux.MS_BIND | linux.MS_REC)
    if read_only:
        linux.set_read_only(str(target))
