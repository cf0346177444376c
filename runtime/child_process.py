"""A process that a supervisor keeps: what it is, how it is started, and what it leaves in its log."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from asyncio.subprocess import DEVNULL, STDOUT
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from springtide.runtime.errors import Unavailable
from springtide.runtime.liveness import Probe
from springtide.runtime.lossy_stream import append_to
from springtide.runtime.processes import die_with_parent
from springtide.runtime.zygote import Zygote

MAX_LOG_BYTES = 4 * 1024 * 1024
KEPT_LOG_BYTES = 1024 * 1024
TAIL_LINES = 15


def nothing_left() -> None: ...


def no_remedy(_said: str) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Member:
    """One of several parts that run in one child, which says of each how it is."""

    name: str
    log: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """One process to keep running, and how long it may take to start and to stop."""

    name: str
    command: tuple[str, ...]
    log: Path
    ready: Probe | None = None
    """Whether it does its work, asked while it starts. None for one with members: it tells when they are ready."""
    alive: Probe | None = None
    """Whether it answers at all, asked for as long as it runs. One with members beats instead."""
    forked: tuple[str, ...] = ()
    """What to run as a fork of the zygote, where there is one; the environment is then the zygote's."""
    members: tuple[Member, ...] = ()
    """They are told of on its standard input, which is a socket (``part_reports.Reporter``)."""
    vital: bool = True
    """Whether nothing shall run when it cannot be started. One that is not is tried again for as long as all runs."""
    mend: Callable[[str], str | None] = no_remedy
    """Given what it logged before it ended at its start: what was done so that the next may succeed, if anything."""
    hung_after_s: float = 15.0
    """How long it may go without an answer, or a beat, before it is killed."""
    environment: Mapping[str, str] = field(default_factory=dict)
    ready_within_s: float = 30.0
    grace_s: float = 10.0
    end_rest: Callable[[], None] = nothing_left
    """Ends what it leaves behind when it is killed because nobody wants to wait. Blocks for a moment."""
    stops_first: bool = False
    """Stopped before all others, whatever its stage: the public listener, and who would keep it from ending."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of what runs in it."""
        return tuple(member.name for member in self.members) or (self.name,)

    @property
    def logs(self) -> tuple[Path, ...]:
        return (self.log, *(member.log for member in self.members))


class Process(Protocol):
    """A running child. ``terminate`` and ``kill`` of one that has ended may raise ProcessLookupError."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None:
        """As ``subprocess`` has it: the exit status, or the signal that killed it as a negative number."""

    async def wait(self) -> int: ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...


async def spawn(child: Child, zygote: Zygote | None, stdin: socket.socket | None) -> Process:
    """In a session of its own; a fork where that can be, else the program. Raises OSError when it cannot be started."""
    if zygote is not None and child.forked:
        with contextlib.suppress(Unavailable):
            return await zygote.fork(child.forked, log=child.log, stdin=stdin)
    with append_to(child.log) as log:
        return await asyncio.create_subprocess_exec(
            *child.command,
            env=dict(child.environment),
            stdin=DEVNULL if stdin is None else stdin.fileno(),
            stdout=log,
            stderr=STDOUT,
            start_new_session=True,
            preexec_fn=_dies_with_parent(os.getpid()),
        )


def _dies_with_parent(parent: int) -> Callable[[], None]:
    """What a new process does before it becomes the program: ask to be killed with its parent."""

    def before_exec() -> None:
        die_with_parent()
        if os.getppid() != parent:  # died before we asked
            os._exit(1)

    return before_exec


def size(log: Path) -> int:
    try:
        return log.stat().st_size
    except OSError:
        return 0


def tail(log: Path, *, since: int = 0, lines: int = TAIL_LINES) -> str:
    """The last lines of a log, from byte ``since`` on; empty when there is none."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(since if since <= size else 0, size - 64 * 1024))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def trim(log: Path) -> None:
    """Bound a log that is being appended to: past the limit its last part moves to ``<name>.1`` and it starts empty.

    Copied and truncated in place, because the writers hold it open; a line written in between may be lost. On a disk
    that is full the last part is lost, too: the bound holds, and so does whoever calls this.
    """
    kept = log.with_name(log.name + ".1")
    with contextlib.suppress(OSError):
        if log.stat().st_size <= MAX_LOG_BYTES:
            return
        with log.open("r+b") as file:
            file.seek(-KEPT_LOG_BYTES, os.SEEK_END)
            end = file.read()
            file.truncate(0)
            try:
                kept.write_bytes(end)
            except OSError:
                kept.unlink(missing_ok=True)


def how_ended(code: int) -> str:
    """A process's end in two words, from its return code as ``subprocess`` gives it."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
