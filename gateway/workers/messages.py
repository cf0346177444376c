"""What master and worker say to each other, and the connection between them: length, then JSON."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import json
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from springtide.gateway.call_metrics import Numbers

MAX_BYTES = 256 * 1024 * 1024
"""A message longer than this is a mistake: the numbers of a function take some hundred bytes."""

_LENGTH = struct.Struct(">I")


class Kind(enum.StrEnum):
    # From the master.
    ASK = "ask"
    LEAVE = "leave"
    STOP = "stop"
    COUNTS = "counts"
    LOAD = "load"
    # From a worker.
    READY = "ready"
    FAILED = "failed"
    LEAVING = "leaving"
    ROWS = "rows"
    NUMBERS = "numbers"
    ASK_COUNTS = "ask_counts"
    WATCH_LOAD = "watch_load"


@dataclass(frozen=True, slots=True)
class Message:
    """``number`` pairs an answer with its question."""

    kind: Kind
    number: int = 0
    content: Mapping[str, Any] = field(default_factory=dict)


class Row(NamedTuple):
    """One function's numbers as one worker has them. A tuple, because that is what JSON takes without a copy."""

    namespace: str
    name: str
    numbers: Numbers
    completed: int
    desired: int
    ready: int
    least: int
    most: int
    scaling_type: str
    target: float


class Channel:
    """One end of the connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def over(cls, connection: socket.socket) -> Channel:
        connection.setblocking(False)  # noqa: FBT003 - the standard library's signature
        return cls(*await asyncio.open_unix_connection(sock=connection))

    def send(self, message: Message) -> None:
        """To a side that is gone it is dropped; who waits for an answer learns of it by ``receive``."""
        if not self._writer.is_closing():
            body = json.dumps([message.kind, message.number, message.content], separators=(",", ":")).encode()
            self._writer.write(_LENGTH.pack(len(body)) + body)

    async def flush(self) -> None:
        """Return when the other side can take more."""
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()

    async def receive(self) -> Message | None:
        """The next message; None when the other side is gone."""
        try:
            (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            if length > MAX_BYTES:
                return None
            kind, number, content = json.loads(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        return Message(Kind(kind), number, content)

    async def close(self) -> None:
        """After everything sent has gone out."""
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()
