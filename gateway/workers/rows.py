"""Which worker has which row of the memory in which all see each other's calls; see ``gateway.shared_room``."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from springtide.gateway.shared_room import RoomMemory
from springtide.runtime.errors import reason_of

_log = structlog.get_logger(__name__)


class Rows:
    """Twice as many as there are workers, for each may be there beside the one that it replaces."""

    def __init__(self, workers: int) -> None:
        self.count = 2 * workers
        self._free: list[int] = []
        self._memory: RoomMemory | None = None

    def __repr__(self) -> str:
        return f"<Rows {len(self._free)} of {self.count} free>"

    @property
    def descriptors(self) -> Sequence[int]:
        return () if self._memory is None else (self._memory.descriptor,)

    def open(self) -> None:
        """Where there is no such memory each worker gives replicas its part of what they take."""
        try:
            self._memory = RoomMemory.create(self.count)
        except OSError as error:
            _log.warning("workers do not see each other's calls", reason=reason_of(error))
        else:
            self._free = [*reversed(range(self.count))]

    def take(self) -> int | None:
        """None where none is free."""
        return self._free.pop() if self._free else None

    def give_back(self, row: int | None) -> None:
        """Its worker has ended, or was never there."""
        if row is not None and self._memory is not None:
            self._memory.clear(row)
            self._free.append(row)

    def close(self) -> None:
        if self._memory is not None:
            self._memory.close()
            self._memory = None
