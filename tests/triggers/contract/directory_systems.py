"""A folder for the contract, into which files are written as any program would."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from springtide.triggers.source import Source
from tests.triggers.contract.building import built

TOPICS = ("orders", "invoices", "nobodys")


class DirectorySystem:
    connector = "directory-connector"
    at_least_once = shares = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)
        self.asked: Mapping[str, str] = {
            "kind": "directory",
            "path": str(folder),
            "topics": ",".join(TOPICS),
            "settle": "50ms",
            "interval": "20ms",
        }
        for topic in TOPICS:
            (folder / topic).mkdir(parents=True)

    def source(self) -> Source:
        return built(self.asked)

    async def publish(self, topic: str, bodies: Sequence[bytes]) -> None:
        for body in bodies:
            (self._folder / topic / f"event-{next(self._numbers)}").write_bytes(body)
        await asyncio.sleep(0)

    async def break_connections(self) -> None:
        """As a disk that is not mounted for a moment."""
        away = self._folder.with_name("away")
        self._folder.rename(away)
        await asyncio.sleep(0)
        away.rename(self._folder)


@contextlib.asynccontextmanager
async def directory(folder: Path) -> AsyncIterator[DirectorySystem]:
    yield DirectorySystem(folder / "incoming")
