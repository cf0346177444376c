"""A server as a suite sets it up, for tests: a real one, on ports of its own, without a supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import bcrypt
import nats
from nats.aio.client import Client

from springtide.cli import local_broker, nats_server, ports
from springtide.cli.nats_server import NatsServer
from springtide.cli.ports import PortClaims
from springtide.runtime.http_probe import probe

USER, PASSWORD = "springtide", "s3cret"
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
DEADLINE_S = 120.0


class Broker:
    """A server of the suite's, by its own configuration, without a supervisor."""

    def __init__(self, folder: Path, claims: PortClaims, *, sync_every_s: float = 0.0) -> None:
        program = nats_server.find("")
        assert isinstance(program, NatsServer), "the extra `test` brings one"
        folder.mkdir(parents=True, exist_ok=True)
        self._sync_every_s = sync_every_s
        self.folder, self.program = folder, program
        self.port, self.monitoring = ports.free("127.0.0.1", claims), ports.free("127.0.0.1", claims)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def configuration(self) -> str:
        return local_broker.configuration(
            self.folder,
            listen=f"127.0.0.1:{self.port}",
            monitoring=f"127.0.0.1:{self.monitoring}",
            user=USER,
            password_hash=HASH,
            sync_every_s=self._sync_every_s,
        )

    def spawn(self) -> subprocess.Popen[bytes]:
        (self.folder / local_broker.CONFIGURATION).write_text(self.configuration)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                local_broker.command(self.program, self.folder), stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        return self._process

    async def start(self) -> None:
        process = self.spawn()

        async def answers() -> bool:
            assert process.poll() is None, self.log
            answer = await probe("127.0.0.1", self.monitoring, local_broker.ABLE_TO_STORE)
            return answer is not None and answer.status == 200

        await eventually(answers)

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    @property
    def started(self) -> bool:
        return self._process is not None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def log_in(self, folder: Path) -> Path:
        """Write what lets one in; returns ``folder``."""
        (folder / "nats-user").write_text(USER)
        (folder / "nats-password").write_text(PASSWORD)
        return folder

    def end(self, how: signal.Signals = signal.SIGKILL) -> int:
        """Its return code."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(how)
        return self._process.wait(DEADLINE_S)

    @asynccontextmanager
    async def client(self, password: str = PASSWORD) -> AsyncIterator[Client]:
        async def unheard(_: Exception) -> None:
            """It is raised, too; nats-py would print it."""

        client = await nats.connect(self.url, user=USER, password=password, allow_reconnect=False, error_cb=unheard)
        try:
            yield client
        finally:
            await client.close()

    async def publish(self, count: int) -> None:
        """So many messages, each acknowledged."""
        async with self.client() as client:
            stream = client.jetstream()
            await stream.add_stream(name="OF_jobs", subjects=["of.job.>"])
            await asyncio.gather(*(stream.publish(f"of.job.{number}", b"x" * 1000) for number in range(count)))

    async def messages(self) -> int:
        """Of the stream, which is asked for as whoever queues does."""
        async with self.client() as client:
            info = await client.jetstream().add_stream(name="OF_jobs", subjects=["of.job.>"])
            return info.state.messages


async def eventually(true: Callable[[], Awaitable[bool]]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not await true():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


@contextmanager
def suite_broker(folder: Path, *, sync_every_s: float = 0.0) -> Iterator[Broker]:
    """Not started as yet; ended whatever happens."""
    with PortClaims() as claims:
        broker = Broker(folder, claims, sync_every_s=sync_every_s)
        try:
            yield broker
        finally:
            if broker.started:
                broker.end()
