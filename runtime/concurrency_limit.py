"""A bound on how many may do something at once, where the next one is refused and does not wait."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from springtide.runtime.errors import TooMany


class ConcurrencyLimit:
    """``what`` is what those who have a place hold: "streams of logs and decisions"."""

    def __init__(self, max_holders: int, what: str) -> None:
        self._max_holders, self._what = max_holders, what
        self.taken = 0

    def __repr__(self) -> str:
        return f"<ConcurrencyLimit {self.taken} of {self._max_holders} {self._what}>"

    def check(self) -> None:
        """Raises TooMany when none is free."""
        if self.taken >= self._max_holders:
            raise TooMany(f"{self._max_holders} {self._what} are open already; close one and try again")

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """One for as long as the block lasts. Raises TooMany when none is free."""
        self.check()
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1
