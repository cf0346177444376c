"""The connection to a host that dies at the wrong moment, on the event loop of every process of ours."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvloop

from springtide.provider.process import host_protocol
from springtide.provider.process.host_link import HostLink
from springtide.provider.process.host_protocol import SOCKET, Message, Note
from springtide.provider.process.settings import ProcessSettings
from springtide.runtime.errors import Unavailable

DYING = """
import os, select, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("ready", flush=True)
select.select([listener], [], [])
os._exit(9)
"""
"""Is gone as soon as somebody has connected: what it never accepted is reset."""


@contextlib.asynccontextmanager
async def linked(folder: Path) -> AsyncIterator[tuple[HostLink, asyncio.Task[bool]]]:
    """A host, and the task that hears its events."""
    (folder / "stage").mkdir()
    link = HostLink(ProcessSettings(state_dir=folder), folder, lambda _: None, python=lambda: sys.executable)
    listening = None
    try:
        await link.connect()
        listening = asyncio.create_task(link.listen())
        yield link, listening
    finally:
        await link.shut_down(listening, 0)


def test_host_that_dies_while_it_is_greeted_is_replaced(tmp_path: Path) -> None:
    async def story() -> None:
        async with linked(tmp_path) as (link, _):
            assert "connected" in repr(link)

    dying = subprocess.Popen([sys.executable, "-c", DYING, tmp_path / SOCKET], stdout=subprocess.PIPE)
    assert dying.stdout is not None
    assert dying.stdout.readline() == b"ready\n"
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(story())
    finally:
        dying.kill()
        dying.communicate()


def test_commands_to_a_host_that_died_just_now_are_dropped(tmp_path: Path) -> None:
    command: Message = Note(str(tmp_path / "nowhere"), 4096, "fn-1", "x" * 10_000)

    async def story() -> None:
        async with linked(tmp_path) as (link, listening):
            writer = link._writer
            os.kill(host_of(tmp_path), signal.SIGKILL)
            await listening
            await asyncio.sleep(0)
            link._writer = writer  # as it is until `listen` has had its turn
            link.send(command)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(story())


def host_of(folder: Path) -> int:
    with socket.socket(socket.AF_UNIX) as connection, host_protocol.short_address(folder / SOCKET) as path:
        connection.connect(path)
        return int.from_bytes(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 4), sys.byteorder)


async def test_host_that_cannot_be_started_now_is_no_error_of_the_providers(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    link = HostLink(ProcessSettings(state_dir=gone), gone, lambda _: None, python=lambda: sys.executable)
    with pytest.raises(Unavailable, match="cannot be started"):
        await link.connect()
