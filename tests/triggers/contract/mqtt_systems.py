"""MQTT for the contract: a real Mosquitto that writes its data down with each change."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path

import aiomqtt

from springtide.triggers.source import Source
from tests.debian_programs import program
from tests.free_ports import free_port
from tests.server_process import ServerProcess
from tests.triggers.contract.building import built
from tests.triggers.reading import eventually

TOPICS = "orders,invoices,nobodys"
CONNECT = bytes.fromhex("101000044d5154540402003c000470726f62")
"""Version 3.1.1, a clean session, called prob."""


class MqttServer:
    def __init__(self, folder: Path, also: str = "allow_anonymous true") -> None:
        folder.mkdir(parents=True, mode=0o777)
        self.port, self._folder = free_port(), folder
        (folder / "server.conf").write_text(
            f"listener {self.port} 127.0.0.1\npersistence true\npersistence_location {folder}/\n"
            "autosave_interval 1\nautosave_on_changes true\nmax_queued_messages 0\n"
            f"user root\n{also}\n"
        )
        words = ("-c", str(folder / "server.conf"))
        self.process = ServerProcess(program("mosquitto", "mosquitto"), words, folder, self._answers)

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def written_at(self) -> float:
        """In seconds since 1970."""
        data = self._folder / "mosquitto.db"
        return data.stat().st_mtime if data.exists() else 0.0

    def _answers(self) -> bool:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as connection,
        ):
            connection.sendall(CONNECT)
            return connection.recv(4)[:1] == b"\x20"
        return False


@contextlib.contextmanager
def running(folder: Path, also: str = "allow_anonymous true") -> Iterator[MqttServer]:
    server = MqttServer(folder, also)
    with server.process.running():
        yield server


class MqttSystem:
    connector = "mqtt-connector"
    shares = False
    repeats = 20
    """What Mosquitto has unacknowledged."""

    def __init__(self, server: MqttServer, *, qos: int) -> None:
        self.server, self._qos = server, qos
        self.at_least_once = qos > 0
        self.asked: Mapping[str, str] = {"kind": "mqtt", "url": server.url, "topics": TOPICS, "qos": str(qos)}

    def source(self) -> Source:
        return built(self.asked)

    async def publish(self, topic: str, bodies: Sequence[bytes]) -> None:
        """Mosquitto acknowledges before it has written down: it is given a change more, and that is waited for."""
        async with aiomqtt.Client("127.0.0.1", self.server.port) as client:
            for body in bodies:
                await client.publish(topic, body, qos=self._qos)
            if self._qos:
                began = time.time()
                await client.publish("written", b"down", qos=1, retain=True)
                await eventually(lambda: self.server.written_at >= began)

    async def break_connections(self) -> None:
        await asyncio.to_thread(self.server.process.kill)
        await asyncio.to_thread(self.server.process.start)


@contextlib.asynccontextmanager
async def _system(folder: Path, *, qos: int) -> AsyncIterator[MqttSystem]:
    with running(folder / "mqtt") as server:
        yield MqttSystem(server, qos=qos)


def at_least_once(folder: Path) -> contextlib.AbstractAsyncContextManager[MqttSystem]:
    return _system(folder, qos=1)


def at_most_once(folder: Path) -> contextlib.AbstractAsyncContextManager[MqttSystem]:
    return _system(folder, qos=0)
