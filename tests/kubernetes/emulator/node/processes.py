"""Containers as processes: started through the fork server, ended by signals, their output read line by line."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.kubernetes.emulator.node.logs import LogBuffer
from tests.kubernetes.emulator.settings import Image

MAX_MESSAGE_BYTES = 1 << 20
READ_BYTES = 65_536


class CannotStart(Exception):
    """The container's process could not be made; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """All that a container's process needs."""

    name: str
    image: Image
    env: Mapping[str, str]
    host: str
    port: int
    secrets_folder: Path
    has_secrets: bool
    stage_folder: Path
    work_folder: Path
    read_only: bool
    grace_s: float


@dataclass(slots=True, eq=False)
class Process:
    """A running container."""

    id: str
    host: ProcessHost
    started: asyncio.Future[int] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    ended: asyncio.Future[int] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def signal(self, number: signal.Signals) -> None:
        if not self.ended.done():
            self.host.send({"do": "signal", "id": self.id, "signal": number})


class ProcessHost:
    """This side of the fork server, which is started with the first container."""

    def __init__(self) -> None:
        self._control: socket.socket | None = None
        self._server: asyncio.subprocess.Process | None = None
        self._processes: dict[str, Process] = {}
        self._starting = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<ProcessHost {len(self._processes)} processes>"

    async def start(self, wanted: Start, log: LogBuffer) -> Process:
        """Raises CannotStart."""
        async with self._starting:
            if self._server is None:
                await self._start_server()
        process = Process(uuid.uuid4().hex, self)
        self._processes[process.id] = process
        read, write = os.pipe()
        try:
            self.send(_request(process.id, wanted), write)
        finally:
            os.close(write)
        log.read_from(read, process.ended)
        await process.started
        return process

    async def stop(self) -> None:
        """End every process at once."""
        if self._server is None or self._control is None:
            return
        for process in list(self._processes.values()):
            process.signal(signal.SIGKILL)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.gather(*(process.ended for process in list(self._processes.values())))
        asyncio.get_running_loop().remove_reader(self._control)
        self._control.close()
        await self._server.wait()

    def send(self, message: dict[str, Any], *descriptors: int) -> None:
        assert self._control is not None
        socket.send_fds(self._control, [json.dumps(message).encode()], list(descriptors))

    async def _start_server(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MAX_MESSAGE_BYTES)
        module = "tests.kubernetes.emulator.node.fork_server"
        with theirs:
            self._server = await asyncio.create_subprocess_exec(sys.executable, "-m", module, stdin=theirs.fileno())
        self._control = ours
        asyncio.get_running_loop().add_reader(ours, self._heard)

    def _heard(self) -> None:
        assert self._control is not None
        data = self._control.recv(MAX_MESSAGE_BYTES)
        if not data:
            asyncio.get_running_loop().remove_reader(self._control)
            for process in list(self._processes.values()):
                self._end(process, -signal.SIGKILL)
            return
        event = json.loads(data)
        process = self._processes[event["id"]]
        if event["event"] == "started":
            # Whoever asked for it may have been cancelled, and its future with it.
            if not process.started.done():
                process.started.set_result(event["pid"])
        elif event["event"] == "failed":
            if not process.started.done():
                process.started.set_exception(CannotStart(event["why"]))
            self._end(process, 128)
        else:
            self._end(process, event["code"])

    def _end(self, process: Process, code: int) -> None:
        self._processes.pop(process.id, None)
        if not process.started.done():
            process.started.set_exception(CannotStart("the fork server has ended"))
        if not process.ended.done():
            process.ended.set_result(code)


def _request(identity: str, wanted: Start) -> dict[str, Any]:
    image = wanted.image
    launch = {
        "instance": wanted.name,
        "function": wanted.name,
        "uid": identity,
        "generation": 1,
        "env": dict(wanted.env),
        "folder": str(image.handler or wanted.work_folder),
        "log_folder": str(wanted.work_folder),
        "log_limit_bytes": 0,
        "handler": str(image.handler) if image.handler else None,
        "secrets_folder": str(wanted.secrets_folder),
        "has_secrets": wanted.has_secrets,
        "stage_folder": str(wanted.stage_folder),
        "read_only": wanted.read_only,
        "grace_s": wanted.grace_s,
    }
    return {
        "do": "start",
        "id": identity,
        "command": list(image.command),
        "host": wanted.host,
        "port": wanted.port,
        "launch": launch,
    }
