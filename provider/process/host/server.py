"""The host's loop: commands in, events out, pipes read, children reaped, deadlines kept."""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from springtide.provider.process import kernel
from springtide.provider.process.host.fork_servers import ForkServer, ForkServers
from springtide.provider.process.host.provider_connection import ProviderConnection
from springtide.provider.process.host.replicas import ForkedReplica, ReplicaTable, Surroundings
from springtide.provider.process.host_protocol import (
    TOO_MANY_PROCESSES,
    VERSION,
    Exited,
    Hello,
    Kill,
    Launch,
    Message,
    Note,
    Ping,
    Pong,
    Ready,
    ServerStarted,
    Shutdown,
    Spawn,
    Spawned,
    Stop,
)
from springtide.watchdog.start import Inherited, Start

_NO_PROCESS = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
"""The system gives none; it is not the server's fault."""
_WAKE, _LISTEN = "wake", "listen"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostOptions:
    state_dir: Path
    bind_host: str
    orphan_grace_s: float
    """Without a provider for so long, everything ends."""
    drain_s: float
    """How long calls in flight get then."""
    identity: str
    """In the environment of every process below this host, by which a later host finds what was left behind.

    Its part before a ``-`` is the state folder's.
    """
    python: str
    """The interpreter of the default environment, whose fork server always runs."""
    environment_idle_s: float
    """How long a fork server that nothing needs stays."""
    walled: bool = False
    """Most functions have walls: the fork server that is there before the first function is one for those."""
    hidden: tuple[Path, ...] = ()
    """Of the suite, which no walled function sees, beside the state folder."""
    closed_ports: tuple[int, ...] = ()
    """Of the suite, which no walled function may call."""
    beside: bool = False
    """Another host lives and does nothing; what it has is not ours to end."""


class Host:
    """One per state folder."""

    def __init__(
        self, options: HostOptions, around: Surroundings, listener: socket.socket, environ: Mapping[str, str]
    ) -> None:
        self._options, self._around, self._listener = options, around, listener
        self._selector = selectors.DefaultSelector()
        self._replicas = ReplicaTable(self._selector, around, options.bind_host)
        self._servers = ForkServers(self._selector, environ, options.python, options.environment_idle_s, around.walled)
        self._waiting: dict[str, tuple[Launch, float | None]] = {}
        """Those that are not forked yet, and since when they wait for their server."""
        self._provider: ProviderConnection | None = None
        self._alone_since: float | None = time.monotonic()
        self._ending = False
        self._signalled: set[int] = set()
        self._wake_fd = self._catch_signals()
        self._selector.register(listener, selectors.EVENT_READ, _LISTEN)
        self._selector.register(self._wake_fd, selectors.EVENT_READ, _WAKE)

    def __repr__(self) -> str:
        return f"<Host {self._replicas!r} provider {self._provider!r}>"

    def serve(self) -> None:
        """Until told to end, or alone for too long, and the last replica is gone."""
        self._warm()
        # Orphans that were killed may have had children, which become ours in turn: they are waited for, too.
        while not (self._ending and not len(self._replicas) and not kernel.children()):
            for key, events in self._selector.select(self._patience()):
                self._handle(key, events)
            self._keep_deadlines()
            if self._ending and not len(self._replicas):
                self._servers.end()
        if self._provider is not None:
            self._provider.close()

    def _handle(self, key: selectors.SelectorKey, events: int) -> None:
        if key.data == _WAKE:
            self._on_signals()
        elif key.data == _LISTEN:
            self._accept()
        elif isinstance(key.data, ProviderConnection):
            self._talk(key.data, events)
        elif isinstance(key.data, ForkedReplica):
            self._on_pipe(key.data, key.fd)
        elif isinstance(key.data, ForkServer):
            if self._servers.heard(key.data):
                self._tell(ServerStarted(key.data.python, key.data.ready_after_s or 0.0))
            self._reap()

    def _on_pipe(self, replica: ForkedReplica, fd: int) -> None:
        # The replica may have been buried by an event before this one.
        if fd == replica.output_fd and not replica.read_output():
            self._replicas.output_ended(replica)
        elif fd == replica.ready_fd and self._replicas.became_ready(replica):
            self._tell(Ready(replica.launch.instance))
            self._servers.prepare(replica.launch.python, walled=self._walled(replica.launch))

    # Signals.

    def _catch_signals(self) -> int:
        read, write = os.pipe()
        for fd in (read, write):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, lambda number, _frame: self._signalled.add(number))
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda _number, _frame: None)  # A terminal's business, not ours.
        return read

    def _on_signals(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_fd, 4096)
        if signal.SIGTERM in self._signalled:
            self._end(self._options.drain_s)
        self._signalled.clear()
        self._reap()

    def _reap(self) -> None:
        for exited in self._replicas.reap(self._servers):
            self._tell(exited)

    # The provider.

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            accepted, _ = self._listener.accept()
            if self._provider is not None:
                self._provider.close()  # Only one provider has the state folder's lock: the other one is gone.
            self._provider = ProviderConnection(accepted, self._selector)
            # A provider that comes while we end for want of one goes on with us; what was told to stop still does.
            self._alone_since, self._ending = None, False
            self._tell(
                Hello(
                    version=VERSION,
                    pid=os.getpid(),
                    identity=self._options.identity,
                    limits_memory=self._around.cgroups is not None,
                    limits_cpu=self._around.cgroups is not None and self._around.cgroups.limits_cpu,
                    limits_processes=self._around.cgroups is not None and self._around.cgroups.limits_processes,
                    sandbox_problem=self._around.sandbox_problem,
                    walls=self._around.walled.walls,
                    missing_walls=self._around.missing_walls,
                    running=tuple(replica.running() for replica in self._replicas.all()),
                )
            )

    def _talk(self, provider: ProviderConnection, events: int) -> None:
        if provider is not self._provider:
            return
        for command in provider.exchange(events):
            self._obey(command)

    def _tell(self, message: Message) -> None:
        if self._provider is not None:
            self._provider.send(message)

    def _obey(self, command: Message) -> None:
        match command:
            case Spawn(launch):
                self._spawn(launch)
            case Stop(instance, grace_s):
                self._forget(instance, "was stopped before it started")
                self._stop(self._replicas.get(instance), grace_s)
            case Kill(instance, why):
                self._forget(instance, why)
                replica = self._replicas.get(instance)
                if replica is not None:
                    replica.killed_because = why
                    if why == TOO_MANY_PROCESSES:
                        kernel.kill_tree(replica.pid)
                    replica.kill()
            case Note():
                with contextlib.suppress(OSError):
                    self._replicas.note(command)
            case Ping():
                self._tell(Pong())
            case Shutdown(grace_s):
                self._end(grace_s)

    # Starts.

    def _warm(self) -> None:
        """The default server is there before the first function asks for it."""
        with contextlib.suppress(OSError):  # Whoever needs it is told why.
            self._servers.of(self._options.python, walled=self._options.walled and bool(self._around.walled.walls))

    def _walled(self, launch: Launch) -> bool:
        """Where this machine allows none, there is one server for all."""
        return launch.sandbox and bool(self._around.walled.walls)

    def _spawn(self, launch: Launch) -> None:
        """At once where the environment's server is ready, else when it is."""
        self._waiting[launch.instance] = launch, None
        self._replicas.open_log(launch)  # What is noted of the replica meanwhile has a place.
        try:
            server = self._servers.of(launch.python, walled=self._walled(launch))
        except OSError as error:
            self._server_says(launch.instance, f"{launch.python}: {error.strerror or error}")
            return
        if server.ready_after_s is not None:
            self._server_says(launch.instance, "")
        else:
            self._waiting[launch.instance] = launch, time.monotonic()
            server.waiting.append(partial(self._server_says, launch.instance))

    def _server_says(self, instance: str, problem: str) -> None:
        """The server of one that waits is ready, or will never be."""
        launch, since = self._waiting.pop(instance, (None, None))
        if launch is None:
            return
        waited_s = time.monotonic() - since if since is not None else 0.0
        if problem:
            self._not_started(launch, f"could not be started: {problem}")
            return
        try:
            replica = self._replicas.spawn(launch, partial(self._fork, launch))
        except OSError as error:
            self._not_started(launch, f"could not be started: {error.strerror or error}")
            return
        self._tell(Spawned(instance, replica.pid, replica.port, waited_s))

    def _fork(self, launch: Launch, start: Start, inherited: Inherited) -> int:
        server = self._servers.of(launch.python, walled=self._walled(launch))
        try:
            return server.fork(start, inherited)
        except OSError as error:
            if error.errno not in _NO_PROCESS:
                self._servers.lose(server, "")  # It is gone, or does nothing: the next start has another one.
            raise

    def _forget(self, instance: str, why: str) -> None:
        """One that waits is not wanted any more."""
        launch, _ = self._waiting.pop(instance, (None, None))
        if launch is not None:
            self._not_started(launch, why)

    def _not_started(self, launch: Launch, why: str) -> None:
        self._replicas.close_unused_log(launch.log_folder)
        self._tell(Exited(launch.instance, why))

    # Ends.

    def _stop(self, replica: ForkedReplica | None, grace_s: float) -> None:
        if replica is None:
            return
        if not replica.stopping:
            replica.stopping = True
            replica.ask_to_end()
        deadline = time.monotonic() + grace_s
        replica.kill_at = deadline if replica.kill_at is None else min(deadline, replica.kill_at)

    def _end(self, grace_s: float) -> None:
        self._ending = True
        for instance in list(self._waiting):
            self._forget(instance, "was stopped before it started")
        for replica in self._replicas.all():
            self._stop(replica, grace_s)

    def _keep_deadlines(self) -> None:
        now = time.monotonic()
        if self._provider is not None and self._provider.closed:
            self._provider, self._alone_since = None, now
        if self._alone_since is not None and now - self._alone_since >= self._options.orphan_grace_s:
            self._alone_since = None
            self._end(self._options.drain_s)
        for replica in self._replicas.all():
            if replica.kill_at is not None and now >= replica.kill_at:
                replica.kill_at = None
                replica.kill()
        self._servers.keep_deadlines(now, self._in_use)

    def _in_use(self) -> set[tuple[str, bool]]:
        launches = [replica.launch for replica in self._replicas.all()]
        return {(launch.python, self._walled(launch)) for launch in launches}

    def _patience(self) -> float | None:
        deadlines = [replica.kill_at for replica in self._replicas.all() if replica.kill_at is not None]
        if self._alone_since is not None:
            deadlines.append(self._alone_since + self._options.orphan_grace_s)
        deadlines += self._servers.deadlines()
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None
