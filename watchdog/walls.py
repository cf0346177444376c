"""The walls around a replica, in the order in which they are put up.

1. ``before_forks``: the fork server closes the suite's ports, for itself and so for all that it forks, once.
2. ``separate``: a spare is forked into namespaces of its own.
3. ``furnish``: the spare makes its root folder, while nobody waits for it.
4. ``close``: it is told which replica it is; what is the function's is added, and everything given up that leads out.

Programs that a replica runs are within the same walls: they need none of their own.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
from pathlib import Path

from . import landlock, linux, own_root, seccomp
from .own_root import OUTSIDE, Scratch, Shown
from .start import Enclosure, Walls

RESERVED_PROCESSES = 300
"""Numbers of a PID namespace that the kernel gives out only once."""
_READABLE = (
    *(f"/{name}" for name in own_root.SYSTEM),
    *(f"/etc/{name}" for name in own_root.CONFIGURATION),
    *("/proc", "/sys/devices/system", "/dev/random", "/dev/urandom", "/dev/zero", "/dev/full"),
)
_WRITABLE = ("/dev/null", "/dev/tty", "/dev/shm")  # noqa: S108 - shared with all functions
"""Of the machine, where there are no namespaces. Its ``/tmp`` has other people's files."""


def before_forks(walls: Walls, rules: int) -> None:
    """``rules`` is a descriptor with what ``landlock.all_ports_but`` made. Raises OSError."""
    if walls.ports:
        linux.gain_no_privileges()
        landlock.lay_on(rules)


def separate(walls: Walls) -> None:
    """The next process that is forked is the first of its namespaces. Raises OSError."""
    if not walls.namespaces:
        return
    user, group = os.geteuid(), os.getegid()
    own = linux.CLONE_NEWNS | linux.CLONE_NEWPID | linux.CLONE_NEWIPC
    linux.unshare(own | (linux.CLONE_NEWUSER if walls.user_namespace else 0))
    if walls.user_namespace:
        linux.stay_readable()
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def furnish(walls: Walls, stage: str) -> tuple[Shown, ...]:
    """What the replica itself runs from, to be given to ``close``. Raises OSError."""
    interpreter = _interpreter()
    if walls.namespaces:
        own_root.prepare(stage, interpreter)
    return interpreter


def outside(walls: Walls, path: str) -> str:
    """Where a file of the machine is, between ``furnish`` and ``close``."""
    return OUTSIDE + path if walls.namespaces else path


def close(walls: Walls, within: Enclosure, interpreter: tuple[Shown, ...]) -> None:
    """Raises OSError; then the replica must not run."""
    shown = (*interpreter, *(Shown(source, place) for source, place in within.shown))
    if walls.namespaces:
        _limit_processes(within.processes)
        own_root.complete(
            shown=shown,
            hidden=within.hidden,
            secrets=within.secrets,
            scratch=Scratch(within.scratch_bytes, within.scratch),
        )
    linux.gain_no_privileges()
    if walls.files_by_rules:
        readable = (*_READABLE, *(one.source for one in shown), within.secrets)
        landlock.lay_on(landlock.files_only(filter(None, readable), (*_WRITABLE, within.work_folder)))
    if walls.namespaces:
        linux.drop_capabilities()
    if walls.calls:
        seccomp.lay_on()


def _interpreter() -> tuple[Shown, ...]:
    """The folders that this process runs from, and imports from later."""
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - a user without a home is no error
    folders = {str(Path(__file__).parent), str(Path(os.__file__).parent)}
    for prefix in {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}:
        # A whole home folder is not shown for the sake of an interpreter that is installed right in it.
        folders.add(prefix if not home.is_relative_to(prefix) else str(Path(prefix, "lib")))
    return tuple(Shown(os.path.realpath(folder), folder) for folder in sorted(folders) if not _of_system(folder))


def _of_system(folder: str) -> bool:
    return folder.strip("/").partition("/")[0] in own_root.SYSTEM


def _limit_processes(most: int | None) -> None:
    """By the numbers that its PID namespace has (Linux 6.14), else by its user namespace's count (5.14)."""
    if most is None:
        return
    with contextlib.suppress(OSError):
        Path("/proc/sys/kernel/pid_max").write_text(str(most + RESERVED_PROCESSES))
    if os.geteuid() != 0:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
