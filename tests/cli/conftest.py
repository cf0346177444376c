"""A gateway before a provider in memory, on real sockets, and the command line run against it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry

from springtide.cli.command_line import run
from springtide.cli.faas_cli_config import LoginFile
from springtide.gateway import service as gateway
from springtide.gateway.service import GatewayDeps
from springtide.gateway.settings import GatewaySettings
from springtide.provider.api import ProviderApiDeps, ProviderApiSettings, build
from springtide.provider.memory import MemoryProvider
from springtide.provider.ports import Provider
from springtide.provider.process.library import LocalLibrary
from springtide.provider.routing.provider import RoutingProvider
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.clock import SystemClock
from springtide.runtime.errors import Unavailable
from springtide.scaler.core.ownership import Scalers
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.endpoint_stream import Endpoint
from tests.cli.recording_builder import RecordingBuilder
from tests.cron_part import cron_part

CREDENTIALS = Credentials("admin", "s3cret")
DEADLINE_S = 60.0


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A function that answers with what it was asked; ``?status=500`` chooses another status, ``none`` no answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    method, target, _ = head[0].split(" ")
    status = target.partition("status=")[2] or "200"
    if status == "none":
        await reader.read()
        writer.close()
        return
    told = f"{method} {target}\n{headers.get('content-type')}\n{headers.get('x-test')}\n".encode() + body
    writer.write(f"HTTP/1.1 {status} Said\r\nContent-Length: {len(told)}\r\nConnection: close\r\n\r\n".encode() + told)
    await writer.drain()
    writer.close()


@dataclass
class Api:
    """A served provider and the loop it runs on."""

    url: str
    provider: MemoryProvider
    loop: asyncio.AbstractEventLoop
    metrics_url: str
    builder: RecordingBuilder
    payload_secret: Path

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(DEADLINE_S)

    def say(self, name: str, text: str) -> None:
        async def write() -> None:
            self.provider.write_log(FunctionRef("openfaas-fn", name), f"{name}-1", text)

        self.do(write())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with serving(tmp_path_factory.mktemp("served")) as api:
        yield api


@contextlib.contextmanager
def serving(
    folder: Path, *, with_cron: bool = False, containers: MemoryProvider | None = None, **gateway_settings: Any
) -> Iterator[Api]:
    """``containers`` has the functions whose image is not ``here``; None: there is one kind of functions only."""
    # What it logs, in a process of its own in real life, must not get between what commands print.
    log = (folder / "log").open("w")
    secret, builder = folder / "payload-secret", RecordingBuilder(folder)
    secret.write_text("a payload secret\n")
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(log))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    more = contextlib.AsyncExitStack()

    async def start() -> tuple[list[Any], MemoryProvider, asyncio.Server]:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]

        async def replica(ref: FunctionRef, instance: str) -> Endpoint:
            if ref.name == "broken":
                raise Unavailable("its program\x1b[31m ended")
            return Endpoint(instance, "127.0.0.1", port)

        memory = MemoryProvider(start_replica=replica, scalers=Scalers(hpa=True, loop=True))
        library = LocalLibrary(folder / "templates", search="/usr/local/bin:/usr/bin:/bin")
        served: Provider = memory
        if containers is not None:
            served = RoutingProvider(memory, containers, lambda spec: spec.image == "here")
        parts = ProviderApiDeps(provider=served, credentials=CREDENTIALS, builder=builder, library=library)
        rest = build(ProviderApiSettings(port=0, payload_secret=str(secret)), parts)
        await rest.start()
        provider_url = f"http://127.0.0.1:{rest.port}"
        if with_cron:
            cron, _ = await more.enter_async_context(cron_part(provider_url, CREDENTIALS))
            gateway_settings["cron_url"] = f"http://127.0.0.1:{cron.port}"
        settings = GatewaySettings(port=0, metrics_port=0, provider_url=provider_url, **gateway_settings)
        deps = GatewayDeps(credentials=CREDENTIALS, registry=CollectorRegistry(), clock=SystemClock())
        door = gateway.build(settings, deps)
        await door.start()
        return [rest, door], memory, server

    async def stop() -> None:
        await more.aclose()
        for service in reversed(services):
            await service.stop()
        await memory.aclose()
        server.close()
        await server.wait_closed()

    services, memory, server = asyncio.run_coroutine_threadsafe(start(), loop).result(DEADLINE_S)
    door = services[-1]
    metrics_url = f"http://127.0.0.1:{door.metrics_port}/metrics"
    api = Api(f"http://127.0.0.1:{door.port}", memory, loop, metrics_url, builder, secret)
    try:
        yield api
    finally:
        api.do(stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(DEADLINE_S)
        loop.close()
        structlog.reset_defaults()
        log.close()


@pytest.fixture
def api(served: Api) -> Iterator[Api]:
    """The provider is empty again afterwards."""
    yield served

    async def empty() -> None:
        for function in await served.provider.list_functions():
            await served.provider.delete(function.ref)
        for secret in await served.provider.secret_names("openfaas-fn"):
            await served.provider.delete_secret("openfaas-fn", secret)

    served.do(empty())


@dataclass(frozen=True)
class Outcome:
    status: int
    out: str
    err: str


class Keyboard(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


@dataclass
class Terminal:
    """Runs command lines in this process, in a home folder of its own."""

    home: Path
    capture: pytest.CaptureFixture[str]
    stdin: Callable[[io.TextIOWrapper], None]
    environ: dict[str, str] = field(default_factory=dict)

    def __call__(self, *words: str, piped: bytes = b"", typed: str = "") -> Outcome:
        self.stdin(Keyboard(io.BytesIO(typed.encode())) if typed else io.TextIOWrapper(io.BytesIO(piped)))
        self.capture.readouterr()
        status = run(words, self.environ)
        sys.stdout.flush()
        out, err = self.capture.readouterr()
        return Outcome(status, out, err)

    def log_in(self, url: str) -> None:
        LoginFile.default(self.environ).remember(url, CREDENTIALS)


@pytest.fixture
def terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Nobody is logged in anywhere, and the current folder is empty."""
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def stdin(stream: io.TextIOWrapper) -> None:
        monkeypatch.setattr(sys, "stdin", stream)

    return Terminal(tmp_path / "home", capfd, stdin, {"HOME": str(tmp_path / "home")})


@pytest.fixture
def springtide(api: Api, terminal: Terminal) -> Terminal:
    """A terminal logged in to ``api``, which is its default gateway."""
    terminal.environ["OPENFAAS_URL"] = api.url
    terminal.log_in(api.url)
    return terminal
