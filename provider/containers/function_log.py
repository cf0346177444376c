"""A function's log: what its containers write, taken down as it comes, and notes of ours between."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from springtide.provider.containers.engine.client import Engine
from springtide.provider.machine.log_files import LineSplitter, LogWriter
from springtide.runtime.errors import SpringtideError
from springtide.scaler.core.ports import Clock

AGAIN_S = 1.0
"""Before output that was broken off is asked for again."""


class FunctionLog:
    """One writer, so that lines are in the order of their times whichever replica they come from.

    The time of a line is that at which it was read: engines tell whole seconds.
    """

    def __init__(self, open_writer: Callable[[], LogWriter], clock: Clock) -> None:
        self._open, self._clock = open_writer, clock
        self._writer: LogWriter | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._last: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<FunctionLog of {len(self._tasks)} containers>"

    def note(self, instance: str, text: str) -> None:
        """A line of ours."""
        self._write(instance, [f"springtide: {text}".encode()])

    def last_line(self, instance: str) -> str:
        return self._last.get(instance, "")

    def follow(self, engine: Engine, container: str, instance: str, *, since: float) -> None:
        """What it writes from ``since`` on, until it is ``forgotten`` or ends."""
        self.forget(instance)
        task = asyncio.create_task(self._follow(engine, container, instance, since=since), name=f"output {instance}")
        self._tasks[instance] = task

    async def drained(self, instance: str, *, deadline_s: float) -> None:
        """It has ended: what it wrote last is on its way."""
        if (task := self._tasks.get(instance)) is not None:
            await asyncio.wait([task], timeout=deadline_s)

    def forget(self, instance: str) -> None:
        self._last.pop(instance, None)
        if (task := self._tasks.pop(instance, None)) is not None:
            task.cancel()

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        for instance in list(self._tasks):
            self.forget(instance)
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    async def _follow(self, engine: Engine, container: str, instance: str, *, since: float) -> None:
        while True:
            splitter = LineSplitter()
            try:
                async with contextlib.aclosing(engine.output(container, since=since)) as output:
                    async for data in output:
                        self._write(instance, splitter.feed(data))
                        self._last[instance] = splitter.last
            except SpringtideError:
                # The engine is away, or the container: which of them, whoever looks after it finds out.
                since = self._clock.wall()
                await asyncio.sleep(AGAIN_S)
            else:
                self._write(instance, splitter.end())
                return

    def _write(self, instance: str, lines: list[bytes]) -> None:
        if lines:
            self._writer = self._writer or self._open()
            self._writer.append(instance, lines, self._clock.wall())
