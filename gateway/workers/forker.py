"""The fork server: a small process that has imported what a worker needs, so that a worker is a fork and not a start.

No event loop and no threads here, so that a fork is safe. It outlives a master that was killed just long enough for the
workers to finish their calls. Started by ``ForkServer``, not by people.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Sequence
from typing import NoReturn

from springtide.gateway.workers import worker
from springtide.gateway.workers.launch import Launch
from springtide.runtime.lossy_stream import leave
from springtide.runtime.processes import die_with_parent, set_process_name

MAX_LAUNCH_BYTES = 256 * 1024
MAX_DESCRIPTORS = 3
"""Of a worker: its listening socket, its channel to the master, and the memory that workers share."""
MARGIN_S = 5.0
"""What a worker gets beyond its grace before it is killed."""

LATE = (
    "anyio._backends._asyncio",
    "anyio.streams.tls",
    "encodings.idna",
    "httpcore",
    "uvicorn.lifespan.off",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
)
"""What libraries import at their first use: 40 ms that each worker would take. One that is not there is not missed."""

_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""A terminal or a service manager may signal the whole group: only the master decides, and workers hear of it."""


def run(master: socket.socket) -> NoReturn:
    """``main`` in a fork of the master."""
    status = 1
    try:
        os.setsid()
        main(master)
        status = 0
    except BaseException:  # noqa: BLE001 - the last frame of this process: whatever it is, it goes to the log
        sys.excepthook(*sys.exc_info())
    finally:
        leave(status)


def main(master: socket.socket) -> None:
    """Serve until the master is gone and every worker has ended."""
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    import_late()
    gc.collect()
    gc.freeze()  # so that a worker's first collection does not copy every page that it shares with us
    set_process_name("gateway forks")
    _Forker(master).serve()


def import_late() -> None:
    for name in LATE:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


class _Forker:
    def __init__(self, master: socket.socket) -> None:
        self._master = master
        self._woken, self._wakes = os.pipe()
        for end in (self._woken, self._wakes):
            os.set_blocking(end, False)
        self._workers: set[int] = set()
        self._grace_s = 0.0

    def serve(self) -> None:
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wakes, warn_on_full_buffer=False)
        with selectors.DefaultSelector() as selector:
            selector.register(self._master, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._master:
                        data, descriptors, _, _ = socket.recv_fds(self._master, MAX_LAUNCH_BYTES, MAX_DESCRIPTORS)
                        if not data:
                            self._end()
                            return
                        self._fork(data, descriptors)
                    else:
                        self._reap()

    def _fork(self, data: bytes, descriptors: Sequence[int]) -> None:
        launch = Launch.decode(data)
        self._grace_s = launch.settings.grace_s
        try:
            pid = os.fork()
        except OSError as error:  # too many processes, or too little memory: those that run shall go on
            _close(descriptors)
            self._tell([launch.number, 0, error.errno or 0])
            return
        if pid == 0:
            self._become(launch, *descriptors)
        self._workers.add(pid)
        _close(descriptors)
        # It cannot be another's: an ended one stays ours until it is reaped.
        held = os.pidfd_open(pid)
        self._tell([launch.number, pid], held)
        os.close(held)

    def _become(self, launch: Launch, listener: int, channel: int, memory: int | None = None) -> NoReturn:
        """The worker; never returns into the server's code."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (*_IGNORED, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            os.setsid()
            set_process_name(f"gateway {launch.number}")
            server = os.getppid()
            die_with_parent(signal.SIGTERM)
            if os.getppid() == server:  # else it died before we asked
                self._master.close()
                os.close(self._woken)
                os.close(self._wakes)
                status = worker.run(launch, socket.socket(fileno=listener), socket.socket(fileno=channel), memory)
        except BaseException:  # noqa: BLE001 - the last frame of this process: whatever it is, it goes to the log
            sys.excepthook(*sys.exc_info())
        finally:
            leave(status)

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._woken, 4096):
                pass
        while self._workers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            self._workers.discard(pid)
            self._tell([0, pid, os.waitstatus_to_exitcode(status)])

    def _tell(self, words: list[int], *descriptors: int) -> None:
        with contextlib.suppress(OSError):  # gone: the next read says so
            socket.send_fds(self._master, [json.dumps(words).encode()], list(descriptors))

    def _end(self) -> None:
        """The master is gone. Workers drain; one that hangs is killed."""
        for pid in self._workers:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + self._grace_s + MARGIN_S
        while self._workers and time.monotonic() < deadline:
            with selectors.DefaultSelector() as selector:
                selector.register(self._woken, selectors.EVENT_READ)
                selector.select(deadline - time.monotonic())
            self._reap()
        for pid in self._workers:
            os.kill(pid, signal.SIGKILL)


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
