"""What happens in a replica between the fork and its first call: as a spare it waits to be told which it is."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import resource
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from . import fork_requests, fork_signals, linux, sandbox, serve, walls
from .handler_loading import linked_folder, made_folder, remove_left_folders
from .log import log
from .own_root import Shown
from .serve import ReplicaSpec
from .start import Confinement, Inherited, Start, Walled

DATA_HEADROOM_BYTES = 512 << 20
"""Room for stacks and reservations that are address space, not memory. RLIMIT_DATA counts them; it is there to stop
a runaway between two looks of the provider, which measures real memory."""

_RESET_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGCHLD)


@dataclass(frozen=True)
class Spare:
    """A replica before it is told which it is."""

    place: str
    """A work folder: what ended replicas left there is removed meanwhile."""
    parent: int
    """It dies with that one."""
    environ: MutableMapping[str, str]
    """The process's own; becomes the function's."""
    walled: Walled = field(default_factory=Walled)


def wait(told: socket.socket, spare: Spare) -> NoReturn:
    """Be a spare, then a replica; otherwise like ``run``. ``told`` says which replica, or ends."""

    def heard() -> tuple[Start, Inherited] | None:
        _detach((told.fileno(),), spare.parent)
        if spare.place:
            remove_left_folders(Path(spare.place))
        within.interpreter = walls.furnish(spare.walled.walls, spare.walled.stage)
        with told:
            return fork_requests.receive(told)

    within = _Within(spare.walled)
    _live(heard, spare.environ, within)


@dataclass
class _Within:
    """The walls this process has."""

    walled: Walled = field(default_factory=Walled)
    interpreter: tuple[Shown, ...] = ()


def run(start: Start, inherited: Inherited, *, parent: int, environ: MutableMapping[str, str]) -> NoReturn:
    """Become the replica; never returns into the code of whoever forked it. It dies with the ``parent``.

    ``environ`` is the process's own, and becomes the function's.
    """

    def known() -> tuple[Start, Inherited]:
        _detach((inherited.listener, inherited.ready, inherited.output), parent)
        return start, inherited

    _live(known, environ, _Within())


def _live(
    told: Callable[[], tuple[Start, Inherited] | None], environ: MutableMapping[str, str], within: _Within
) -> NoReturn:
    status = 1
    try:
        which = told()
        status = _become(*which, environ, within) if which is not None else 0
    except BaseException:  # noqa: BLE001 - the last frame of this process: whatever it is, it goes to the log
        traceback.print_exc()
    finally:
        leave(status)


def _become(start: Start, inherited: Inherited, environ: MutableMapping[str, str], within: _Within) -> int:
    for standard in (1, 2):
        os.dup2(inherited.output, standard)
    os.close(inherited.output)
    open_files = start.confinement.open_files
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_files, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    if start.confinement.enclosure is None:
        folder = _folder(start)
        _confine(start.confinement)
    else:
        _enclose(start, within)
        folder = _folder(start)
    environ.clear()
    environ.update(start.env)
    time.tzset()
    linux.set_process_name(start.instance)
    os.chdir(folder)
    spec = ReplicaSpec(
        hostname=start.instance,
        env=start.env,
        handler=start.handler,
        lang=start.lang,
        linger_s=start.linger_s,
        grace_s=start.grace_s,
    )
    return serve.run(spec, listener=inherited.listener, ready=inherited.ready)


def _folder(start: Start) -> Path:
    """Where the replica runs. Made before the replica's view of the file system may become read-only."""
    if not start.work_folder or start.folder == start.work_folder:
        return Path(start.folder)
    if start.handler:
        return made_folder(Path(start.handler), Path(start.work_folder))
    return linked_folder(Path(start.folder), Path(start.work_folder))


def leave(status: int) -> NoReturn:
    """End a fork, and never return into the code of whoever forked it; what cannot be written any more is lost."""
    try:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # full, or closed
                if stream is not None:
                    stream.flush()
    finally:
        os._exit(status)


def _detach(kept: Iterable[int], parent: int) -> None:
    """What does not depend on the replica that it will be."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in _RESET_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    _close_all_but(kept)
    linux.adopt_orphans()
    linux.die_with_parent()
    if os.getppid() not in (parent, 0):
        os._exit(1)  # It ended before the line above. The first process of a PID namespace sees it as 0.
    faulthandler.enable()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def _close_all_but(kept: Iterable[int]) -> None:
    low = 3
    for fd in sorted(kept):
        os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, resource.getrlimit(resource.RLIMIT_NOFILE)[1])


def _enclose(start: Start, within: _Within) -> None:
    by, around = start.confinement, within.walled.walls
    assert by.enclosure is not None
    if around.files_by_rules:
        Path(by.enclosure.work_folder).mkdir(parents=True, exist_ok=True)
    _limit(by, walls.outside(around, by.cgroup) if by.cgroup else "")
    walls.close(around, by.enclosure, within.interpreter)
    linux.die_with_parent()
    fork_signals.end_by(signal.SIGTERM)


def _confine(by: Confinement) -> None:
    _limit(by, by.cgroup)
    if by.secrets:
        try:
            sandbox.enter(secrets=Path(by.secrets), stage=Path(by.stage), read_only=by.read_only)
        except OSError as error:
            log(f"no file system view of its own: {error}")
        linux.die_with_parent()


def _limit(by: Confinement, cgroup: str) -> None:
    if cgroup:
        (Path(cgroup) / "cgroup.procs").write_text("0")
    if by.memory_bytes is not None:
        _limit_data(by.memory_bytes)
    if by.limit_processes:
        _limit_processes()
    # Where memory runs out, a replica goes before the provider does.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


def _limit_processes() -> None:
    """The kernel counts those of a user, not of a replica, and not root's: so only the last barrier is set here.

    Half of what the machine can have; how many a replica may have, the provider watches.
    """
    with contextlib.suppress(OSError, ValueError):
        most = min(int(Path("/proc/sys/kernel", name).read_text()) for name in ("pid_max", "threads-max")) // 2
        _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
        if hard == resource.RLIM_INFINITY or most < hard:
            resource.setrlimit(resource.RLIMIT_NPROC, (most, most))


def _limit_data(memory_bytes: int) -> None:
    inherited = _data_bytes()
    limit = inherited + 2 * memory_bytes + DATA_HEADROOM_BYTES
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard == resource.RLIM_INFINITY or limit < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _data_bytes() -> int:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024
    return 0
