"""A bound of time around awaits: what ``asyncio.timeout`` does, which Python has since 3.11 only."""

from __future__ import annotations

import asyncio
from types import TracebackType


class Timeout:
    """An async context manager whose block raises TimeoutError once its time is over. Used once.

    Cancelled from outside, too, the cancellation wins where Python can tell the two apart (since 3.11).
    """

    def __init__(self, when: float | None) -> None:
        """``when``: in the running loop's time; None for no bound."""
        self._when = when
        self._timer: asyncio.TimerHandle | None = None
        self._expired = False

    def prolong(self, seconds: float | None) -> None:
        """From now on: begin anew, inside the block. Does nothing where the time is over."""
        if self._timer is not None and seconds is not None and not self._expired:
            self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_later(seconds, self._expire)

    def expired(self) -> bool:
        """Whether the time was over before the block."""
        return self._expired

    async def __aenter__(self) -> Timeout:
        task = asyncio.current_task()
        assert task is not None
        self._task: asyncio.Task[object] = task
        self._cancelled_before = task.cancelling() if hasattr(task, "cancelling") else 0
        if self._when is not None:
            self._timer = asyncio.get_running_loop().call_at(self._when, self._expire)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._expired:
            cancelled = self._task.uncancel() if hasattr(self._task, "uncancel") else 0
            if kind is asyncio.CancelledError and cancelled <= self._cancelled_before:
                raise TimeoutError

    def _expire(self) -> None:
        self._expired = True
        self._task.cancel()


def timeout(seconds: float | None) -> Timeout:
    """None for no bound."""
    return Timeout(None if seconds is None else asyncio.get_running_loop().time() + seconds)


def timeout_at(when: float) -> Timeout:
    return Timeout(when)
