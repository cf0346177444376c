"""All levels from one place: each source answers for the loads of its type."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from springtide.scaler.core.loads import Load
from springtide.scaler.core.observation import Level
from springtide.scaler.core.ports import LevelSource
from springtide.scaler.core.vocabulary import FunctionRef, Instant, NoData


class Levels:
    """Implements LevelSource over others, no two of which answer for the same type."""

    def __init__(self, *sources: LevelSource) -> None:
        self._sources = sources

    def __repr__(self) -> str:
        return f"<Levels {self._sources!r}>"

    async def aclose(self) -> None:
        await asyncio.gather(*(source.aclose() for source in self._sources))

    def levels(
        self, loads: Mapping[FunctionRef, Sequence[Load]], now: Instant
    ) -> dict[tuple[FunctionRef, str], Level | NoData]:
        return {key: level for source in self._sources for key, level in source.levels(loads, now).items()}
