"""Single keys from a terminal, without waiting for Enter. Where input is no terminal there are none."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import time
import tty
from types import FrameType, TracebackType
from typing import Any


class Keyboard:
    """While it is open keys are not echoed; Ctrl-C still interrupts. The terminal is afterwards as it was.

    That is why SIGTERM, as from ``timeout``, is an ordinary end here: left to itself it would leave no time for that.
    """

    def __init__(self) -> None:
        self._input = sys.stdin.fileno() if sys.stdin.isatty() else None
        self._before: list[Any] = []
        self._on_term: Any = None
        self._on_interrupt: Any = None
        self._interrupted = False

    def __enter__(self) -> Keyboard:
        self._on_term = signal.signal(signal.SIGTERM, _end)
        self._on_interrupt = signal.signal(signal.SIGINT, self._interrupt)
        if self._input is not None:
            self._before = termios.tcgetattr(self._input)
            tty.setcbreak(self._input)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._input is not None:
            termios.tcsetattr(self._input, termios.TCSADRAIN, self._before)
        signal.signal(signal.SIGTERM, self._on_term)
        signal.signal(signal.SIGINT, self._on_interrupt)

    def pressed(self, within_s: float) -> str:
        """The next key; empty when none was pressed in that time. Raises KeyboardInterrupt after Ctrl-C."""
        if self._interrupted:
            raise KeyboardInterrupt
        if self._input is None:
            time.sleep(max(0.0, within_s))
            return ""
        if not select.select([self._input], [], [], max(0.0, within_s))[0]:
            return ""
        key = os.read(self._input, 1)
        if not key:  # the terminal is gone, and would be readable for ever
            raise KeyboardInterrupt
        return key.decode("latin-1")

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        # Python drops what is raised while a finalizer or a callback of the collector runs; so it is remembered, too.
        self._interrupted = True
        raise KeyboardInterrupt


def _end(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
