"""What happens in a replica between the fork and its first call."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from springtide.provider.process.host import sandbox
from springtide.provider.process.host.cgroup import Cgroups
from springtide.provider.process.host_protocol import IDENTITY_VARIABLE, Launch
from springtide.runtime.lossy_stream import leave
from springtide.runtime.processes import adopt_orphans, die_with_parent, set_process_name
from springtide.watchdog import serve
from springtide.watchdog.handler_loading import made_folder
from springtide.watchdog.log import log
from springtide.watchdog.serve import ReplicaSpec

DATA_HEADROOM_BYTES = 512 << 20
"""Room for stacks and reservations that are address space, not memory. RLIMIT_DATA counts them; it is there to stop
a runaway between two looks of the provider, which measures real memory."""

HELD_BACK = {signal.SIGTERM, signal.SIGCHLD}
_RESET_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGCHLD)


@dataclass(frozen=True, slots=True)
class Inherited:
    """Descriptors a replica gets from the host. Everything else of the host's is closed."""

    listener: int
    ready: int
    output: int


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What this machine offers, found out once by the host."""

    environ: MutableMapping[str, str]
    host: int
    cgroups: Cgroups | None
    sandbox_problem: str
    open_files: int
    """The soft limit that programs expect; the host's own is higher."""


def run(launch: Launch, inherited: Inherited, around: Surroundings) -> NoReturn:
    """Become the replica; never returns into the host's code."""
    status = 1
    try:
        _detach(inherited, around)
        folder = _folder(launch)
        _confine(launch, around)
        identity = {IDENTITY_VARIABLE: around.environ[IDENTITY_VARIABLE]}
        replica = ReplicaSpec(
            hostname=launch.instance,
            env={**launch.env, **identity},
            handler=launch.handler,
            lang=launch.lang,
            linger_s=launch.linger_s,
            grace_s=launch.grace_s,
        )
        around.environ.clear()
        around.environ.update(replica.env)
        time.tzset()
        faulthandler.enable()
        set_process_name(launch.instance)
        os.chdir(folder)
        status = serve.run(replica, listener=inherited.listener, ready=inherited.ready)
    except BaseException:  # noqa: BLE001 - the last frame of this process: whatever it is, it goes to the log
        traceback.print_exc()
    finally:
        leave(status)


def _folder(launch: Launch) -> Path:
    """Where the replica runs. Made before the replica's view of the file system may become read-only."""
    if not launch.handler or not launch.work_folder:
        return Path(launch.folder)
    return made_folder(Path(launch.handler), Path(launch.work_folder))


def _detach(inherited: Inherited, around: Surroundings) -> None:
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in _RESET_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(inherited.output, 1)
    os.dup2(inherited.output, 2)
    _close_all_but(inherited.listener, inherited.ready)
    resource.setrlimit(resource.RLIMIT_NOFILE, (around.open_files, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    adopt_orphans()
    die_with_parent()
    if os.getppid() != around.host:
        os._exit(1)  # It ended before the line above.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def _close_all_but(*kept: int) -> None:
    low = 3
    for fd in sorted(kept):
        os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, resource.getrlimit(resource.RLIMIT_NOFILE)[1])


def _confine(launch: Launch, around: Surroundings) -> None:
    if around.cgroups is not None and launch.limited:
        around.cgroups.join(launch.instance)
    elif launch.memory_bytes is not None:
        _limit_data(launch.memory_bytes)
    if launch.processes is not None and not (around.cgroups is not None and around.cgroups.limits_processes):
        _limit_processes()
    if launch.wants_sandbox and not around.sandbox_problem:
        try:
            sandbox.enter(
                secrets=Path(launch.secrets_folder), stage=Path(launch.stage_folder), read_only=launch.read_only
            )
        except OSError as error:
            log(f"no file system view of its own: {error}")
        die_with_parent()
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
