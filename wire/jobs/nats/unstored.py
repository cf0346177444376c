"""Streams that take nothing: a server whose disk is full answers no write to them, and goes on with all else.

Whoever finds that has waited for as long as an answer may take. Nobody else has to: until a write is answered one at a
time tries, and waits a moment only; all others are told at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from springtide.runtime.errors import Unavailable

TRIAL_S = 1.0
"""How long the caller waits whose write is the trial. It goes on without it: an answer that comes later counts, too."""

_Answer = TypeVar("_Answer")


class Unstored:
    """Of one connection. A server that comes back was started anew, and is believed: ``forget``."""

    def __init__(self) -> None:
        self._trials: dict[str, asyncio.Future[Any] | None] = {}
        """By stream, of those that take nothing."""

    def __repr__(self) -> str:
        return f"<Unstored: {', '.join(self._trials) or 'none'}>"

    def __len__(self) -> int:
        return len(self._trials)

    def forget(self) -> None:
        self._trials.clear()

    async def answered(self, stream: str, write: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """What ``write`` to the stream is answered. Raises what it raises, TimeoutError where nothing comes, and
        Unavailable where that is known before."""
        if stream not in self._trials:
            try:
                return await write()
            except TimeoutError:
                self._trials.setdefault(stream, None)
                raise
        if self._trials[stream] is not None:
            raise _nothing_stored(stream)
        trial = asyncio.ensure_future(write())
        self._trials[stream] = trial
        trial.add_done_callback(partial(self._tried, stream))
        done, _ = await asyncio.wait([trial], timeout=TRIAL_S)
        if not done:
            raise _nothing_stored(stream)
        return trial.result()

    def _tried(self, stream: str, trial: asyncio.Future[Any]) -> None:
        if trial.cancelled() or trial.exception() is not None:
            if self._trials.get(stream) is trial:
                self._trials[stream] = None
        else:
            self._trials.pop(stream, None)


def _nothing_stored(stream: str) -> Unavailable:
    return Unavailable(
        f"the queue's server stores nothing in {stream} now, as when its disk is full: it left a write unanswered. "
        "What was accepted before is kept; try again later"
    )
