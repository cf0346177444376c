"""What a worker process is: a gateway on a socket it was given, and a desk that answers the master's questions."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from typing import Any

import structlog
import uvloop
from prometheus_client import CollectorRegistry

from springtide.gateway.service import Gateway, GatewayDeps, WorkerContext
from springtide.gateway.shared_room import RoomMemory, SharedRooms
from springtide.gateway.workers.launch import Launch
from springtide.gateway.workers.messages import Channel, Kind, Message
from springtide.gateway.workers.reporter import Reporter
from springtide.runtime import logs
from springtide.runtime.clock import SystemClock
from springtide.runtime.errors import SpringtideError, reason_of
from springtide.runtime.service import run as run_services
from springtide.runtime.service import stop_signals
from springtide.wire import vitals
from springtide.wire.load_stream import Load, LoadLine

COUNTS_DEADLINE_S = 2.0


def run(launch: Launch, listener: socket.socket, connection: socket.socket, memory: int | None) -> int:
    """Serve until the master says stop, or is gone; the process's exit status.

    ``memory``: the descriptor of that in which workers see each other's calls.
    """
    logs.configure()
    structlog.contextvars.bind_contextvars(worker=launch.number)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(launch, listener, connection, memory))


async def _serve(launch: Launch, listener: socket.socket, connection: socket.socket, memory: int | None) -> int:
    channel = await Channel.over(connection)
    until = asyncio.Event()
    registry = CollectorRegistry()
    desk = Desk(channel)
    rooms = SharedRooms(RoomMemory(memory, launch.rows), launch.row) if memory is not None else None
    gateway = Gateway(
        launch.settings,
        GatewayDeps(credentials=launch.credentials, registry=registry, clock=SystemClock()),
        WorkerContext(listener, counts=desk, load=desk, rooms=rooms),
    )
    lag = vitals.loop_lag()
    desk.serves(Reporter(lambda: gateway.plane_if_started, registry, lag), gateway.leave)
    with stop_signals(until):
        try:
            await run_services([lag, desk, gateway, _Ready(channel)], until=until)
        except (SpringtideError, OSError) as error:
            channel.send(Message(Kind.FAILED, content={"why": reason_of(error)}))
            return 1
        finally:
            await channel.close()
    return 0


class Desk:
    """Answers the master from the first moment to the last, while the gateway starts and drains as well."""

    name = "desk"

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._reporter: Reporter | None = None
        self._leave: Callable[[], Coroutine[Any, Any, None]] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._questions = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Mapping[str, float]]] = {}
        self._load: asyncio.Queue[Mapping[str, Any]] | None = None
        """While somebody reads the load. It is emptied at once: what slow readers miss is kept in ``LoadStreams``."""
        self._stopped = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Desk {len(self._asked)} questions open>"

    def serves(self, reporter: Reporter, leave: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Before the start: what tells the numbers, and what to do when another worker takes over."""
        self._reporter, self._leave = reporter, leave

    async def start(self) -> None:
        self._spawn(self._attend())

    async def wait(self) -> None:
        """Returns when the master says stop or is gone, or when it said leave and that is done."""
        await self._stopped.wait()
        for task in self._tasks:
            if task.done():
                task.result()

    async def stop(self) -> None:
        """The last numbers, when the gateway has finished its calls."""
        if self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks)
            assert self._reporter is not None
            self._reporter.tell_all()
            await self._report(0)

    async def counts(self) -> Mapping[str, float]:
        """Calls answered by all workers (InvocationCounts)."""
        number = next(self._questions)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        self._channel.send(Message(Kind.ASK_COUNTS, number))
        try:
            return await asyncio.wait_for(answer, COUNTS_DEADLINE_S)
        except TimeoutError:
            return {}
        finally:
            del self._asked[number]

    async def follow(self) -> AsyncGenerator[LoadLine, None]:
        """The load of all workers (LoadFeed)."""
        told = self._load = asyncio.Queue()
        self._channel.send(Message(Kind.WATCH_LOAD, content={"on": True}))
        begun = False
        try:
            while True:
                content = await told.get()
                if content.get("end"):
                    return
                begun = begun or content["first"]  # what was under way to an earlier reader says too little
                if begun:
                    yield _load_line(content)
        finally:
            if self._load is told:
                self._load = None
                self._channel.send(Message(Kind.WATCH_LOAD, content={"on": False}))

    async def _attend(self) -> None:
        while (message := await self._channel.receive()) is not None:
            await self._answer(message)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Whatever ends first ends the worker."""
        task = asyncio.create_task(work, name=self.name)
        task.add_done_callback(lambda _: self._stopped.set())
        self._tasks.append(task)

    async def _answer(self, message: Message) -> None:
        if message.kind is Kind.ASK:
            await self._report(message.number)
        elif message.kind is Kind.COUNTS:
            answer = self._asked.get(message.number)
            if answer is not None and not answer.done():
                answer.set_result(message.content)
        elif message.kind is Kind.LOAD:
            if self._load is not None:
                self._load.put_nowait(message.content)
        elif message.kind is Kind.LEAVE:
            assert self._leave is not None
            self._spawn(self._leave())
        elif message.kind is Kind.STOP:
            self._stopped.set()

    async def _report(self, number: int) -> None:
        assert self._reporter is not None
        async for message in self._reporter.report(number):
            self._channel.send(message)
            await self._channel.flush()


def _load_line(content: Mapping[str, Any]) -> LoadLine:
    functions = {name: Load(*load) if load is not None else None for name, load in content["functions"].items()}
    return LoadLine(content["at"], functions, content["gateway"], content["partial"])


class _Ready:
    """Last in the list of services: started when everything before it is, and the first to hear that it ends."""

    name = "ready"

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def start(self) -> None:
        self._channel.send(Message(Kind.READY))

    async def stop(self) -> None:
        """Whoever asked for it, a signal perhaps: the calls under way take their time, and new ones need a worker."""
        self._channel.send(Message(Kind.LEAVING))

    async def wait(self) -> None:
        await asyncio.Event().wait()
