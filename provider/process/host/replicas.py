"""The host's replicas: watched, ended with everything they started. Fork servers fork them, as children of the host."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from springtide.provider.machine.log_files import LineSplitter, LogWriter
from springtide.provider.process import kernel
from springtide.provider.process.host.cgroup import Cgroups
from springtide.provider.process.host.fork_servers import ForkServers
from springtide.provider.process.host_protocol import (
    ADOPTED_VARIABLES,
    IDENTITY_VARIABLE,
    OUT_OF_MEMORY,
    Exited,
    Launch,
    Note,
    Running,
)
from springtide.watchdog.start import Confinement, Enclosure, Inherited, Start, Walled

READ_BYTES = 65_536
SCRATCH = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - a replica's own
MAX_LAST_READS = 64
"""Reads of what an ended replica left in its pipe; a process that escaped it may still be writing."""


Fork = Callable[[Start, Inherited], int]
"""Makes a child of ours that becomes the replica; returns its process id. Raises OSError."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What this machine offers, found out once by the host."""

    identity: str
    """In the environment of every process below this host."""
    cgroups: Cgroups | None
    sandbox_problem: str
    open_files: int
    """The soft limit that programs expect; the host's own is higher."""
    walled: Walled = field(default_factory=Walled)
    """The walls there can be around replicas."""
    missing_walls: Mapping[str, str] = field(default_factory=dict)
    """Those there cannot be, and why."""
    hidden: tuple[str, ...] = ()
    """Folders of the suite."""

    def confinement(self, launch: Launch) -> Confinement:
        """Of one replica, by the means there are."""
        groups = self.cgroups
        by_group = groups is not None and launch.limited
        walled = launch.sandbox and bool(self.walled.walls)
        sandboxed = launch.wants_view and not self.sandbox_problem and not walled
        return Confinement(
            cgroup=groups.folder(launch.instance) if groups is not None and by_group else "",
            memory_bytes=None if by_group else launch.memory_bytes,
            limit_processes=launch.processes is not None and not (groups is not None and groups.limits_processes),
            secrets=launch.secrets_folder if sandboxed else "",
            stage=launch.stage_folder,
            read_only=launch.read_only,
            open_files=self.open_files,
            enclosure=self._enclosure(launch) if walled else None,
        )

    def _enclosure(self, launch: Launch) -> Enclosure:
        home, secrets = launch.env.get("HOME", ""), os.path.realpath(launch.secrets_folder)
        return Enclosure(
            shown=(*((source, place) for source, place in launch.shown), (secrets, launch.secrets_folder)),
            scratch=(*SCRATCH, launch.work_folder, *([home] if home.startswith("/") else [])),
            scratch_bytes=launch.scratch_bytes,
            work_folder=launch.work_folder,
            hidden=self.hidden,
            secrets=secrets,
            processes=launch.processes,
        )

    def start(self, launch: Launch) -> Start:
        """What the replica is told."""
        by_rules = launch.sandbox and self.walled.walls.files_by_rules
        own_tmp = {"TMPDIR": launch.work_folder} if by_rules else {}  # It cannot open /tmp, which is everybody's.
        return Start(
            instance=launch.instance,
            env={**own_tmp, **launch.env, IDENTITY_VARIABLE: self.identity},
            folder=launch.folder,
            handler=launch.handler,
            lang=launch.lang,
            work_folder=launch.work_folder,
            linger_s=launch.linger_s,
            grace_s=launch.grace_s,
            confinement=self.confinement(launch),
        )


@dataclass(slots=True, eq=False)
class ForkedReplica:
    """One replica and the host's ends of its pipes."""

    launch: Launch
    pid: int
    port: int
    ready_fd: int
    output_fd: int
    log: LogWriter
    lines: LineSplitter = field(default_factory=LineSplitter)
    ready: bool = False
    stopping: bool = False
    kill_at: float | None = None
    killed_because: str = ""

    def running(self) -> Running:
        """Without its environment, which may be large, and of which a provider asks only one thing."""
        env = {name: value for name, value in self.launch.env.items() if name in ADOPTED_VARIABLES}
        return Running(
            launch=replace(self.launch, env=env), pid=self.pid, port=self.port, ready=self.ready, stopping=self.stopping
        )

    def read_output(self) -> bool:
        """Log what it wrote; False at the end of its output."""
        try:
            data = os.read(self.output_fd, READ_BYTES)
        except BlockingIOError:
            return True
        lines = self.lines.feed(data) if data else self.lines.end()
        if lines:
            self.log.append(self.launch.instance, lines, time.time())
        return bool(data)

    def ask_to_end(self) -> None:
        """The watchdog lets its calls finish, then ends its own children."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """It and its group; on its own, too, for it may not have made its group yet."""
        for send in (os.kill, os.killpg):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                send(self.pid, signal.SIGKILL)


class ReplicaTable:
    """Has replicas forked, and reaps them. ``selector`` watches their pipes with the replica as data."""

    def __init__(self, selector: selectors.BaseSelector, around: Surroundings, bind_host: str) -> None:
        self._selector, self._around, self._bind_host = selector, around, bind_host
        self._by_pid: dict[int, ForkedReplica] = {}
        self._logs: dict[str, LogWriter] = {}

    def __repr__(self) -> str:
        return f"<ReplicaTable {len(self._by_pid)} replicas>"

    def __len__(self) -> int:
        return len(self._by_pid)

    def all(self) -> list[ForkedReplica]:
        return list(self._by_pid.values())

    def get(self, instance: str) -> ForkedReplica | None:
        return next((replica for replica in self._by_pid.values() if replica.launch.instance == instance), None)

    def spawn(self, launch: Launch, fork: Fork) -> ForkedReplica:
        """A new replica. Raises OSError when the system gives no process, port or descriptor."""
        with contextlib.ExitStack() as undo:
            listener = undo.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            listener.bind((self._bind_host, 0))
            ready_read, ready_write = _pipe(undo)
            output_read, output_write = _pipe(undo)
            log = self.open_log(launch)
            if self._around.cgroups is not None and launch.limited:
                self._around.cgroups.create(
                    launch.instance,
                    memory_bytes=launch.memory_bytes,
                    cpu_millis=launch.cpu_millis,
                    processes=launch.processes,
                )
            pid = fork(self._around.start(launch), Inherited(listener.fileno(), ready_write, output_write))
            port = listener.getsockname()[1]
            undo.pop_all()
        listener.close()
        os.close(ready_write)
        os.close(output_write)
        replica = ForkedReplica(launch, pid, port, ready_read, output_read, log)
        for fd in (ready_read, output_read):
            os.set_blocking(fd, False)
            self._selector.register(fd, selectors.EVENT_READ, replica)
        self._by_pid[pid] = replica
        return replica

    def note(self, note: Note) -> None:
        """Write a line of the provider's into a function's log, if that is still there."""
        if not Path(note.log_folder).is_dir():
            return
        log = self._logs.get(note.log_folder) or LogWriter(Path(note.log_folder), note.log_limit_bytes)
        log.append(note.instance, [line.encode() for line in note.text.splitlines()], time.time())
        if note.log_folder not in self._logs:
            log.close()

    def became_ready(self, replica: ForkedReplica) -> bool:
        """Its ready pipe has something: a byte says it answers; the pipe's end without one that it died first."""
        replica.ready = replica.ready or bool(os.read(replica.ready_fd, 1))
        self._forget_fd(replica.ready_fd)
        replica.ready_fd = -1
        return replica.ready

    def output_ended(self, replica: ForkedReplica) -> None:
        self._forget_fd(replica.output_fd)
        replica.output_fd = -1

    def reap(self, servers: ForkServers) -> list[Exited]:
        """Collect every child that ended; end what ended replicas leave behind."""
        exits = []
        while (pid := _next_zombie()) is not None:
            servers.ended(pid)
            replica = self._by_pid.pop(pid, None)
            if replica is not None:
                replica.kill()  # Its group, before the id is free for another process.
            _, status, used = os.wait4(pid, 0)
            if replica is not None:
                cpu_s = used.ru_utime + used.ru_stime
                exits.append(self._buried(replica, os.waitstatus_to_exitcode(status), cpu_s))
        # A replica takes in the orphans of its own; one that reaches us has outlived its replica.
        orphans = set(kernel.children()) - self._by_pid.keys() - servers.pids
        if orphans and servers.telling():
            return exits  # One may be a spare that we have not heard of yet; when we have, we look again.
        for orphan in orphans:
            with contextlib.suppress(ProcessLookupError):
                os.kill(orphan, signal.SIGKILL)
        return exits

    def _buried(self, replica: ForkedReplica, code: int, cpu_s: float) -> Exited:
        for _ in range(MAX_LAST_READS):
            if replica.output_fd < 0 or not _readable(replica.output_fd) or not replica.read_output():
                break
        for fd in (replica.ready_fd, replica.output_fd):
            if fd >= 0:
                self._forget_fd(fd)
        replica.ready_fd = replica.output_fd = -1
        reason = replica.killed_because or _reason(code)
        cgroups, launch = self._around.cgroups, replica.launch
        if cgroups is not None and launch.limited:
            if cgroups.ran_out_of_memory(launch.instance):
                reason = OUT_OF_MEMORY
            cpu_s = max(cpu_s, cgroups.processor_seconds(launch.instance))
            cgroups.remove(launch.instance)
        self.close_unused_log(launch.log_folder)
        return Exited(launch.instance, reason, replica.lines.last, cpu_s)

    def open_log(self, launch: Launch) -> LogWriter:
        """The one writer of a function's log."""
        if launch.log_folder not in self._logs:
            self._logs[launch.log_folder] = LogWriter(Path(launch.log_folder), launch.log_limit_bytes)
        return self._logs[launch.log_folder]

    def close_unused_log(self, folder: str) -> None:
        if not any(replica.launch.log_folder == folder for replica in self._by_pid.values()):
            log = self._logs.pop(folder, None)
            if log is not None:
                log.close()

    def _forget_fd(self, fd: int) -> None:
        self._selector.unregister(fd)
        os.close(fd)


def _pipe(undo: contextlib.ExitStack) -> tuple[int, int]:
    read, write = os.pipe()
    undo.callback(os.close, read)
    undo.callback(os.close, write)
    return read, write


def _next_zombie() -> int | None:
    """A child that ended and is not collected yet, so that its id is still its own."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return found.si_pid if found is not None else None


def _readable(fd: int) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        return bool(selector.select(0))


def _reason(code: int) -> str:
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exited with status {code}"
