"""A builder that keeps what it was asked to build."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from springtide.provider.process.builder.archive import ArchiveLimits, unpack
from springtide.runtime.errors import BadInput


class RecordedBuild:
    """Fails where a file of the context says FAIL."""

    def __init__(self, image: str, files: dict[str, str]) -> None:
        self.image, self.files = image, files

    async def run(self, tell: Callable[[str], None]) -> None:
        tell(f"{len(self.files)} files")
        if any("FAIL" in text for text in self.files.values()):
            raise BadInput("No solution found")

    def discard(self) -> None:
        """Nothing is left of it."""


class RecordingBuilder:
    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.builds: list[RecordedBuild] = []

    async def accept(self, archive: IO[bytes]) -> RecordedBuild:
        with tempfile.TemporaryDirectory() as folder:
            request = await asyncio.to_thread(unpack, archive, Path(folder), ArchiveLimits())
            found = [file for file in request.context.rglob("*") if file.is_file()]
            files = {file.relative_to(request.context).as_posix(): file.read_text() for file in found}
        self.builds.append(RecordedBuild(request.image, files))
        return self.builds[-1]
