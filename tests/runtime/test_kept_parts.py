"""Several parts in one process, in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import structlog

from springtide.runtime import logs
from springtide.runtime.errors import Unavailable
from springtide.runtime.kept_parts import Part, PartLogs, keep
from springtide.runtime.part_reports import Event
from springtide.runtime.service import Service

pytestmark = pytest.mark.virtual_time


class Works:
    """A service that fails at its start while ``refuses``, and whenever it is told to."""

    name = "works"

    def __init__(self) -> None:
        self.refuses: Exception | None = None
        self.starts = 0
        self.running = False
        self.fails: asyncio.Future[None]

    async def start(self) -> None:
        self.starts += 1
        if self.refuses is not None:
            raise self.refuses
        self.running = True
        self.fails = asyncio.get_running_loop().create_future()

    async def stop(self) -> None:
        self.running = False

    async def wait(self) -> None:
        await self.fails

    def part(self, name: str, log: Path | None = None) -> Part:
        @contextlib.asynccontextmanager
        async def assembled() -> AsyncIterator[Sequence[Service]]:
            structlog.get_logger().info("assembled")
            yield [self]

        return Part(name=name, assemble=assembled, log=log)


class Story:
    def __init__(self, *parts: Part) -> None:
        self.events: list[Event] = []
        self._until = asyncio.Event()
        self._kept = asyncio.create_task(keep(parts, report=self.events.append, until=self._until))

    async def end(self) -> None:
        self._until.set()
        await self._kept

    def told(self, part: str) -> list[str]:
        return [f"{event.what} {event.detail}" for event in self.events if event.child == part]


async def test_part_that_fails_is_started_again_and_the_other_goes_on() -> None:
    idler, console = Works(), Works()
    told = Story(idler.part("idler"), console.part("console"))
    await asyncio.sleep(1)
    idler.fails.set_exception(Unavailable("no provider"))
    await asyncio.sleep(1)

    assert told.told("idler") == ["ready ready", "died failed: no provider; starting again in 0.1 s", "ready ready"]
    assert told.told("console") == ["ready ready"]
    assert (idler.starts, console.starts, idler.running) == (2, 1, True)
    await told.end()
    assert not idler.running
    assert not console.running


async def test_part_that_goes_on_failing_is_started_at_growing_intervals() -> None:
    idler = Works()
    idler.refuses = KeyError("a bug")
    told = Story(idler.part("idler"))
    await asyncio.sleep(1)

    assert told.told("idler") == [
        "failed failed (KeyError: 'a bug'); starting again in 0.1 s",
        "failed failed (KeyError: 'a bug'); starting again in 0.2 s",
        "failed failed (KeyError: 'a bug'); starting again in 0.4 s",
        "failed failed (KeyError: 'a bug'); starting again in 0.8 s",
    ]
    await told.end()


async def test_part_that_was_steady_starts_again_at_the_first_interval() -> None:
    idler = Works()
    told = Story(idler.part("idler"))
    for _ in range(3):
        await asyncio.sleep(31)
        idler.fails.set_result(None)
    await asyncio.sleep(1)

    assert told.told("idler")[1::2] == ["died ended; starting again in 0.1 s"] * 3
    await told.end()


async def test_each_part_writes_its_own_log(tmp_path: Path) -> None:
    logs.configure(stream=PartLogs())
    try:
        told = Story(Works().part("idler", tmp_path / "idler.log"), Works().part("console", tmp_path / "console.log"))
        structlog.get_logger().info("of the process")
        await asyncio.sleep(1)
        await told.end()
    finally:
        structlog.reset_defaults()

    for name in ("idler", "console"):
        assert (tmp_path / f"{name}.log").read_text().count('"event": "assembled"') == 1
        assert "of the process" not in (tmp_path / f"{name}.log").read_text()
