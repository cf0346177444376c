"""The zygote's own process: it waits for words, forks, and gives the fork to its maker as a child.

No event loop and no threads here, so that a fork is safe.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from springtide.runtime.lossy_stream import leave
from springtide.runtime.processes import die_with_parent, set_process_name

Main = Callable[[Sequence[str]], int]
"""Runs a command line; returns the exit status."""

MAX_COMMAND_BYTES = 128 * 1024

_NOT_FOR_US = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""A terminal signals the whole group; only the maker decides when the zygote ends."""


@dataclass(frozen=True, slots=True)
class _Pipes:
    """Of one fork. ``told`` and ``tell``: which process it is; ``go`` and ``let_go``: its end is the sign to begin."""

    told: int
    tell: int
    go: int
    let_go: int


def _answer(pid: int, error: OSError | None = None) -> bytes:
    return json.dumps([pid, error.errno if error is not None else 0]).encode()


class ZygoteServer:
    """In a fork of the maker; ``serve`` is the last that the fork does."""

    def __init__(self, control: socket.socket, main: Main, maker: int) -> None:
        self._control, self._main, self._maker = control, main, maker
        # Blocked and not ignored: what is sent to a fork before it is itself finds it once it is.
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, _NOT_FOR_US)

    def __repr__(self) -> str:
        return f"<zygote of process {self._maker}>"

    def serve(self) -> NoReturn:
        """Until the maker is gone."""
        try:
            _die_with(self._maker)
            os.setsid()
            set_process_name("zygote")
            self._let_go()
            nothing = os.open(os.devnull, os.O_RDWR)
            for standard in (0, 1, 2):
                os.dup2(nothing, standard)
            os.close(nothing)
            while True:
                data, descriptors, _, _ = socket.recv_fds(self._control, MAX_COMMAND_BYTES, 2)
                if not data:
                    break
                self._fork(json.loads(data), descriptors)
        finally:
            os._exit(0)

    def _let_go(self) -> None:
        """Of what the maker has open: a lock would be held by whatever outlives it."""
        ours = self._control.fileno()
        os.closerange(3, ours)
        os.closerange(ours + 1, 2**31 - 1)

    def _fork(self, words: Sequence[str], descriptors: list[int]) -> None:
        """By way of a process between us, whose end makes the new one the maker's child."""
        pipes = _Pipes(*os.pipe(), *os.pipe())
        try:
            between = os.fork()
            if between == 0:
                self._divide(words, descriptors, pipes)
            os.close(pipes.tell)
            answer = os.read(pipes.told, 100)
            os.waitpid(between, 0)
        except OSError as error:
            os.close(pipes.tell)
            answer = _answer(0, error)
        with contextlib.suppress(OSError):  # the maker is gone: the next read says so
            self._control.send(answer)
        for descriptor in (pipes.told, pipes.go, pipes.let_go, *descriptors):
            os.close(descriptor)

    def _divide(self, words: Sequence[str], descriptors: list[int], pipes: _Pipes) -> NoReturn:
        try:
            pid = os.fork()
            if pid:
                os.write(pipes.tell, _answer(pid))
                os._exit(0)
        except OSError as error:
            os.write(pipes.tell, _answer(0, error))
            os._exit(1)
        status = 1
        try:
            os.close(pipes.told)
            os.close(pipes.tell)
            os.close(pipes.let_go)
            os.read(pipes.go, 1)  # ends when the process between is gone and the maker has been told
            os.close(pipes.go)
            self._become(words, descriptors)
            status = self._main(words)
        except BaseException:  # noqa: BLE001 - the last frame of this process: whatever it is, it goes to the log
            sys.excepthook(*sys.exc_info())
        finally:
            leave(status)

    def _become(self, words: Sequence[str], descriptors: list[int]) -> None:
        _die_with(self._maker)
        os.setsid()
        set_process_name(words[0])
        self._control.close()
        log, *stdin = descriptors
        for descriptor, standard in ((log, 1), (log, 2), *((given, 0) for given in stdin)):
            os.dup2(descriptor, standard)
        for descriptor in descriptors:
            os.close(descriptor)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)


def _die_with(maker: int) -> None:
    die_with_parent()
    if os.getppid() != maker:  # it died before we asked
        os._exit(1)
