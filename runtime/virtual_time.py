"""An event loop whose time jumps instead of passing: hours of a control loop run in milliseconds, to the exact second.

Only for code that waits on nothing but time and other tasks. Real sockets and processes need the real loop.
"""

from __future__ import annotations

import asyncio
import math
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
            # After some 200 days the loop's own tolerance of a nanosecond is less than the next time there is.
            self.elapsed = max(self.elapsed + timeout, math.nextafter(self.elapsed, math.inf) if timeout else 0.0)
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
        self.clock = VirtualClock(self._jumping)

    def time(self) -> float:
        return self._jumping.elapsed


def run(main: Coroutine[Any, Any, T], loop: VirtualTimeLoop) -> T:
    """Run ``main`` to its end in virtual time and close the loop."""
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main)
