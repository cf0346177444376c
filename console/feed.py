"""What browsers wait for: that something changed. Each takes what is new at its own pace."""

from __future__ import annotations

import asyncio
import contextlib

from springtide.runtime.concurrency_limit import ConcurrencyLimit


class Feed:
    """A slow reader misses steps in between, not the newest: nothing is queued for anybody."""

    def __init__(self, max_readers: int, what: str) -> None:
        self._places = ConcurrencyLimit(max_readers, what)
        self._changed = asyncio.Event()
        self.version = 0
        """How often something became new."""

    def __repr__(self) -> str:
        return f"<Feed {self._places!r}>"

    @property
    def readers(self) -> int:
        return self._places.taken

    def notify(self) -> None:
        """Something is new."""
        self.version += 1
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def wait_for_change(self, timeout_s: float) -> bool:
        """Whether something became new since this was called, within that time."""
        try:
            await asyncio.wait_for(self._changed.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    def admit(self) -> None:
        """Raises TooMany when there are as many readers as may be."""
        self._places.check()

    def reader(self) -> contextlib.AbstractContextManager[None]:
        """Counts one in for as long as it reads; raises TooMany as ``admit`` does."""
        return self._places.place()
