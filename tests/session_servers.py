"""Servers that take long to start: one of each for all tests of a session, which ends them."""

from __future__ import annotations

import atexit
import contextlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

ENDS = contextlib.ExitStack()
"""Closed by pytest when a session finishes: its workers are waited for until then, and killed ten seconds after, which
is too early for some servers' ends on a busy machine."""
atexit.register(ENDS.close)  # for measurements, which have no session


class Server(Protocol):
    def start(self) -> None: ...

    def kill(self) -> None: ...


S = TypeVar("S", bound=Server)


def for_the_session(prefix: str, made: Callable[[Path], S]) -> S:
    """It runs until the session ends, when its folder goes, too. ``made`` may skip the test where there is none."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    ENDS.callback(shutil.rmtree, folder, ignore_errors=True)
    server = made(folder)
    ENDS.callback(server.kill)
    server.start()
    return server
