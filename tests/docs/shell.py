"""A reader's shell: blocks one after the other, each by a bash of its own that goes on where the one before ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LONGEST_S = 180.0


@dataclass(frozen=True, slots=True)
class Ran:
    status: int
    output: str


class Shell:
    """Variables and the current folder outlive a block; a block ends at its first command that fails."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._saved = folder / ".shell"
        self._environment = {**environment, "SAVED": str(self._saved)}
        self._saved.write_text(f"cd {folder}\n")
        self._groups: list[int] = []

    def close(self) -> None:
        """Ends what blocks left running."""
        for group in self._groups:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)

    def run(self, text: str) -> Ran:
        script = 'set -a\n. "$SAVED"\ntrap \'{ echo "cd \\"$PWD\\""; export -p; } > "$SAVED"\' EXIT\nset -eu\n'
        return self._ran(["bash", "-c", script + text])

    def python(self, text: str) -> Ran:
        self._folder.joinpath(".block.py").write_text(text)
        return self.run(f'"{sys.executable}" "{self._folder}/.block.py"\n')

    def write(self, name: str, text: str) -> None:
        file = self._folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def _ran(self, words: list[str]) -> Ran:
        """Its output is a file, so that what it leaves running in the background is not waited for."""
        told = self._folder / ".output"
        with told.open("wb") as output:
            process = subprocess.Popen(
                words,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._groups.append(process.pid)
            try:
                status = process.wait(LONGEST_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                status = -1
        return Ran(status, told.read_text(errors="replace"))
