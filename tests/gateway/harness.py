"""A data plane with real sockets on both sides: replicas that answer as told, callers that speak raw HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import h11
import uvloop

from springtide.gateway.call_record import Observer
from springtide.gateway.data_plane import DataPlane, DataPlaneDeps
from springtide.gateway.settings import GatewaySettings
from springtide.gateway.shared_room import SharedRooms
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.clock import SystemClock
from springtide.runtime.errors import Conflict, NotFound, SpringtideError
from springtide.scaler.core.vocabulary import Decision, Function, FunctionRef, Scale
from springtide.wire.endpoint_stream import Changed, Endpoint, FunctionEndpoints, Removed, Snapshot
from springtide.wire.webhooks.checks import NoChecks, WebhookChecks

T = TypeVar("T")

DEADLINE_S = 120.0
"""So that a test that would hang fails; no test waits for it."""


def run(main: Coroutine[Any, Any, T]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(DEADLINE_S):
            return await main

    return uvloop.run(bounded())


def ref(name: str, namespace: str = "openfaas-fn") -> FunctionRef:
    return FunctionRef(namespace, name)


# Replicas.


@dataclass(slots=True)
class Received:
    """One request as a replica saw it, byte for byte."""

    head: bytes
    body: bytes = b""
    trailers: bytes = b""

    @property
    def line(self) -> bytes:
        return self.head.split(b"\r\n", 1)[0]

    def values(self, name: str) -> list[str]:
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        pairs = [line.partition(":") for line in lines if line]
        return [value.strip() for key, _, value in pairs if key.lower() == name.lower()]


class Conversation:
    """One connection that a replica accepted."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, replica: Replica) -> None:
        self.reader, self.writer, self.replica = reader, writer, replica

    async def head(self) -> bytes:
        """The next request's head; asyncio.IncompleteReadError when there is none."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        self.replica.received.append(Received(head))
        self.replica.heads.release()
        return head

    async def request(self) -> Received:
        """The next request, whole."""
        await self.head()
        received = self.replica.received[-1]
        length = received.values("content-length")
        if length:
            received.body = await self.reader.readexactly(int(length[0]))
        elif received.values("transfer-encoding"):
            while size := int(await self.reader.readline(), 16):
                received.body += (await self.reader.readexactly(size + 2))[:-2]
            while (line := await self.reader.readline()) != b"\r\n":
                received.trailers += line
        return received

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def gone(self) -> None:
        """Return once the gateway has closed this connection."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass

    def reset(self) -> None:
        """Break the connection the hard way."""
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.writer.transport.abort()


Handler = Callable[[Conversation], Awaitable[None]]


def response(body: bytes = b"", *, status: str = "200 OK", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


async def echo(conversation: Conversation) -> None:
    """Answers every request with its own body."""
    while True:
        request = await conversation.request()
        await conversation.send(response(request.body))


def answering(data: bytes) -> Handler:
    """Answers every request with these bytes."""

    async def handler(conversation: Conversation) -> None:
        while True:
            await conversation.request()
            await conversation.send(data)

    return handler


class Replica:
    """A server; ``received`` is all it was sent, ``connections`` how many it accepted."""

    def __init__(self, handler: Handler = echo, *, max_inflight: int = 0, name: str = "") -> None:
        self.received: list[Received] = []
        self.heads = asyncio.Semaphore(0)
        self.connections = 0
        self.max_inflight = max_inflight
        self._name = name
        self._handler = handler
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self._name or f"replica-{self.port}", "127.0.0.1", self.port, self.max_inflight)

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, backlog=2048)
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Die: refuse new connections and break the open ones."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._handler(Conversation(reader, writer, self))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()


@contextlib.asynccontextmanager
async def replica(handler: Handler = echo, **options: Any) -> AsyncIterator[Replica]:
    server = Replica(handler, **options)
    await server.start()
    try:
        yield server
    finally:
        server.close()


# The provider, as the data plane needs it.


@dataclass
class Target:
    """A ScaleTarget that keeps what was written; ``failures`` are raised, one per write, before any is accepted."""

    scales: dict[FunctionRef, Scale] = field(default_factory=dict)
    writes: list[tuple[FunctionRef, int, str | None]] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    failures: list[SpringtideError] = field(default_factory=list)
    written: asyncio.Event = field(default_factory=asyncio.Event)
    labels: dict[str, str] = field(default_factory=dict)
    learned_wake: int | None = None

    async def read(self, wanted: FunctionRef) -> Function:
        if wanted not in self.scales:
            raise NotFound(f"no function {wanted}")
        return Function(wanted, self.scales[wanted], labels=self.labels, learned_wake=self.learned_wake)

    async def write(
        self, wanted: FunctionRef, replicas: int, *, expect: str | None, decision: Decision | None
    ) -> Scale:
        await asyncio.sleep(0)
        self.writes.append((wanted, replicas, expect))
        self.written.set()
        if self.failures:
            raise self.failures.pop(0)
        if decision is not None:
            self.decisions.append(decision)
        scale = self.scales.get(wanted)
        if scale is not None and expect not in (None, scale.version):
            raise Conflict("the version moved on")
        self.scales[wanted] = Scale(replicas, 0, str(len(self.writes) + 100))
        return self.scales[wanted]


@dataclass
class Decisions:
    recorded: list[Decision] = field(default_factory=list)

    def record(self, decision: Decision) -> None:
        self.recorded.append(decision)


# The gateway's data plane.


async def no_system() -> socket.socket:
    raise ConnectionRefusedError("there is no system API")


class ServedPlane:
    """A DataPlane behind a real listener, fed with endpoints by hand."""

    def __init__(self, plane: DataPlane, target: Target, decisions: Decisions, port: int) -> None:
        self.plane, self.target, self.decisions, self.port = plane, target, decisions, port
        self.known: dict[FunctionRef, FunctionEndpoints] = {}

    def publish(
        self,
        name: str = "echo",
        replicas: Sequence[Replica] = (),
        *,
        desired: int | None = None,
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
        problem: str | None = None,
        delay: str | None = None,
        learned_wake: int | None = None,
    ) -> None:
        """Push how a function is now."""
        function = FunctionEndpoints(
            FunctionRef.parse(name),
            len(replicas) if desired is None else desired,
            version=str(len(self.known) + 1),
            endpoints=tuple(one.endpoint for one in replicas),
            labels=dict(labels or {}),
            annotations=dict(annotations or {}),
            problem=problem,
            delay=delay,
            learned_wake=learned_wake,
        )
        self.known[function.ref] = function
        self.plane.table.apply(Changed(function))

    def remove(self, name: str) -> None:
        del self.known[FunctionRef.parse(name)]
        self.plane.table.apply(Removed(FunctionRef.parse(name)))

    def snapshot(self) -> None:
        self.plane.table.apply(Snapshot(tuple(self.known.values())))

    def route(self, name: str = "echo") -> Any:
        found = self.plane.table.by_name(name.encode())
        assert found is not None
        return found

    def connect(self) -> contextlib.AbstractAsyncContextManager[Client]:
        return client(self.port)

    async def until(self, condition: Callable[[], bool]) -> None:
        await until(condition)


async def until(condition: Callable[[], bool]) -> None:
    """Return once something that other tasks bring about is so."""
    while not condition():  # noqa: ASYNC110 - the gateway has no events for its tests
        await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def data_plane(
    *,
    observer: Observer | None = None,
    credentials: Credentials | None = None,
    checks: WebhookChecks | None = None,
    rooms: SharedRooms | None = None,
    **settings: Any,
) -> AsyncIterator[ServedPlane]:
    target, decisions = Target(), Decisions()
    plane = DataPlane(
        replace(GatewaySettings(), **settings),
        DataPlaneDeps(
            clock=SystemClock(),
            target=target,
            recorder=decisions,
            connect_system=no_system,
            observer=observer,
            credentials=credentials,
            checks=checks or NoChecks(),
            rooms=rooms,
        ),
    )
    server = await asyncio.get_running_loop().create_server(plane.accept, "127.0.0.1", 0, backlog=4096)
    dp = ServedPlane(plane, target, decisions, server.sockets[0].getsockname()[1])
    dp.snapshot()
    try:
        yield dp
    finally:
        server.close()
        await plane.draining.drain(0.0)
        await plane.close()


# Callers.


@dataclass(slots=True)
class Answer:
    status: int
    headers: dict[str, list[str]]
    body: bytes
    trailers: list[tuple[bytes, bytes]]
    interim: list[int]

    def __getitem__(self, name: str) -> str:
        values = self.headers[name.lower()]
        assert len(values) == 1, (name, values)
        return values[0]

    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """A raw connection. ``answer`` reads with h11, so that our own parser is not its own judge."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._h11 = h11.Connection(h11.CLIENT)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def get(self, path: str = "/function/echo", headers: str = "") -> Answer:
        await self.send(get(path, headers))
        return await self.answer()

    async def answer(self, method: str = "GET") -> Answer:
        """The next response. Several can be read one after the other."""
        connection = h11.Connection(h11.CLIENT)
        connection.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
        connection.send(h11.EndOfMessage())
        trailing = self._h11.trailing_data[0]
        if trailing:
            connection.receive_data(trailing)
        self._h11 = connection
        interim: list[int] = []
        body = b""
        head: h11.Response | None = None
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await self.reader.read(65536))
            elif isinstance(event, h11.InformationalResponse):
                interim.append(event.status_code)
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                assert head is not None
                headers: dict[str, list[str]] = {}
                for name, value in head.headers:
                    headers.setdefault(name.decode(), []).append(value.decode("latin-1"))
                return Answer(head.status_code, headers, body, list(event.headers), interim)
            else:
                raise AssertionError(f"the connection ended: {event}")

    async def rest(self) -> bytes:
        """Everything until the gateway closes the connection."""
        return await self.reader.read()

    def leave(self) -> None:
        self.writer.transport.abort()


@contextlib.asynccontextmanager
async def client(port: int) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def get(path: str = "/function/echo", headers: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: gateway\r\n{headers}\r\n".encode()


def post(body: bytes, path: str = "/function/echo", headers: str = "") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: gateway\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body
