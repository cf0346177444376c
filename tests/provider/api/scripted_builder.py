"""A builder that does what a test says, behind the real API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any

from tests.provider.api.served import Served, serving
from tests.provider.process.builder.archives import SECRET

NDJSON = {"Accept": "application/x-ndjson"}


class ScriptedBuild:
    """Tells two lines, then waits for ``go`` and ends, with an error if there is one."""

    def __init__(self, builder: ScriptedBuilder) -> None:
        self._builder = builder
        self.image = "fn:1"

    async def run(self, tell: Callable[[str], None]) -> None:
        tell("step one")
        tell("step two")
        self._builder.running += 1
        try:
            await self._builder.go.wait()
        finally:
            self._builder.running -= 1
        if self._builder.error is not None:
            raise self._builder.error

    def discard(self) -> None:
        self._builder.discarded += 1
        self._builder.over.set()


class ScriptedBuilder:
    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.go, self.over = asyncio.Event(), asyncio.Event()
        self.error: Exception | None = None
        self.refusal: Exception | None = None
        self.bodies: list[bytes] = []
        self.running = self.discarded = 0

    async def accept(self, archive: IO[bytes]) -> ScriptedBuild:
        self.bodies.append(archive.read())
        if self.refusal is not None:
            raise self.refusal
        return ScriptedBuild(self)


@asynccontextmanager
async def building(
    folder: Path, *, done: bool = True, **settings: Any
) -> AsyncIterator[tuple[Served, ScriptedBuilder]]:
    """A served API whose builds are over at once, unless ``done`` says otherwise."""
    secret = folder / "payload-secret"
    secret.write_bytes(b"\n " + SECRET + b" \n")
    builder = ScriptedBuilder(folder)
    if done:
        builder.go.set()
    async with serving(builder=builder, payload_secret=str(secret), **settings) as served:
        yield served, builder
