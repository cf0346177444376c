"""Child processes, started in stages, kept running, stopped in reverse: the Service a process of processes is made of.

Each child has its own session, so Ctrl-C on a terminal reaches only the supervisor, which then stops the children in
order. On Linux the kernel kills a child whose supervisor died in whatever way; elsewhere only an orderly stop ends
them. What a child writes goes straight to a file, not through a pipe, so nothing it (or a process it leaves for its
successor) writes can block or break when the supervisor is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import enum
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from springtide.runtime.errors import Unavailable

Probe = Callable[[], Awaitable[bool]]
"""Whether a child does its work now. Must have a deadline of its own."""

MIN_DELAY_S, MAX_DELAY_S = 0.1, 15.0
STEADY_AFTER_S = 30.0
"""A child that ran this long starts again at the first delay."""
PROBE_EVERY_S = 0.02
MAX_LOG_BYTES = 4 * 1024 * 1024
KEPT_LOG_BYTES = 1024 * 1024
TRIM_EVERY_S = 5.0
TAIL_LINES = 15
_PR_SET_PDEATHSIG = 1


class Happening(enum.StrEnum):
    READY = "ready"
    DIED = "died"
    FAILED = "failed"
    STOPPED = "stopped"
    KILLED = "killed"


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to a child. ``detail`` is a sentence for a person, without the child's name."""

    child: str
    what: Happening
    detail: str


Report = Callable[[Event], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """One process to keep running, the probe that says it works, and how long it may take to start and to stop."""

    name: str
    command: tuple[str, ...]
    log: Path
    ready: Probe
    environment: Mapping[str, str] = field(default_factory=dict)
    ready_within_s: float = 30.0
    grace_s: float = 10.0
    stops_first: bool = False
    """Stopped before all others, whatever its stage: the public listener."""


def restart_delay_s(failures: int) -> float:
    """The pause before the next start after so many deaths in a row: 0.1 s, doubling, at most 15 s."""
    return min(MIN_DELAY_S * 2.0 ** min(failures - 1, 30), MAX_DELAY_S)


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

    Copied and truncated in place, because the writers hold it open; a line written in between may be lost.
    """
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size <= MAX_LOG_BYTES:
            return
        with log.open("r+b") as file:
            file.seek(-KEPT_LOG_BYTES, os.SEEK_END)
            log.with_name(log.name + ".1").write_bytes(file.read())
            file.truncate(0)


class Supervisor:
    """Starts stage after stage, each once the one before is ready; children of a stage start side by side."""

    name = "supervisor"

    def __init__(self, stages: Sequence[Sequence[Child]], *, report: Report) -> None:
        self._stages = [[_Kept(child, report) for child in stage] for stage in stages]
        self._tasks: list[asyncio.Task[None]] = []

    def __repr__(self) -> str:
        return f"<Supervisor {self.pids()}>"

    def pids(self) -> dict[str, int]:
        """The process of each child that runs now."""
        return {kept.child.name: pid for kept in self._all() if (pid := kept.pid) is not None}

    async def start(self) -> None:
        """Raises Unavailable with the end of the child's log when one does not come up."""
        for stage in self._stages:
            starts = [asyncio.create_task(kept.start(), name=kept.child.name) for kept in stage]
            try:
                await asyncio.gather(*starts)
            finally:
                await _cancelled(starts)
            self._tasks += [asyncio.create_task(kept.keep(), name=kept.child.name) for kept in stage]
        self._tasks.append(asyncio.create_task(self._trim_logs(), name="trim logs"))

    async def stop(self) -> None:
        await _cancelled(self._tasks)
        first = [kept for kept in self._all() if kept.child.stops_first]
        rest = [[kept for kept in stage if kept not in first] for stage in reversed(self._stages)]
        for group in (first, *rest):
            await asyncio.gather(*(kept.stop() for kept in group))

    async def wait(self) -> None:
        """Children that die are restarted, so this ends only by an error of our own."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    def _all(self) -> Iterable[_Kept]:
        return (kept for stage in self._stages for kept in stage)

    async def _trim_logs(self) -> None:
        while True:
            for kept in self._all():
                trim(kept.child.log)
            await asyncio.sleep(TRIM_EVERY_S)


class _Kept:
    """One child and the process it is at the moment."""

    def __init__(self, child: Child, report: Report) -> None:
        self.child = child
        self._report = report
        self._process: Process | None = None
        self._ready_at: float | None = None

    @property
    def pid(self) -> int | None:
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(self) -> None:
        """Start it once; raises Unavailable when it does not become ready."""
        since = self.child.log.stat().st_size if self.child.log.exists() else 0
        problem = await self._start()
        if problem is not None:
            await self.stop(quietly=True)
            shown = tail(self.child.log, since=since)
            said = f":\n{shown}" if "\n" in shown else f": {shown}" if shown else f"; see {self.child.log}"
            raise Unavailable(f"{self.child.name} {problem}{said}")

    async def keep(self) -> None:
        """Start it again whenever it ends, for ever."""
        failures = 0
        while True:
            assert self._process is not None
            ended = f"ended ({how_ended(await self._process.wait())})"
            failures = 1 if self._steady() else failures + 1
            problem: str | None = ended
            what = Happening.DIED
            while problem is not None:
                delay_s = restart_delay_s(failures)
                self._say(what, f"{problem}; starting again in {delay_s:g} s")
                await asyncio.sleep(delay_s)
                problem, what = await self._start(), Happening.FAILED
                if problem is not None:
                    await self.stop(quietly=True)
                    failures += 1

    async def stop(self, *, quietly: bool = False) -> None:
        """SIGTERM, and SIGKILL once its grace is over. Idempotent."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        what, detail = Happening.STOPPED, "stopped"
        try:
            await asyncio.wait_for(process.wait(), self.child.grace_s)
        except TimeoutError:
            what, detail = Happening.KILLED, f"did not stop within {self.child.grace_s:g} s and was killed"
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if not quietly:
            self._say(what, detail)

    async def _start(self) -> str | None:
        """Start the process and wait until it is ready; why it is not, or None."""
        self._ready_at = None
        try:
            self._process = await _spawn(self.child)
        except OSError as error:
            return f"cannot be started ({error.strerror}: {self.child.command[0]})"
        problem = await self._until_ready(self._process)
        if problem is None:
            self._ready_at = asyncio.get_running_loop().time()
            self._say(Happening.READY, f"ready (process {self._process.pid})")
        return problem

    async def _until_ready(self, process: Process) -> str | None:
        died = asyncio.create_task(process.wait())
        probed = asyncio.create_task(_answers(self.child.ready))
        try:
            done, _ = await asyncio.wait(
                {died, probed}, timeout=self.child.ready_within_s, return_when=asyncio.FIRST_COMPLETED
            )
            if died in done:
                return f"ended while starting ({how_ended(died.result())})"
            if probed in done:
                probed.result()
                return None
            return f"was not ready within {self.child.ready_within_s:g} s"
        finally:
            await _cancelled([died, probed])

    def _steady(self) -> bool:
        return self._ready_at is not None and asyncio.get_running_loop().time() - self._ready_at >= STEADY_AFTER_S

    def _say(self, what: Happening, detail: str) -> None:
        self._report(Event(self.child.name, what, detail))


async def _spawn(child: Child) -> Process:
    with child.log.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *child.command,
            env=dict(child.environment),
            stdin=DEVNULL,
            stdout=log,
            stderr=STDOUT,
            start_new_session=True,
            preexec_fn=_dies_with_parent(),
        )


def _dies_with_parent() -> Callable[[], None] | None:
    """What a new process does before it becomes the program: ask to be killed with its parent.

    Everything is looked up before the fork, so that only two system calls are made between fork and exec.
    """
    if sys.platform != "linux":
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()
    option, number = ctypes.c_int(_PR_SET_PDEATHSIG), ctypes.c_ulong(signal.SIGKILL)

    def before_exec() -> None:
        prctl(option, number)
        if os.getppid() != parent:  # died before we asked
            os._exit(1)

    return before_exec


async def _answers(probe: Probe) -> None:
    while not await probe():  # noqa: ASYNC110 - another process becomes ready; no event of ours can say so
        await asyncio.sleep(PROBE_EVERY_S)


async def _cancelled(tasks: Sequence[asyncio.Task[None]] | Sequence[asyncio.Task[int] | asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def how_ended(code: int) -> str:
    """A process's end in two words, from its return code as ``subprocess`` gives it."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
