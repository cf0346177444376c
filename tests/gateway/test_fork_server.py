"""The fork server where the machine gives no more processes: that must cost nobody who already has one."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from springtide.gateway.settings import GatewaySettings
from springtide.gateway.workers import fork_server
from springtide.gateway.workers.fork_server import ForkServer
from springtide.gateway.workers.launch import Launch
from springtide.runtime.errors import Unavailable

LAUNCH = Launch(1, GatewaySettings(), None)
NO_FORK = "import errno, os\n\ndef fork():\n    raise OSError(errno.EAGAIN, 'full')\n\nreal, os.fork = os.fork, fork\n"
"""What the kernel does at a limit of processes, without bringing the machine to one."""


@pytest.fixture
def pair() -> Iterator[list[socket.socket]]:
    ends = [*socket.socketpair()]
    yield ends
    for end in ends:
        end.close()


def with_server(story: Callable[[ForkServer], Awaitable[None]]) -> None:
    async def whole() -> None:
        forks = ForkServer()
        try:
            await story(forks)
        finally:
            await forks.stop()

    asyncio.run(whole())


def test_fork_that_the_kernel_refuses_leaves_the_server_alive(
    monkeypatch: pytest.MonkeyPatch, pair: list[socket.socket]
) -> None:
    async def story(forks: ForkServer) -> None:
        descriptors = [end.fileno() for end in pair]
        forks.start()
        server = forks._server
        for _ in range(2):
            with pytest.raises(Unavailable, match="no process for a worker: Resource temporarily unavailable"):
                await forks.fork(LAUNCH, descriptors)
        assert forks._server is server, "its end would be that of the workers that run"

    monkeypatch.setattr(fork_server, "_PROGRAM", NO_FORK + fork_server._PROGRAM)
    with_server(story)


def test_server_that_cannot_be_started_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pair: list[socket.socket]
) -> None:
    async def story(forks: ForkServer) -> None:
        with pytest.raises(Unavailable, match=r"the gateway's fork server cannot be started: .*No such file"):
            await forks.fork(LAUNCH, [end.fileno() for end in pair])

    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    with_server(story)
