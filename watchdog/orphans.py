"""Collects processes that nobody else will: those whose own parent ended, so that they became this replica's.

A replica takes in the orphans of its descendants (it is a subreaper), and has to collect them, or each stays a zombie.
What it started itself is its starter's to collect, by ``subprocess``, ``multiprocessing`` or ``os.waitpid``: to take a
status away from those would lose it. The kernel does not tell the two apart, so what is started here is written down.
"""

from __future__ import annotations

import _posixsubprocess
import asyncio
import contextlib
import functools
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

PAUSE_S = 0.005
"""From the news that a child ended to the look: for code that starts processes past Python, and waits for them."""
MIN_LOOK_S, MAX_LOOK_S = 0.05, 1.0
"""Between looks, without such news: after a start, and while somebody is left for long."""
MAX_WRITTEN_DOWN = 256
"""Processes started and perhaps ended long ago, before they are looked through."""

_STARTERS = (
    (os, "fork"),
    (os, "forkpty"),
    (os, "posix_spawn"),
    (os, "posix_spawnp"),
    (_posixsubprocess, "fork_exec"),
    (subprocess, "_fork_exec"),
)
"""Every way by which Python starts a process; the last is the name that ``subprocess`` has for the one before."""


class OrphanCollector:
    """One for a process, and for all of its life."""

    def __init__(self) -> None:
        """Before the code whose processes are told apart is imported. From now on they are written down."""
        self._started: set[int] = set()
        self._starting: set[object] = set()
        self._look: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._looks, self._next_look_s = False, MIN_LOOK_S
        for module, name in _STARTERS:
            if hasattr(module, name):
                setattr(module, name, self._written_down(getattr(module, name)))

    def begin(self, *, looks: bool) -> None:
        """Collect, on the running loop of the main thread; unless the function sees to ended children itself.

        ``looks``: every process here is started on this loop, so that looking now and then, as long as there are any,
        is enough. To be told of each end, which a signal does, costs a fifth of what starting a process does.
        """
        self._loop, self._looks = asyncio.get_running_loop(), looks
        if signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL:
            if looks:
                self._look_soon()
            else:
                self._loop.add_signal_handler(signal.SIGCHLD, self._a_child_ended)
                self._a_child_ended()

    def __repr__(self) -> str:
        return f"<OrphanCollector {len(self._started)} started>"

    def _written_down(self, start: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(start)
        def started(*arguments: Any, **named: Any) -> Any:
            turn = object()
            self._starting.add(turn)
            try:
                result = start(*arguments, **named)
                pid = result[0] if isinstance(result, tuple) else result
                if pid:
                    self._started.add(pid)
                    if self._looks:
                        self._look_soon()
                return result
            finally:
                self._starting.discard(turn)

        return started

    def _look_soon(self) -> None:
        assert self._loop is not None
        if self._look is not None and self._next_look_s > MIN_LOOK_S:
            self._look.cancel()
            self._look = None
        if self._look is None:
            self._next_look_s = MIN_LOOK_S
            self._look = self._loop.call_later(MIN_LOOK_S, self._collect)

    def _a_child_ended(self) -> None:
        assert self._loop is not None
        if self._look is None:
            self._look = self._loop.call_later(PAUSE_S, self._collect)

    def _collect(self) -> None:
        self._look = None
        if self._starting:  # in another thread, and perhaps ended before it was written down
            self._a_child_ended()
            return
        children = _children_of_thread(os.getpid())
        if self._looks and children:
            assert self._loop is not None
            self._next_look_s = min(2 * self._next_look_s, MAX_LOOK_S)
            self._look = self._loop.call_later(self._next_look_s, self._collect)
        for pid in children - self._started:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        if len(self._started) > MAX_WRITTEN_DOWN:
            self._forget_ended()

    def _forget_ended(self) -> None:
        written_down = set(self._started)
        for thread in Path("/proc/self/task").iterdir():
            written_down -= _children_of_thread(int(thread.name))
        self._started -= written_down


def _children_of_thread(thread: int) -> set[int]:
    """Orphans are given to the main one, whose number is that of the process."""
    with contextlib.suppress(OSError):
        return {int(pid) for pid in Path(f"/proc/self/task/{thread}/children").read_bytes().split()}
    return set()
