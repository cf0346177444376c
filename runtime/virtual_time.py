"""An event loop whose time jumps instead of passing: hours of a control loop run in milliseconds, to the exact second.

Only for code that waits on nothing but time and other tasks. Real sockets and processes need the real loop.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

EPOCH = 1_700_000_000.0
"""Where virtual wall time starts, so that code that confuses the two clocks fails loudly."""


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits: the time it was asked to wait is added to the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.elapsed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("every task waits for something that is not time: this would hang for ever")
            self.elapsed += timeout
        return ready


class VirtualClock:
    """Both clocks of ``scaler.core.ports.Clock``, at the loop's virtual time."""

    def __init__(self, selector: _JumpingSelector) -> None:
        self._selector = selector

    def now(self) -> float:
        return self._selector.elapsed

    def wall(self) -> float:
        return EPOCH + self._selector.elapsed


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """``loop.clock`` is what the code under test gets as its clock."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        # The nanosecond that the loop takes for its clock's resolution is lost to a float of 200 days, and then a timer
        # that is due never counts as due.
        self._clock_resolution = 1e-6
        self.clock = VirtualClock(self._jumping)

    def time(self) -> float:
        return self._jumping.elapsed


def run(main: Coroutine[Any, Any, T], loop: VirtualTimeLoop) -> T:
    """Run ``main`` to its end in virtual time and close the loop."""
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main)
