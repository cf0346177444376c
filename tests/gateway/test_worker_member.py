"""A worker as the master sees it, where the process is anything but a worker."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping

import pytest

from springtide.gateway.settings import GatewaySettings
from springtide.gateway.workers.fork_server import Process
from springtide.gateway.workers.launch import Launch
from springtide.gateway.workers.member import Member
from springtide.gateway.workers.messages import Channel, Row
from springtide.runtime.processes import ProcessHandle
from springtide.scaler.core.vocabulary import FunctionRef


class Master:
    hung_after_s = 60.0

    def told(self, member: Member, rows: Iterable[Row], gone: Iterable[FunctionRef]) -> None:
        raise AssertionError(member, rows, gone)

    def gone(self, functions: list[FunctionRef]) -> None:
        raise AssertionError(functions)

    async def counts(self) -> Mapping[str, float]:
        return {}

    def watch_load(self, member: Member, *, on: bool) -> None:
        raise AssertionError(member, on)


@contextlib.contextmanager
def sleeping(*descriptors: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds these, and does nothing."""
    words = [sys.executable, "-c", "import time; time.sleep(600)"]
    with subprocess.Popen(words, pass_fds=descriptors) as process:
        yield process
        process.kill()


async def member_of(process: subprocess.Popen[bytes], connection: socket.socket, settings: GatewaySettings) -> Member:
    watched = Process(ProcessHandle(process.pid))
    watched.watch()
    return Member(Launch(1, settings, None), watched, await Channel.over(connection), Master())


@pytest.mark.parametrize("last", [b"", b"\xff\xff\xff\xff"], ids=["nothing", "too long"])
async def test_process_that_says_no_more_and_stays_is_killed(last: bytes) -> None:
    """Nobody would serve its place for as long as it stays."""

    ours, theirs = socket.socketpair()
    with sleeping() as process:
        member = await member_of(process, ours, GatewaySettings())
        with theirs:
            theirs.sendall(last)
        async with asyncio.timeout(60):
            await member.over.wait()
    assert member.leaving.is_set()
    assert member.why.startswith("closed its channel and did not end")


@pytest.mark.parametrize("how", [Member.leave, Member.stop], ids=["leave", "stop"])
async def test_process_that_does_not_end_when_asked_to_is_killed(how: Callable[[Member], Awaitable[None]]) -> None:
    """However often workers are renewed, those that leave must not become more and more."""

    ours, theirs = socket.socketpair()
    with sleeping(theirs.fileno()) as process:
        theirs.close()
        member = await member_of(process, ours, GatewaySettings(grace_s=0.0))
        async with asyncio.timeout(60):
            await how(member)
    assert member.leaving.is_set()
    assert member.why.startswith("did not stop in time")
