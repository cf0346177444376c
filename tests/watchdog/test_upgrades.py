"""WebSocket, and any other switch of protocol, from a caller through the gateway and the watchdog to a real program."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.endpoint_stream import Changed
from tests.gateway.harness import data_plane
from tests.provider.process.conftest import Shared
from tests.provider.process.world import World

KEY = base64.b64encode(b"a key of sixteen").decode()
UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
    f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
ACCEPT = base64.b64encode(hashlib.sha1(KEY.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())  # noqa: S324

PYTHON = """
import base64, hashlib, os, socketserver
class Socket(socketserver.StreamRequestHandler):
    def handle(self):
        head = b""
        while not head.endswith(b"\\r\\n\\r\\n"):
            line = self.rfile.readline()
            if not line:
                return
            head += line
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\\r\\n")[1:-2])
        if b"upgrade" not in fields or b"/plain" in head:
            self.wfile.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\n\\r\\nplain")
            return
        assert fields[b"connection"] == b"upgrade" and fields[b"upgrade"] == b"websocket", fields
        key = next(line for line in head.split(b"\\r\\n") if line.lower().startswith(b"sec-websocket-key")).split()[1]
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        self.wfile.write(b"HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
                         b"Sec-WebSocket-Accept: " + accept + b"\\r\\n\\r\\nhello ")
        while True:
            data = self.request.recv(65536)
            if not data:
                break
            if data == b"leave":
                return
            self.request.sendall(data)
        self.wfile.write(b"bye")
class Server(socketserver.ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True
Server(("127.0.0.1", int(os.environ["PORT"])), Socket).serve_forever()
"""
NODE = """
const crypto = require('crypto');
const server = require('http').createServer((request, response) => response.end('plain'));
server.on('upgrade', (request, socket, early) => {
  if (request.url.includes('/plain')) {
    socket.end('HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\n\\r\\nplain');
    return;
  }
  const accept = crypto.createHash('sha1');
  accept.update(request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11');
  socket.write('HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n'
               + 'Sec-WebSocket-Accept: ' + accept.digest('base64') + '\\r\\n\\r\\nhello ');
  socket.on('data', data => { if (String(data) === 'leave') socket.end(); else socket.write(data); });
  socket.on('end', () => socket.end('bye'));
  socket.on('error', () => {});
});
server.listen(process.env.PORT, '127.0.0.1');
"""


class Link:
    """A caller's connection, after its offer to speak WebSocket was answered."""

    def __init__(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.head, self.reader, self.writer = head, reader, writer

    async def echo(self, data: bytes) -> bytes:
        self.writer.write(data)
        return await self.reader.readexactly(len(data))


@asynccontextmanager
async def offered(port: int, path: str, early: bytes = b"") -> AsyncIterator[Link]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(UPGRADE.format(path=path).encode() + early)
        yield Link(await reader.readuntil(b"\r\n\r\n"), reader, writer)
    finally:
        writer.close()


async def deployed(world: World, language: str, name: str) -> int:
    """The port of the replica of a program in this language."""
    program = world.folder / f"upgrades.{language}"
    program.write_text(PYTHON if language == "py" else NODE)
    command = f"{sys.executable if language == 'py' else 'node'} {program}"
    address = await world.up(name, command, {"mode": "http", "exec_timeout": "10s"})
    return int(address.rpartition(":")[2])


LANGUAGES = ["py", pytest.param("js", marks=pytest.mark.skipif(not shutil.which("node"), reason="no node here"))]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_offer_is_taken_up_through_the_whole_chain(shared: Shared, language: str) -> None:
    ref = FunctionRef("openfaas-fn", f"chain-{language}")
    await deployed(shared.world, language, ref.name)
    async with data_plane() as gateway:
        gateway.plane.table.apply(Changed(shared.world.table[ref]))
        async with offered(gateway.port, f"/function/{ref.name}/chat") as link:
            assert link.head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
            assert b"sec-websocket-accept: " + ACCEPT.lower() in link.head.lower()
            assert b"connection: upgrade\r\nupgrade: websocket\r\n" in link.head.lower()
            assert await link.reader.readexactly(6) == b"hello "
            for number in range(50):
                assert await link.echo(b"%04d" % number) == b"%04d" % number
            link.writer.write_eof()
            assert await link.reader.read() == b"bye"
        async with offered(gateway.port, f"/function/{ref.name}/plain") as link:
            assert link.head.startswith(b"HTTP/1.1 200 ")
            assert await link.reader.readexactly(5) == b"plain"


@pytest.mark.parametrize("language", LANGUAGES)
async def test_what_comes_with_the_offer_and_much_at_once_arrives(shared: Shared, language: str) -> None:
    port = await deployed(shared.world, language, f"early-{language}")
    async with offered(port, "/", early=b"early ") as link:
        assert await link.reader.readexactly(12) == b"hello early "
        data = os.urandom(3_000_000)
        link.writer.write(data)
        assert await link.reader.readexactly(len(data)) == data


@pytest.mark.parametrize("language", LANGUAGES)
async def test_tunnel_ends_with_either_side_and_is_no_call_any_more(shared: Shared, language: str) -> None:
    port = await deployed(shared.world, language, f"ends-{language}")
    async with offered(port, "/") as link:
        await link.reader.readexactly(6)
        link.writer.write(b"leave")
        assert await link.reader.read() in (b"", b"bye")
    async with offered(port, "/") as link:
        await link.reader.readexactly(6)
        await in_flight(shared.world, port, 1)
        link.writer.transport.abort()
        await in_flight(shared.world, port, 0)
    metrics = (await shared.world.http.get(f"http://127.0.0.1:{port}/_/metrics")).text
    assert 'http_requests_total{code="101",method="get"} 2.0' in metrics


async def test_replica_that_drains_gives_tunnels_its_grace_and_then_ends(world: Callable[..., World]) -> None:
    async with world(grace_s=0.3, linger_s=0.0) as here:
        port = await deployed(here, "py", "drains")
        async with offered(port, "/") as link:
            await link.reader.readexactly(6)
            await here.scale(FunctionRef("openfaas-fn", "drains"), 0)

            assert await link.reader.read() in (b"", b"bye")


@pytest.mark.parametrize("mode", ["classic", "streaming", "serializing", "static", "python"])
async def test_other_modes_answer_as_if_nothing_was_offered(shared: Shared, mode: str) -> None:
    world = shared.world
    env = {"mode": mode, "static_path": str(world.folder)}
    annotations = world.handler("def handle(event, context): return ''", "plain") if mode == "python" else {}
    address = await world.up(f"plain-{mode}", "cat", env, annotations=annotations)
    async with offered(int(address.rpartition(":")[2]), "/") as link:
        assert link.head.split()[1] in (b"200", b"404")
        assert b"upgrade" not in link.head.lower()


async def test_program_that_switches_unasked_is_answered_for(shared: Shared) -> None:
    program = shared.world.folder / "switches.py"
    program.write_text(PYTHON.replace('b"upgrade" not in fields or', "False and").replace("assert ", "False and "))
    address = await shared.world.up("switches", f"{sys.executable} {program}", {"mode": "http"})
    answer = await shared.world.http.get(address, headers={"Sec-WebSocket-Key": KEY})

    assert (answer.status_code, answer.headers["x-openfaas-internal"]) == (500, "of-watchdog")
    assert "switched to another protocol" in answer.text


async def in_flight(world: World, port: int, count: int) -> None:
    address = f"http://127.0.0.1:{port}/_/ready"
    await world.answer_when(address, lambda answer: answer.json()["inflight"] == count)
