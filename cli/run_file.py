"""The file that says where the parts of a running suite are; a disk that does not take it ends nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from springtide.cli.state import Running, StateFolder
from springtide.runtime.errors import reason_of

AGAIN_EVERY_S = 5.0


class RunFile:
    """Written at each change, and later when it cannot be written then, or is lost or damaged.

    ``notice`` is told once of each outage.
    """

    def __init__(self, state: StateFolder, notice: Callable[[str], None]) -> None:
        self._state = state
        self._notice = notice
        self._running: Running | None = None
        self._failing = False

    def __repr__(self) -> str:
        return f"<RunFile {self._state.run_file}{' not written' if self._failing else ''}>"

    def show(self, running: Running) -> None:
        self._running = running
        try:
            self._state.announce(running)
        except OSError as error:
            if not self._failing:
                self._failing = True
                self._notice(
                    f"{self._state.run_file} cannot be written ({error.strerror or reason_of(error)}): the suite "
                    "goes on, but other commands may not find it, or not where its parts are, until it can"
                )
        else:
            if self._failing:
                self._notice(f"{self._state.run_file} is written again")
            self._failing = False

    async def keep_trying(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(AGAIN_EVERY_S)
            if self._running is not None and not self._state.announces(self._running):
                self.show(self._running)
