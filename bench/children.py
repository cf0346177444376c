"""Child processes of a measurement: started, watched, and gone afterwards whatever happens."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from springtide.cli import ports
from springtide.cli.ports import PortClaims
from springtide.scaler.core.label_table import ISOLATION

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
START_DEADLINE_S = 60.0
_CLAIMS = PortClaims()
WITHOUT_WALLS = {ISOLATION: "none"}
"""Labels of functions that keep a ledger beside the measurement, or tell their process ids."""


@dataclass(frozen=True, slots=True)
class Child:
    """A process, and those that it started: nginx's workers, the gateway's."""

    pid: int
    name: str

    def tree(self) -> list[int]:
        """It and all below it; who ends meanwhile may be among them, with nobody below."""
        found = [self.pid]
        for pid in found:
            with contextlib.suppress(OSError):
                found += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        return found

    def cpu_s(self) -> float:
        """Processor seconds, user and system, of all threads of all its processes so far."""
        return sum(Child(pid, self.name).own_cpu_s() for pid in self.tree())

    def own_cpu_s(self) -> float:
        """Of this process alone."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * TICK_S

    def resident_bytes(self) -> int:
        return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.tree()) * PAGE_BYTES

    def proportional_bytes(self) -> dict[int, int]:
        """Memory of each process, what several share counted in equal parts (PSS)."""
        return {pid: Child(pid, self.name).own_proportional_bytes() for pid in self.tree()}

    def own_proportional_bytes(self) -> int:
        """Of this process alone."""
        rolled = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return int(rolled.partition("\nPss:")[2].split()[0]) * 1024


@contextlib.contextmanager
def child(
    name: str,
    command: Sequence[str],
    *,
    port: int,
    log: Path,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Iterator[Child]:
    """A process that listens on ``port``, from then until the block ends. Raises RuntimeError with its log's end."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=cwd,
            env={**os.environ, **(environment or {})},
        )
    try:
        _wait_for_port(name, process, port, log)
        yield Child(process.pid, name)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def python(module: str, *arguments: str, tree: Path | None = None) -> list[str]:
    """``tree`` is another checkout, which has a ``.venv`` of its own; it must be the working directory, too."""
    return [str(tree / ".venv/bin/python") if tree else sys.executable, "-m", module, *arguments]


def free_port() -> int:
    """Given out once, and of those that no outgoing connection can get while its server is away."""
    return ports.free("127.0.0.1", _CLAIMS)


def _wait_for_port(name: str, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_DEADLINE_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"{name} did not come up on port {port}:\n{log.read_text(errors='replace')[-2000:]}")
