"""SQS for tests: moto's server as a process, one for all of a session's, and a door to it that can be shut.

It keeps all in memory, so it is not killed: what breaks is every connection through the door.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import socket
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.debian_programs import Program
from tests.free_ports import free_port
from tests.server_process import ServerProcess
from tests.session_servers import for_the_session
from tests.tcp_wire import Wire

MAX_BATCH = 10
KEY, SECRET = "AKIATEST", "s3cret"
SCOPE = f"{KEY}/20260101/us-east-1/sqs/aws4_request"
AUTHORIZATION = f"AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=host, Signature=x"
"""By which moto knows what is asked; it looks at signatures only where it is told to."""


class SqsServer:
    """``own_rights``: it knows who may do what, and so nobody as yet."""

    def __init__(self, folder: Path, *, own_rights: bool = False) -> None:
        self.port = free_port()
        environ = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": "0" if own_rights else "1000000000"}
        words = ("-m", "moto.server", "-p", str(self.port))
        self.process = ServerProcess(Program(Path(sys.executable), environ), words, folder, self._answers)

    def start(self) -> None:
        self.process.start()

    def kill(self) -> None:
        self.process.kill()

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1.0):
            return True
        return False

    def forget(self) -> None:
        """All queues, and what is in them."""
        self._post("/moto-api/reset", {}, b"")

    def ask(self, action: str, **about: Any) -> dict[str, Any]:
        headers = {
            "X-Amz-Target": f"AmazonSQS.{action}",
            "Content-Type": "application/x-amz-json-1.0",
            "Authorization": AUTHORIZATION,
        }
        answer = self._post("/", headers, json.dumps(about).encode())
        return dict(json.loads(answer or b"{}"))

    def _post(self, path: str, headers: dict[str, str], body: bytes) -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, headers, method="POST")
        with urllib.request.urlopen(request, timeout=60.0) as answer:
            return bytes(answer.read())

    def create(self, queue: str, **attributes: str) -> None:
        self.ask("CreateQueue", QueueName=queue, Attributes=attributes)

    def url(self, queue: str, port: int = 0) -> str:
        return f"http://127.0.0.1:{port or self.port}/123456789012/{queue}"

    def send(self, queue: str, body: str, **about: Any) -> None:
        self.ask("SendMessage", QueueUrl=self.url(queue), MessageBody=body, **about)

    def send_all(self, queue: str, bodies: Sequence[str]) -> None:
        """In this order."""
        for at in range(0, len(bodies), MAX_BATCH):
            some = bodies[at : at + MAX_BATCH]
            entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(some)]
            assert not self.ask("SendMessageBatch", QueueUrl=self.url(queue), Entries=entries).get("Failed")

    def left(self, queue: str) -> tuple[int, int]:
        """Messages that wait, and those that are lent."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        told = self.ask("GetQueueAttributes", QueueUrl=self.url(queue), AttributeNames=names)["Attributes"]
        return int(told[names[0]]), int(told[names[1]])


class Door(Wire):
    """Ends all connections, both ways, when it is shut by ``drop``."""

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(reader, back))
                group.create_task(_copy(there, writer))
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            with contextlib.suppress(UnboundLocalError):
                back.transport.abort()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        target.write(data)
        await target.drain()
    target.write_eof()


@functools.cache
def shared() -> SqsServer:
    return for_the_session("springtide-sqs-", SqsServer)
