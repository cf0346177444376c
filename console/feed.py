"""What browsers wait for: that something changed. Each takes what is new at its own pace."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from springtide.runtime.errors import TooMany


class Feed:
    """A slow reader misses steps in between, not the newest: nothing is queued for anybody."""

    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._what = what
        self._readers = 0
        self._changed = asyncio.Event()
        self.version = 0
        """How often something became new."""

    def __repr__(self) -> str:
        return f"<Feed {self._readers} of {self._most} readers>"

    @property
    def readers(self) -> int:
        return self._readers

    def tell(self) -> None:
        """Something is new."""
        self.version += 1
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def news(self, most_s: float) -> bool:
        """Whether something became new since this was called, within that time."""
        try:
            await asyncio.wait_for(self._changed.wait(), most_s)
        except TimeoutError:
            return False
        return True

    def admit(self) -> None:
        """Raises TooMany when there are as many readers as may be."""
        if self._readers >= self._most:
            raise TooMany(f"{self._most} {self._what} are open already; close one and try again")

    @contextlib.contextmanager
    def reader(self) -> Iterator[None]:
        """Counts one in for as long as it reads; raises TooMany as ``admit`` does."""
        self.admit()
        self._readers += 1
        try:
            yield
        finally:
            self._readers -= 1
