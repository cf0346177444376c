"""The data plane under whatever may happen in whatever order: callers, replicas, table, time; no sockets, virtual time.

Nothing may be raised out of a callback, nothing counted may be lost, and nobody may wait for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from springtide.gateway.data_plane import DataPlane, DataPlaneDeps
from springtide.gateway.settings import GatewaySettings
from springtide.runtime.errors import Unavailable
from springtide.runtime.virtual_time import VirtualTimeLoop
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.endpoint_stream import Changed, Endpoint, FunctionEndpoints, Removed, Snapshot
from tests.gateway.harness import Decisions, Target, no_system
from tests.gateway.malformed import CORPUS

REF = FunctionRef("openfaas-fn", "echo")

GOOD = [
    b"GET /function/echo HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /function/echo HTTP/1.0\r\n\r\n",
    b"HEAD /function/echo HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /function/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /function/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\n" + b"x" * 90_000,
    b"POST /function/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
    b"POST /function/echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
    b"GET /function/echo HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nearly",
    b"GET /function/echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"GET /function/echo HTTP/1.1\r\nHost: a\r\nX-Timeout: 1\r\n\r\n",
    b"GET /function/nonsense HTTP/1.1\r\nHost: a\r\n\r\n",
]
ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\nuntil close",
    b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nhello",
    b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"nonsense\r\n\r\n",
]


class Transport(asyncio.Transport):
    """The other end of a connection, as the event loop would be: it calls back later, never at once."""

    def __init__(self, loop: Loop, protocol: Any) -> None:
        super().__init__()
        self._loop, self.protocol = loop, protocol
        self.written = bytearray()
        self.closing = self.lost = self.ended = self.eof_sent = self.full = self.reading_paused = False
        protocol.connection_made(self)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else default

    def write(self, data: Any) -> None:
        assert not self.eof_sent, "written after its end"
        if not self.closing:
            self.written += data

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.eof_sent = True

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        assert not self.closing
        self.reading_paused = True

    def resume_reading(self) -> None:
        assert not self.closing
        self.reading_paused = False

    def close(self) -> None:
        self.lose(None)

    def abort(self) -> None:
        self.lose(None)

    # What the test does to it.

    def lose(self, error: Exception | None) -> None:
        if not self.closing:
            self.closing = True
            self._loop.call_soon(self._lost, error)

    def _lost(self, error: Exception | None) -> None:
        self.lost = True
        self.protocol.connection_lost(error)

    def receive(self, data: bytes) -> None:
        if not self.closing and not self.ended and not self.reading_paused and data:
            self.protocol.data_received(data)

    def receive_end(self) -> None:
        if not self.closing and not self.ended and not self.reading_paused:
            self.ended = True
            if not self.protocol.eof_received():
                self.close()

    def fill(self) -> None:
        if not self.full and not self.closing:
            self.full = True
            self.protocol.pause_writing()

    def drain(self) -> None:
        if self.full and not self.closing:
            self.full = False
            self.protocol.resume_writing()


class Loop(VirtualTimeLoop):
    """Connections to replicas are made by the test, or refused."""

    def __init__(self) -> None:
        super().__init__()
        self.refuse_connections = False
        self.upstreams: list[Transport] = []
        self.errors: list[dict[str, Any]] = []
        self.set_exception_handler(lambda _, context: self.errors.append(context))

    async def create_connection(self, protocol_factory: Callable[[], Any], *_: Any, **__: Any) -> Any:
        await asyncio.sleep(0)
        if self.refuse_connections:
            raise ConnectionRefusedError("refused")
        protocol = protocol_factory()
        transport = Transport(self, protocol)
        self.upstreams.append(transport)
        return transport, protocol


class AnyOrder(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = Loop()
        self.target = Target()
        self.version = 0
        self.callers: list[Transport] = []
        self.begun = 0
        self.plane = self.loop.run_until_complete(self.make_plane())
        self.plane.table.apply(Snapshot(()))
        self.replicas(desired=2, ready=3, limit=0)
        route = self.plane.table.by_name(b"echo")
        assert route is not None
        self.routes = [route]

    async def make_plane(self) -> DataPlane:
        small = GatewaySettings(
            max_held_per_function=4, max_held=5, max_held_bytes=150_000, replay_bytes=1000, upstream_timeout_s=30
        )
        return DataPlane(
            small,
            DataPlaneDeps(clock=self.loop.clock, target=self.target, recorder=Decisions(), connect_system=no_system),
        )

    def turn(self, *actions: Callable[[], object], seconds: float = 0.0) -> None:
        """Do something in the event loop and let it do what is due."""

        async def act() -> None:
            for action in actions:
                action()
                await asyncio.sleep(0)
            await asyncio.sleep(seconds)

        self.loop.run_until_complete(act())

    def upstream(self, number: int) -> Transport | None:
        """A connection to a replica, rather one that is waited for than an idle one."""
        alive = [one for one in self.loop.upstreams if not one.lost]
        busy = [one for one in alive if one.protocol not in self.idle()]
        from_ = busy if busy and number < 15 else alive
        return from_[number % len(from_)] if from_ else None

    # Callers.

    def caller(self, number: int) -> Transport:
        """One of four callers; who left is replaced by the next."""
        while len(alive := [one for one in self.callers if not one.lost]) < 4:
            self.turn(lambda: self.callers.append(Transport(self.loop, self.plane.accept())))
        return alive[number % 4]

    @rule(number=st.integers(0, 3), data=st.sampled_from(GOOD))
    def caller_calls(self, number: int, data: bytes) -> None:
        caller = self.caller(number)
        self.turn(lambda: caller.receive(data))

    @rule(numbers=st.lists(st.integers(0, 3), min_size=1, max_size=6), data=st.sampled_from(GOOD))
    def callers_come_in_a_burst(self, numbers: list[int], data: bytes) -> None:
        callers = [self.caller(number) for number in numbers]
        self.turn(*[lambda caller=caller: caller.receive(data) for caller in callers])

    @rule(
        number=st.integers(0, 3),
        data=st.sampled_from(GOOD)
        | st.sampled_from(GOOD)
        | st.sampled_from(list(CORPUS.values()))
        | st.binary(max_size=50),
        cut=st.integers(0, 200),
        whole=st.booleans(),
        at_once=st.integers(1, 3),
    )
    def caller_sends(self, number: int, data: bytes, cut: int, whole: bool, at_once: int) -> None:
        caller = self.caller(number)
        data *= at_once
        self.turn(lambda: caller.receive(data[:cut]))
        if whole:
            self.turn(lambda: caller.receive(data[cut:]))

    @rule(number=st.integers(0, 3), how=st.sampled_from(["end", "reset", "stops reading", "reads again"]))
    def caller_does(self, number: int, how: str) -> None:
        self.happens(self.caller(number), how)

    @rule(number=st.integers(0, 3), gone=st.booleans())
    def caller_hangs_up_unread(self, number: int, gone: bool) -> None:
        protocol = self.caller(number).protocol
        self.turn(protocol.peer_gone if gone else protocol.peer_stopped)

    # Replicas.

    @rule(numbers=st.lists(st.integers(0, 14), min_size=1, max_size=4), data=st.sampled_from(ANSWERS))
    def replicas_answer(self, numbers: list[int], data: bytes) -> None:
        for number in numbers:
            upstream = self.upstream(number)
            if upstream is not None:
                self.turn(lambda upstream=upstream: upstream.receive(data))  # type: ignore[misc]

    @rule(number=st.integers(0, 20), data=st.sampled_from(ANSWERS) | st.binary(max_size=30), cut=st.integers(0, 80))
    def replica_sends(self, number: int, data: bytes, cut: int) -> None:
        upstream = self.upstream(number)
        if upstream is not None:
            self.turn(lambda: upstream.receive(data[:cut]), lambda: upstream.receive(data[cut:]))

    @rule(number=st.integers(0, 20), how=st.sampled_from(["end", "reset", "stops reading", "reads again"]))
    def replica_does(self, number: int, how: str) -> None:
        self.happens(self.upstream(number), how)

    @rule(refuse=st.booleans())
    def connections_are(self, refuse: bool) -> None:
        self.loop.refuse_connections = refuse

    def happens(self, transport: Transport | None, how: str) -> None:
        if transport is None:
            return
        actions = {
            "end": transport.receive_end,
            "reset": lambda: transport.lose(ConnectionResetError("reset")),
            "stops reading": transport.fill,
            "reads again": transport.drain,
        }
        self.turn(actions[how])

    # The provider.

    @rule(desired=st.integers(0, 2), ready=st.integers(0, 3), limit=st.integers(0, 2))
    def replicas(self, desired: int, ready: int, limit: int) -> None:
        self.version += 1
        endpoints = tuple(Endpoint(f"r{n}", "127.0.0.1", n, limit) for n in range(self.version % 2, ready))
        function = FunctionEndpoints(REF, desired, str(self.version), endpoints)
        self.turn(lambda: self.plane.table.apply(Changed(function)))
        route = self.plane.table.by_name(b"echo")
        assert route is not None
        if hasattr(self, "routes") and route not in self.routes:
            self.routes.append(route)

    @rule()
    def function_is_deleted(self) -> None:
        self.turn(lambda: self.plane.table.apply(Removed(REF)))

    @rule(times=st.integers(1, 3))
    def provider_fails(self, times: int) -> None:
        self.target.failures += [Unavailable("away")] * times

    @rule(seconds=st.sampled_from([0.001, 0.06, 1.5, 6, 70, 700]))
    def time_passes(self, seconds: float) -> None:
        self.turn(seconds=seconds)

    # What holds at any time.

    @invariant()
    def no_callback_failed(self) -> None:
        assert self.loop.errors == []

    @invariant()
    def counts_are_not_negative(self) -> None:
        for route in self.routes:
            metrics = route.metrics
            assert metrics.held >= 0
            assert metrics.in_flight >= metrics.held
            assert metrics.started == metrics.answered + metrics.in_flight
            for replica in route.ready:
                assert 0 <= replica.in_flight <= (replica.limit or 99)
        assert len(self.plane.admission) == sum(route.metrics.held for route in self.routes)

    def teardown(self) -> None:
        self.turn(*[lambda caller=caller: caller.lose(None) for caller in self.callers], seconds=0.1)
        for route in self.routes:
            assert route.metrics.in_flight == route.metrics.held == 0, route
            for replica in route.ready:
                assert replica.in_flight == 0
        assert len(self.plane.admission) == self.plane.admission.kept_bytes == 0
        lasting = (self.plane.timeouts.keep_alive, self.plane.timeouts.replica_idle, self.plane.timeouts.linger)
        for queue in self.plane.timeouts:
            assert queue in lasting or len(queue) == 0, queue
        assert not [one for one in self.loop.upstreams if not one.lost and one.protocol not in self.idle()]
        self.loop.run_until_complete(self.plane.close())
        assert self.loop.errors == []
        self.loop.close()

    def idle(self) -> list[Any]:
        return [upstream for route in self.routes for replica in route.ready for upstream in replica.idle]


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
