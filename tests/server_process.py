"""A server as a process of a test: started, killed, and started again over the same data."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.debian_programs import Program

START_S = 180.0


class ServerProcess:
    """``answers`` tells whether it does its work."""

    def __init__(self, program: Program, words: Sequence[str], folder: Path, answers: Callable[[], bool]) -> None:
        self._program, self._words, self._folder, self._answers = program, words, folder, answers
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        log = self._folder / "server.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [str(self._program.path), *self._words],
                cwd=self._folder,
                env=dict(self._program.environ),
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
            )
        end = time.monotonic() + START_S
        while not self._answers():
            assert self._process.poll() is None, log.read_text()
            assert time.monotonic() < end, f"{self._program.path.name} does not answer"
            time.sleep(0.02)

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, how)
            self._process.wait()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        try:
            self.start()
            yield
        finally:
            self.kill()
