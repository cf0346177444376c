"""The gateway with two workers as the process a user starts: how it ends, and what outlives what."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from springtide.gateway import open_files
from springtide.provider.api import ProviderApiDeps, ProviderApiSettings
from springtide.provider.api import build as build_provider
from springtide.provider.memory import MemoryProvider
from springtide.provider.spec import FunctionSpec
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.endpoint_stream import Endpoint
from tests.free_ports import free_port
from tests.gateway.harness import Conversation, Replica, client, get, response, until
from tests.gateway.pooled import ECHO, gone

pytestmark = pytest.mark.uvloop


ROOT = Path(__file__).parents[2]


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def children(pid: int) -> list[int]:
    with contextlib.suppress(FileNotFoundError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def temporary(folder: Path) -> Path:
    """Where the processes started with ``folder`` make their temporary files."""
    return folder / "temporary"


def popen(
    words: list[str], folder: Path, *, terminal: int | None = None, nohup: bool = False
) -> subprocess.Popen[bytes]:
    """``springtide gateway`` in a session of its own, which ``terminal`` controls; it logs to ``folder``."""
    program = (
        "import os, runpy, sys; {}sys.argv[0] = 'springtide'; runpy.run_module('springtide.cli', run_name='__main__')"
    )
    # A session leader's first terminal becomes its controlling one.
    before = "os.close(os.open(os.ttyname(0), os.O_RDWR)); " if terminal is not None else ""
    before += "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); " if nohup else ""
    temporary(folder).mkdir()
    with (folder / "log").open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-c", program.format(before), "gateway", "--no-basic-auth", *words],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(temporary(folder))},
            stdin=subprocess.DEVNULL if terminal is None else terminal,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


class Started:
    """``go_on`` lets the replica answer."""

    def __init__(self, port: int, server: Replica, process: subprocess.Popen[bytes], log: Path) -> None:
        self.port, self.server, self.process, self.log = port, server, process, log
        self.go_on = asyncio.Event()

    def below(self) -> list[int]:
        """The fork server and the workers."""
        forks = children(self.process.pid)
        return forks + [worker for fork in forks for worker in children(fork)]

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def told(self, words: str) -> int:
        """How many events say this."""
        return sum(words in event["event"] for event in self.events())

    async def ended(self) -> int:
        return await asyncio.to_thread(self.process.wait)


@contextlib.asynccontextmanager
async def started(
    folder: Path, *, workers: int = 2, terminal: int | None = None, nohup: bool = False
) -> AsyncIterator[Started]:
    """``springtide gateway``, serving, in front of a replica that answers when it is told to."""
    suite: Started

    async def waits(conversation: Conversation) -> None:
        await conversation.request()
        await suite.go_on.wait()
        await conversation.send(response(b"late"))

    async def replica(_: FunctionRef, instance: str) -> Endpoint:
        return Endpoint(instance, "127.0.0.1", server.port)

    server = Replica(waits)
    await server.start()
    provider = MemoryProvider(start_replica=replica)
    await provider.deploy(FunctionSpec(ref=ECHO, image="any"))
    api = build_provider(ProviderApiSettings(port=0), ProviderApiDeps(provider=provider, credentials=None))
    await api.start()
    port = free_port()
    flags = {"--port": port, "--metrics-port": free_port(), "--provider-url": f"http://127.0.0.1:{api.port}"}
    words = [str(word) for flag in flags.items() for word in flag]
    process = popen(["--workers", str(workers), "--grace", "5s", *words], folder, terminal=terminal, nohup=nohup)
    suite = Started(port, server, process, folder / "log")
    try:
        if workers == 1:
            await until(lambda: accepts(port))
        else:
            await until(lambda: suite.told("serves") == workers)
        yield suite
    finally:
        process.kill()
        process.wait()
        await api.stop()
        await provider.aclose()
        server.close()


@pytest.mark.parametrize(
    ("number", "group"),
    [
        pytest.param(signal.SIGTERM, False, id="a manager stops the master"),
        pytest.param(signal.SIGTERM, True, id="a manager stops the whole group"),
        pytest.param(signal.SIGINT, True, id="ctrl-c on a terminal"),
    ],
)
async def test_call_in_flight_is_answered_when_the_process_is_asked_to_end(
    tmp_path: Path, number: signal.Signals, group: bool
) -> None:
    async with started(tmp_path) as suite, client(suite.port) as caller:
        below = suite.below()
        assert len(below) == 3
        await caller.send(get())
        await suite.server.heads.acquire()
        if group:
            os.killpg(suite.process.pid, number)
        else:
            suite.process.send_signal(number)
        suite.go_on.set()

        assert (await caller.answer()).body == b"late"
        assert await suite.ended() == 0
        for pid in below:
            await gone(pid)


async def test_every_process_ends_when_the_master_is_killed_and_calls_are_answered_before(tmp_path: Path) -> None:
    async with started(tmp_path) as suite, client(suite.port) as caller:
        below = suite.below()
        await caller.send(get())
        await suite.server.heads.acquire()
        suite.process.kill()
        suite.go_on.set()

        assert (await caller.answer()).body == b"late"
        for pid in below:
            await gone(pid)
        with pytest.raises(OSError, match=r"Connect call failed|refused"):
            await asyncio.open_connection("127.0.0.1", suite.port)


async def test_hang_up_renews_the_workers(tmp_path: Path) -> None:
    async with started(tmp_path) as suite:
        suite.go_on.set()
        forks, *first = suite.below()
        suite.process.send_signal(signal.SIGHUP)
        await until(lambda: len(children(forks)) == 2 and not set(children(forks)) & set(first))

        async with client(suite.port) as caller:
            assert (await caller.get()).body == b"late"
        suite.process.terminate()
        assert await suite.ended() == 0


async def test_hang_up_of_one_worker_says_that_there_is_nothing_to_renew_and_the_process_goes_on(
    tmp_path: Path,
) -> None:
    async with started(tmp_path, workers=1) as suite, client(suite.port) as caller:
        await caller.send(get())
        await suite.server.heads.acquire()
        for count in (1, 2):
            suite.process.send_signal(signal.SIGHUP)
            await until(lambda count=count: suite.told("this gateway has none: it goes on") == count)  # type: ignore[misc]
        suite.go_on.set()

        assert (await caller.answer()).body == b"late"
        suite.process.terminate()
        assert await suite.ended() == 0


WORKERS = pytest.mark.parametrize("workers", [pytest.param(1, id="one worker"), pytest.param(2, id="two workers")])


@WORKERS
async def test_hang_up_because_the_terminal_is_gone_ends_the_process(tmp_path: Path, workers: int) -> None:
    ours, theirs = pty.openpty()
    async with started(tmp_path, workers=workers, terminal=theirs) as suite:
        os.close(theirs)
        os.close(ours)

        assert await suite.ended() == 0


async def test_process_that_nohup_started_outlives_its_terminal_and_can_be_renewed(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    async with started(tmp_path, terminal=theirs, nohup=True) as suite:
        os.close(theirs)
        os.close(ours)
        await until(lambda: suite.told("the terminal is gone") == 1)
        suite.process.send_signal(signal.SIGHUP)
        await until(lambda: suite.told("serves") == 4)

        suite.process.terminate()
        assert await suite.ended() == 0


@WORKERS
async def test_processes_that_are_killed_leave_no_file_behind(tmp_path: Path, workers: int) -> None:
    async with started(tmp_path, workers=workers) as suite:
        if workers > 1:
            os.kill(suite.below()[-1], signal.SIGKILL)
            await until(lambda: suite.told("serves") == workers + 1)
        below = suite.below()
        suite.process.kill()
        for pid in (suite.process.pid, *below):
            await gone(pid)

        assert list(temporary(tmp_path).iterdir()) == []


async def test_workers_say_which_they_are_in_the_masters_log(tmp_path: Path) -> None:
    async with started(tmp_path) as suite:
        _, first, _ = suite.below()
        os.kill(first, signal.SIGKILL)
        await until(lambda: suite.told("serves") == 3)

        ends = [event for event in suite.events() if event["event"] == "a gateway worker ended"]
        assert [(end["process"], end["why"]) for end in ends] == [(first, "SIGKILL")]


async def test_one_worker_is_one_process(tmp_path: Path) -> None:
    port, metrics = free_port(), free_port()
    words = ["--port", str(port), "--metrics-port", str(metrics), "--provider-url", "http://127.0.0.1:1"]
    process = popen(["--workers", "1", *words], tmp_path)
    try:
        async with httpx.AsyncClient() as http:
            while True:
                with contextlib.suppress(httpx.ConnectError):
                    assert (await http.get(f"http://127.0.0.1:{port}/function/none")).status_code == 503
                    break
                await asyncio.sleep(0.01)

        assert children(process.pid) == []
    finally:
        process.terminate()
        assert await asyncio.to_thread(process.wait) == 0


def test_open_files_are_raised_to_what_is_allowed_and_too_few_are_told(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    program = (
        "import resource, sys; from gateway.open_files import raise_limit; raise_limit(int(sys.argv[1]));"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )

    def told(max_connections: int) -> list[str]:
        limited = ["prlimit", f"--nofile={min(256, soft)}:{min(2048, hard)}", sys.executable, "-c", program]
        answer = subprocess.run([*limited, str(max_connections)], cwd=ROOT, capture_output=True, text=True, check=True)
        return answer.stdout.splitlines()

    enough = min(2048, hard) - open_files.SPARE
    assert told(enough) == [str(min(2048, hard))]
    warning, limit = told(enough + 1)
    assert "fewer callers than max_connections" in warning
    assert limit == str(min(2048, hard))
