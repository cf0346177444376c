"""What both targets share: a plane over connections in memory, how bytes become a conversation, and what must hold.

An input begins with how it is told: one byte of options, one byte with the number of steps, the steps. Each step sends
a piece of the rest, or makes somebody stop reading, or lets time pass; the steps are repeated until all is sent.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, replace
from typing import Any

import h11

from springtide.gateway.client_connection import ClientConnection, Requests
from springtide.gateway.data_plane import DataPlane, DataPlaneDeps
from springtide.gateway.http1.request import RequestHead
from springtide.gateway.settings import GatewaySettings
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.endpoint_stream import Endpoint, FunctionEndpoints, Snapshot
from tests.fuzz.in_memory import Loop, Transport
from tests.gateway.harness import Decisions, Target

MAX_BYTES = 1 << 20
"""What h11 may keep: it must not give up before the gateway does."""

LONGER_THAN_ANY_TIMEOUT_S = 5000.0
MAX_STEPS = 15
CALLER_STALLS, REPLICAS_STALL, TIME_PASSES = 0, 1, 2
MIN_SIZE = 3
PROBE = b"GET /function/echo HTTP/1.1\r\nHost: a\r\nX-Probe: 1\r\nConnection: close\r\n\r\n"
PROBE_S = 3.0
"""Longer than a replica that refused a connection is left alone."""

READS_ON = 0x80
"""Of the options: whatever it did before, in the end the caller reads everything."""

LARGE = 128
"""Steps from here on stand for larger pieces."""

SETTINGS = GatewaySettings(replay_bytes=200, max_held_bytes=100_000)
ECHO = FunctionEndpoints(FunctionRef("openfaas-fn", "echo"), 1, "1", (Endpoint("a", "127.0.0.1", 1),))


@dataclass(frozen=True, slots=True)
class Input:
    options: int
    steps: bytes
    data: bytes

    @classmethod
    def of(cls, raw: bytes) -> Input:
        count = raw[1] % (MAX_STEPS + 1) if len(raw) > 1 else 0
        return cls(raw[0] if raw else 0, raw[2 : 2 + count], raw[2 + count :])

    def actions(self) -> Iterator[int | bytes]:
        """Pieces of the data, and the numbers of the steps that are none."""
        at = 0
        steps = self.steps if any(step >= MIN_SIZE for step in self.steps) else self.steps + b"\xff"
        while at < len(self.data):
            for step in steps:
                if step < MIN_SIZE:
                    yield step
                    continue
                size = step - MIN_SIZE + 1 if step < LARGE else (step - LARGE + 1) * 100
                yield self.data[at : at + size]
                at += size


async def nowhere() -> socket.socket:
    """The loop makes every connection in memory: none of the kernel's is looked at."""
    with socket.socket() as closed:
        return closed


class RecordingPlane(DataPlane):
    """Keeps the heads of all requests it began: the ones that answers are counted against."""

    def __init__(self, loop: Loop, settings: GatewaySettings) -> None:
        deps = DataPlaneDeps(clock=loop.clock, target=Target(), recorder=Decisions(), connect_system=nowhere)
        super().__init__(settings, deps)
        self.begun: list[tuple[ClientConnection, RequestHead]] = []
        self.clients = replace(self.clients, requests=Recording(self.clients.requests, self.begun))
        self.table.apply(Snapshot((ECHO,)))


class Recording:
    """Requests that are written down and passed on."""

    def __init__(self, inner: Requests, begun: list[tuple[ClientConnection, RequestHead]]) -> None:
        self._inner, self._begun = inner, begun
        self.own_headers, self.count_refused = inner.own_headers, inner.count_refused

    def begin(self, client: ClientConnection, head: RequestHead) -> None:
        self._begun.append((client, head))
        self._inner.begin(client, head)


class Conversation:
    """One caller, the plane, and the replicas' connections in the order in which they were opened."""

    def __init__(self, loop: Loop, settings: GatewaySettings = SETTINGS) -> None:
        self.loop = loop
        self.upstreams: list[Transport] = []
        self.plane = RecordingPlane(loop, settings)
        self.caller = Transport(loop, self.plane.accept())
        loop.connected = self.upstreams.append

    async def turns(self, count: int = 4) -> None:
        """Let what is due happen."""
        for _ in range(count):
            await asyncio.sleep(0)

    async def send(self, given: Input, deliver: Callable[[bytes], bool]) -> None:
        """Do what the input says, until all is sent or ``deliver`` says that nobody takes it any more."""
        for action in given.actions():
            if action == CALLER_STALLS:
                self.caller.stall()
            elif action == REPLICAS_STALL:
                for upstream in self.upstreams:
                    upstream.stall()
            elif action == TIME_PASSES:
                await asyncio.sleep(1)
            elif isinstance(action, bytes) and not deliver(action):
                return
            await self.turns()
            await self._check_flow()

    async def probe(self, given: Input) -> Transport:
        """Another caller makes a plain call. Whatever the first one did, it must not be the second one's trouble.

        By now replicas read everything, and the first caller if its option is on; then nobody may be left unread.
        """
        reading = [*self.upstreams, *([self.caller] if given.options & READS_ON else [])]
        for transport in reading:
            if transport.stalled:
                transport.stall()
        other = Transport(self.loop, self.plane.accept())
        other.receive(PROBE)
        await asyncio.sleep(PROBE_S)
        await self._check_flow()
        return other

    async def _check_flow(self) -> None:
        """Where nobody stalls, everybody is read from."""
        ends = (self.caller, *self.upstreams)
        if any(transport.stalled for transport in ends) or not any(transport.reading_paused for transport in ends):
            return
        await self.turns(20)
        for transport in (self.caller, *self.upstreams):
            assert transport.closing or not transport.reading_paused, f"left unread: {transport!r}"

    async def end(self) -> None:
        """Nothing more is sent. Whatever waits for something must give up in time, and nothing may be left."""
        await asyncio.sleep(LONGER_THAN_ANY_TIMEOUT_S)
        plane = self.plane
        if plane.system.metrics.in_flight:  # that is ourselves, and may take as long as it likes
            for upstream in self.upstreams:
                if upstream.stalled:
                    upstream.stall()
            await asyncio.sleep(LONGER_THAN_ANY_TIMEOUT_S)
        assert self.caller.lost, f"still open: {self.caller.protocol!r}"
        assert all(upstream.lost for upstream in self.upstreams), f"still open: {self.upstreams}"
        for route in (*plane.table, plane.system, plane.unknown):
            metrics = route.metrics
            assert metrics.in_flight == metrics.held == 0, route
            assert metrics.started == metrics.answered, route
            assert all(replica.in_flight == 0 and not replica.idle for replica in route.ready), route
        assert len(plane.admission) == plane.admission.kept_bytes == 0
        for queue in plane.timeouts:
            assert len(queue) == 0, queue
        await plane.close()

    def check_answers(self) -> list[Answer]:
        """What the caller was sent, which must be whole answers to the requests begun, in order.

        Only where the connection was broken off may the last one be cut short. One more than there are requests is the
        refusal of something that is none.
        """
        data = bytes(self.caller.written)
        whole = not self.caller.aborted and not self.caller.left
        requests = iter([head for caller, head in self.plane.begun if caller is self.caller.protocol])
        answers = []
        while data:
            head = next(requests, None)
            answer = read_answer(data, head, ended=whole)
            if answer is None:
                break
            answers.append(answer)
            data = answer.rest
            if head is None:
                assert answer.status in (400, 408, 414, 417, 431, 503, 505), f"{answer.status}, and nobody asked"
                assert not data, f"more than the refusal: {data[:100]!r}"
            elif answer.status == 101:
                break
        return answers


def play(raw: bytes, scenario: Callable[[Input, Conversation], Coroutine[Any, Any, None]]) -> None:
    """Run one input on a loop of its own; what goes wrong in a callback is raised, too."""
    loop = Loop()

    async def main() -> None:
        await scenario(Input.of(raw), Conversation(loop))

    try:
        loop.run_until_complete(main())
    finally:
        loop.close()
    if loop.errors:
        raise loop.errors[0].get("exception") or AssertionError(str(loop.errors[0]))


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    method: bytes = b"GET"
    body: bytes = b""
    rest: bytes = b""


def read_answer(data: bytes, head: RequestHead | None = None, *, ended: bool) -> Answer | None:
    """The first answer in ``data`` and what follows it; None when it is cut short, unless ``ended``."""
    method = head.method if head is not None else b"GET"
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_BYTES)
    upgrade = [("Connection", "Upgrade"), ("Upgrade", "x")] if head is not None and head.upgrade else []
    client.send(h11.Request(method=method, target="/", headers=[("Host", "x"), *upgrade]))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    if ended:
        client.receive_data(b"")
    status, body = 0, b""
    while not isinstance(event := client.next_event(), h11.EndOfMessage):
        if event is h11.NEED_DATA:
            return None
        if isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.InformationalResponse) and event.status_code == 101:
            return Answer(101, method)
        assert not isinstance(event, h11.ConnectionClosed), "closed without an answer"
    return Answer(status, method, body, client.trailing_data[0])
