"""A real NATS server for tests: on a port of its own, killed and started again over the same data."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from springtide.wire.jobs.settings import BrokerSettings
from tests.free_ports import free_port

START_S = 180.0


class NatsServer:
    """``sync``: each acknowledged message is on disk, as with the suite's own server. ``also`` is said in its
    configuration."""

    def __init__(self, folder: Path, *, sync: str = "always", also: str = "", jetstream: bool = True) -> None:
        self._folder = folder
        self.port, self.monitoring = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "server.conf").write_text(
            f"listen: 127.0.0.1:{self.port}\nmax_payload: 8MB\n"
            f"http: 127.0.0.1:{self.monitoring}\n{also}\n"
            + (f"jetstream {{ store_dir: {str(folder / 'data')!r}, sync_interval: {sync} }}\n" if jetstream else "")
        )

    @property
    def settings(self) -> BrokerSettings:
        return BrokerSettings(nats_url=(self.url,))

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [_program(), "-c", str(self._folder / "server.conf")], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        end = time.monotonic() + START_S
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "server.log").read_text()
            assert time.monotonic() < end, "the NATS server does not answer"
            time.sleep(0.02)

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """As a power failure that the disk survives; by SIGTERM it writes down what it knows."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, how)
            self._process.wait()

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as connection:
                return connection.recv(4) == b"INFO"
        except OSError:
            return False


@contextlib.contextmanager
def running(folder: Path, *, sync: str = "always", also: str = "", jetstream: bool = True) -> Iterator[NatsServer]:
    server = NatsServer(folder, sync=sync, also=also, jetstream=jetstream)
    try:
        server.start()
        yield server
    finally:
        server.kill()


def _program() -> str:
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    assert found, "the extra `test` brings a NATS server"
    return found
