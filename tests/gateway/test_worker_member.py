"""A worker as the master sees it, where the process is anything but a worker."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping

import pytest

from gateway.settings import GatewaySettings
from gateway.workers.fork_server import Process
from gateway.workers.launch import Launch
from gateway.workers.member import Member
from gateway.workers.messages import Channel
from scaler.core.vocabulary import FunctionRef


class Master:
    hung_after_s = 60.0

    def gone(self, functions: list[FunctionRef]) -> None:
        raise AssertionError(functions)

    async def counts(self) -> Mapping[str, float]:
        return {}


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("last", [b"", b"\xff\xff\xff\xff"], ids=["nothing", "too long"])
def test_process_that_says_no_more_and_stays_is_killed(last: bytes, sleeper: subprocess.Popen[bytes]) -> None:
    """Nobody would serve its place for as long as it stays."""

    async def story() -> None:
        ours, theirs = socket.socketpair()
        process = Process(sleeper.pid, os.pidfd_open(sleeper.pid))
        process.watch()
        member = Member(Launch(1, GatewaySettings(), None), process, await Channel.over(ours), Master())
        with theirs:
            theirs.sendall(last)
        async with asyncio.timeout(30):
            await member.over.wait()
        assert member.leaving.is_set()
        assert member.why.startswith("closed its channel and did not end")

    asyncio.run(story())
