"""A call alone: the dispatcher makes it, the queue of waiting calls is a list, connections are in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from springtide.gateway.asynchronous.accepting import AsyncCalls
from springtide.gateway.asynchronous.async_call import AsyncPorts, Held
from springtide.gateway.asynchronous.stores import Stores
from springtide.gateway.backend_replica import BackendReplica
from springtide.gateway.broken_answers import BrokenAnswers
from springtide.gateway.call import Call, CallPorts
from springtide.gateway.call_metrics import CallMetrics
from springtide.gateway.call_state import CallState
from springtide.gateway.client_connection import ClientConnection, ClientPorts
from springtide.gateway.coldstart.admission import WaitingCall
from springtide.gateway.connector import Connector
from springtide.gateway.disconnect_watcher import DisconnectWatcher
from springtide.gateway.dispatcher import Dispatcher
from springtide.gateway.draining import Draining
from springtide.gateway.http1.response import ResponseHead
from springtide.gateway.request_counts import RequestCounts
from springtide.gateway.resend import ResendRules
from springtide.gateway.route import Route
from springtide.gateway.settings import GatewaySettings
from springtide.gateway.timeouts import Timeouts
from springtide.gateway.webhooks.incoming import WebhookPorts
from springtide.gateway.webhooks.seen import Seen
from springtide.gateway.webhooks.webhooks import Told, Webhooks
from springtide.runtime import virtual_time
from springtide.runtime.wrong_credentials import WrongCredentials
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.endpoint_stream import Endpoint
from springtide.wire.jobs.callback_address import CallbackRules
from springtide.wire.webhooks.checks import NoChecks
from tests.fuzz.in_memory import Loop, Transport
from tests.gateway.harness import get, no_system

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"
UPGRADE = get(headers="Connection: upgrade\r\nUpgrade: x\r\n")


@dataclass
class Waiting:
    """A CallAdmission that lets nobody in by itself."""

    calls: list[WaitingCall] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.calls)

    def hold(self, call: WaitingCall) -> None:
        self.calls.append(call)

    def grow(self, call: WaitingCall, size: int) -> bool:  # noqa: ARG002 - the port's signature
        return True

    def leave(self, call: WaitingCall) -> None:
        if call in self.calls:
            self.calls.remove(call)

    def release(self, route: Route) -> None:
        pass

    def refuse_all(self) -> None:
        raise AssertionError


@dataclass
class OneFunction:
    route: Route
    connected: bool = True

    def by_name(self, name: bytes) -> Route | None:
        return self.route if name == b"echo" else None


class Rig:
    """One client whose call finds no replica, and a replica to give it to."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self.waiting = Waiting()
        self.route = Route(FunctionRef("openfaas-fn", "echo"), CallMetrics(last_active=0.0))
        self.unknown = Route(FunctionRef("", "unknown"), CallMetrics(last_active=0.0))
        self.connections: list[Transport] = []
        loop.connected = self.connections.append
        settings = GatewaySettings()
        self.timeouts = Timeouts(loop, settings)
        self.route.limit = self.timeouts.call_limit(None)
        connector = Connector(loop, settings, clock=loop.clock, timeouts=self.timeouts)
        draining = Draining(self.waiting, max_connections=10)
        ports = CallPorts(
            loop.clock,
            self.waiting,
            self.timeouts,
            draining,
            None,
            BrokenAnswers(loop.clock),
            ResendRules(1000, retry_posts=True),
        )
        system = Route(FunctionRef("", "system"), CallMetrics(last_active=0.0), is_system=True)
        system.ready = [connector.system(no_system)]
        taking = AsyncPorts(
            clock=loop.clock,
            stopping=lambda: draining.stopping,
            body_timeout=self.timeouts.body,
            counts=RequestCounts(),
            held=Held(1000),
            max_inline=100,
            max_body=1000,
        )
        stores = Stores(settings.broker, name="test")
        deliveries = WebhookPorts(
            clock=loop.clock,
            stores=stores,
            checks=NoChecks(),
            seen=Seen(loop.clock),
            wrong=WrongCredentials(lambda: None),
            credentials=None,
            tell=Told(),
            max_inline=100,
        )
        dispatcher = Dispatcher(
            OneFunction(self.route),
            ports,
            asynchronous=AsyncCalls(taking, stores, rules=CallbackRules(), credentials=None),
            webhooks=Webhooks(taking, deliveries, tolerance_s=300),
            system=system,
            unknown=self.unknown,
        )
        clients = ClientPorts(loop, dispatcher, draining, self.timeouts, DisconnectWatcher(loop))
        self.replica: BackendReplica = connector.replica(Endpoint("a", "127.0.0.1", 1))
        self.client = Transport(loop, ClientConnection(clients))

    def run_test(self, test: Coroutine[Any, Any, None]) -> None:
        virtual_time.run(test, self._loop)
        assert self._loop.errors == []

    async def held(self, request: bytes = get()) -> Call:
        self.client.receive(request)
        (call,) = self.waiting.calls
        assert isinstance(call, Call)
        return call

    async def assigned(self, request: bytes = get()) -> Call:
        call = await self.held(request)
        self.waiting.leave(call)
        call.assign(self.replica)
        return call

    async def sent(self, request: bytes = get()) -> Call:
        call = await self.assigned(request)
        await turns()
        return call

    async def answering(self) -> Call:
        call = await self.sent()
        self.connections[-1].receive(OK + b"he")
        return call

    async def tunnelled(self) -> Call:
        call = await self.sent(UPGRADE)
        self.connections[-1].receive(SWITCHING)
        return call


async def turns() -> None:
    for _ in range(6):
        await asyncio.sleep(0)


@pytest.fixture
def rig() -> Rig:
    return Rig(Loop())


REACHED: dict[CallState, Callable[[Rig], Awaitable[Call]]] = {
    CallState.HELD: Rig.held,
    CallState.ASSIGNED: Rig.assigned,
    CallState.SENT: Rig.sent,
    CallState.ANSWERING: Rig.answering,
    CallState.TUNNELLED: Rig.tunnelled,
}


@pytest.mark.parametrize("state", REACHED, ids=lambda state: state.name.lower())
async def test_client_may_leave_in_every_state_and_nothing_is_left(rig: Rig, state: CallState) -> None:
    call = await REACHED[state](rig)
    assert call.state is state

    rig.client.reset()
    await turns()

    assert call.state is CallState.FINISHED
    assert rig.route.metrics.in_flight == rig.replica.in_flight == len(rig.waiting) == 0
    assert len(rig.timeouts) == len(rig.replica.idle)


async def test_call_ends_with_its_answer(rig: Rig) -> None:
    call = await rig.answering()

    rig.connections[-1].receive(b"llo")

    assert call.state is CallState.FINISHED
    assert rig.client.written.endswith(b"\r\n\r\nhello")
    assert rig.replica.idle


async def test_call_whose_replica_breaks_before_the_answer_waits_for_another(rig: Rig) -> None:
    call = await rig.sent()

    rig.connections[-1].reset()
    await turns()

    assert call.state is CallState.HELD
    assert call.last_loss
    assert rig.waiting.calls == [call]


async def test_call_that_can_have_no_connection_waits_for_another_replica(rig: Rig) -> None:
    call = await rig.assigned()

    rig.replica.retire()

    assert call.state is CallState.HELD
    assert call.last_loss == "it is being stopped"
    assert rig.replica.in_flight == 0


async def test_answer_that_breaks_off_is_cut_and_not_sent_again(rig: Rig) -> None:
    call = await rig.answering()

    rig.connections[-1].reset()
    await turns()

    assert call.state is CallState.FINISHED
    assert rig.client.aborted
    assert rig.route.metrics.refused == {"answer_cut": 1}


async def test_call_is_timed_from_its_first_replica_on(rig: Rig) -> None:
    call = await rig.held()
    assert len(rig.timeouts) == 0
    call.assign(rig.replica)
    await turns()
    await asyncio.sleep(GatewaySettings().upstream_timeout_s)

    assert call.state is CallState.FINISHED
    assert rig.client.written.startswith(b"HTTP/1.1 504 ")


async def test_event_that_the_state_does_not_know_is_an_error(rig: Rig) -> None:
    call = await rig.held()

    with pytest.raises(KeyError):
        call.answer(ResponseHead(200, b"200 OK", b"", 0), 0, b"")
    rig.client.reset()


@pytest.mark.parametrize(
    ("target", "text"),
    [
        pytest.param("/function/nothing", b"404 Not Found", id="unknown"),
        pytest.param("/function/", b"404 Not Found", id="no name"),
        pytest.param("/function/ech%6F", b"", id="escaped"),
    ],
)
async def test_dispatcher_finds_the_function_or_answers_itself(rig: Rig, target: str, text: bytes) -> None:
    rig.client.receive(get(target))

    assert text in rig.client.written
    assert len(rig.waiting) == (not text)
    assert rig.unknown.metrics.started == bool(text)
    rig.client.reset()
