"""Several parts in one process, each kept running by itself: one that fails is built anew, and the others go on."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import structlog

from springtide.runtime import logs
from springtide.runtime.backoff import RESTART, STEADY_AFTER_S
from springtide.runtime.errors import SpringtideError, kind_and_reason_of, reason_of
from springtide.runtime.lossy_stream import LossyStream, append_to
from springtide.runtime.part_reports import Event, Happening, Report
from springtide.runtime.service import Service, run

Assembled = AbstractAsyncContextManager[Sequence[Service]]
"""Services in the order in which they start; leaving the context releases what they share."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """``assemble`` is called for every start. Without a ``log`` of its own it writes where the process does."""

    name: str
    assemble: Callable[[], Assembled]
    log: Path | None = None


async def keep(parts: Sequence[Part], *, report: Report, until: asyncio.Event) -> None:
    """Run them until ``until`` is set. What fails is told and started again, after a pause that grows."""
    async with asyncio.TaskGroup() as group:
        for part in parts:
            group.create_task(_Kept(part, report).keep(until), name=part.name)


class _Kept:
    def __init__(self, part: Part, report: Report) -> None:
        self._part = part
        self._report = report

    async def keep(self, until: asyncio.Event) -> None:
        failures = 0
        with _writing_to(self._part.log):
            while not until.is_set():
                ready = _Ready(self._say_ready)
                problem = await self._run(ready, until)
                if until.is_set():
                    return
                failures = 1 if ready.steady() else failures + 1
                delay_s = RESTART.delay_s(failures)
                what = Happening.FAILED if ready.at is None else Happening.DIED
                self._report(Event(self._part.name, what, problem, delay_s))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(until.wait(), delay_s)

    async def _run(self, ready: _Ready, until: asyncio.Event) -> str:
        """Once; why it ended."""
        try:
            async with self._part.assemble() as services:
                await run([*services, ready], until=until)
        except SpringtideError as error:
            _log.error("part failed", part=self._part.name, why=reason_of(error))
            return f"failed: {reason_of(error)}"
        except Exception as error:  # noqa: BLE001 - a bug in one part must not end the others; its log has it
            _log.exception("part failed", part=self._part.name)
            return f"failed ({kind_and_reason_of(error)})"
        return "ended"

    def _say_ready(self) -> None:
        self._report(Event(self._part.name, Happening.READY, "ready"))


class _Ready:
    """Last in the list of services, so it starts when all others have."""

    name = "ready"

    def __init__(self, say: Callable[[], None]) -> None:
        self._say = say
        self.at: float | None = None

    async def start(self) -> None:
        self.at = asyncio.get_running_loop().time()
        self._say()

    async def stop(self) -> None: ...

    async def wait(self) -> None:
        await asyncio.Event().wait()

    def steady(self) -> bool:
        return self.at is not None and asyncio.get_running_loop().time() - self.at >= STEADY_AFTER_S


_current: contextvars.ContextVar[LossyStream | None] = contextvars.ContextVar("log of the part", default=None)


class PartLogs:
    """A stream for the process's loggers: what a part's tasks write goes to that part's log."""

    def __init__(self) -> None:
        self._process = LossyStream(logs.STDERR)

    @property
    def lost(self) -> int:
        return self._stream().lost

    def write(self, text: str) -> int:
        return self._stream().write(text)

    def flush(self) -> None:
        self._stream().flush()

    def isatty(self) -> bool:
        return self._process.isatty()

    def _stream(self) -> LossyStream:
        return _current.get() or self._process


@contextlib.contextmanager
def _writing_to(log: Path | None) -> Iterator[None]:
    """For this task and all that it makes."""
    if log is None:
        yield
        return
    with append_to(log) as file:
        token = _current.set(LossyStream(file))
        try:
            yield
        finally:
            _current.reset(token)
