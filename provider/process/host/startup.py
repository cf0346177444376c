"""What the host does once, before it serves: be the only one, clear up after a crash, see what the machine offers."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from springtide.provider.process import host_protocol, kernel, wall_probe
from springtide.provider.process.host.cgroup import Cgroups
from springtide.provider.process.host.replicas import Surroundings
from springtide.provider.process.host.server import Host, HostOptions
from springtide.provider.process.host_protocol import LOCK, SOCKET
from springtide.watchdog import landlock, linux, sandbox
from springtide.watchdog.start import Walled, Walls

STAGE = "stage"
LOCK_WAIT_S = 10.0
"""A host that is ending may hold the lock for as long as its replicas take to die."""


def run(options: HostOptions, environ: Mapping[str, str]) -> None:
    """Take the state folder's lock, clear up after a host that crashed, and serve. Prints ``ready`` when it listens."""
    lock = _lock(options.state_dir / LOCK)
    linux.adopt_orphans()
    if not options.beside:
        # What a host that was killed could not take along: programs that its replicas had started.
        folder = options.identity.partition("-")[0]
        kernel.kill_marked(lambda identity: identity.partition("-")[0] == folder)
    cgroups = Cgroups.find(options.identity)
    stage = options.state_dir / STAGE
    stage.mkdir(exist_ok=True)
    possible = wall_probe.probe(str(stage))
    around = Surroundings(
        options.identity,
        cgroups,
        _try_sandbox(options.state_dir),
        _more_open_files(),
        walled=_walled(possible.walls, str(stage), options.closed_ports),
        missing_walls=possible.missing,
        hidden=tuple(os.path.realpath(folder) for folder in (*options.hidden, options.state_dir)),
    )
    with host_protocol.listen_at(options.state_dir / SOCKET) as listener:
        bound = (options.state_dir / SOCKET).stat().st_ino
        print("ready", flush=True)  # noqa: T201 - the provider waits for this word
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        host = Host(options, around, listener, environ)
        gc.collect()
        linux.trim_memory()
        host.serve()
        _unlink_own(options.state_dir / SOCKET, bound)
    if cgroups is not None:
        cgroups.close()
    os.close(lock)


def _walled(walls: Walls, stage: str, closed_ports: tuple[int, ...]) -> Walled:
    return Walled(walls, stage, landlock.all_ports_but(closed_ports) if walls.ports else -1)


def _more_open_files() -> int:
    """Raise our own limit as far as it goes, for each replica takes descriptors; returns the limit that it was."""
    usual, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return usual


def _lock(path: Path) -> int:
    """Held until this process ends, however it ends."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                sys.exit(f"{path}: another host is still running for this state folder")
            time.sleep(0.02)
        else:
            return fd


def _unlink_own(path: Path, inode: int) -> None:
    """Another host may have put its own there since."""
    with contextlib.suppress(OSError):
        if path.stat().st_ino == inode:
            path.unlink()


def _try_sandbox(state_dir: Path) -> str:
    """Why replicas cannot have their own view of the file system; empty when they can. Tried in a child."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(OSError):
            os.close(read)
            os.write(write, _sandbox_problem(state_dir).encode())
        os._exit(0)
    os.close(write)
    problem = os.read(read, 1000).decode(errors="replace")
    os.close(read)
    os.waitpid(pid, 0)
    return problem


def _sandbox_problem(state_dir: Path) -> str:
    stage = state_dir / STAGE
    stage.mkdir(exist_ok=True)
    try:
        sandbox.enter(secrets=stage, stage=stage, read_only=False)
    except OSError as error:
        return str(error) or type(error).__name__  # empty would mean that there is none
    return ""
