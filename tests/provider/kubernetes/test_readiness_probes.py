from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from springtide.provider.kubernetes.readiness import ProbeTarget, ReadinessProber
from springtide.provider.kubernetes.views import PodView, pod_view
from springtide.provider.watchdog_endpoints import HEALTH_PATH, READY_PATH
from springtide.runtime.clock import SystemClock
from springtide.runtime.http_probe import probe
from springtide.scaler.core.vocabulary import FunctionRef
from tests.provider.kubernetes.cluster_objects import pod

DEADLINE_S = 120.0
ECHO = FunctionRef("openfaas-fn", "echo")
STARTING = pod_view(pod("a", ip="127.0.0.1", ready=False))


class Answers:
    """A pod that answers each path with the statuses it is given, the last one for ever."""

    def __init__(self, **statuses: Sequence[int]) -> None:
        self._statuses = {f"/_/{name}": list(given) for name, given in statuses.items()}
        self.asked: list[str] = []
        self.more = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split()[1].decode()
        given = self._statuses.get(path, [404])
        status = given.pop(0) if len(given) > 1 else given[0]
        self.asked.append(path)
        self.more.set()
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()


class Heard:
    def __init__(self) -> None:
        self.pods: list[PodView] = []
        self.first = asyncio.Event()

    def __call__(self, told: PodView) -> None:
        self.pods.append(told)
        self.first.set()


@asynccontextmanager
async def prober() -> AsyncIterator[ReadinessProber]:
    made = ReadinessProber(clock=SystemClock(), pause_s=0.001, most_s=DEADLINE_S)
    try:
        yield made
    finally:
        await made.aclose()


@pytest.mark.parametrize(
    ("answers", "last"),
    [
        pytest.param({"ready": [200]}, READY_PATH, id="once it is ready"),
        pytest.param({"ready": [503, 503, 200]}, READY_PATH, id="once it has become ready"),
        pytest.param({"health": [503, 200]}, HEALTH_PATH, id="by its health where it knows no readiness"),
    ],
)
async def test_pod_that_answers_is_told(answers: dict[str, Sequence[int]], last: str) -> None:
    heard, server = Heard(), Answers(**answers)
    async with await asyncio.start_server(server, "127.0.0.1", 0) as listening, prober() as asks:
        asks.probe(ECHO, [ProbeTarget(STARTING, listening.sockets[0].getsockname()[1])], heard)
        async with asyncio.timeout(DEADLINE_S):
            await heard.first.wait()

    assert heard.pods == [STARTING]
    assert server.asked[-1] == last


@pytest.mark.parametrize(
    ("host", "shown"), [pytest.param("127.0.0.1", "127.0.0.1", id="IPv4"), pytest.param("::1", "[::1]", id="IPv6")]
)
async def test_pod_is_told_the_address_it_is_asked_at(host: str, shown: str) -> None:
    heads: list[bytes] = []

    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    async with await asyncio.start_server(server, host, 0) as listening:
        port: int = listening.sockets[0].getsockname()[1]
        await probe(host, port, READY_PATH, connect_s=DEADLINE_S, answer_s=DEADLINE_S)
    head = heads[0]
    assert f"\r\nHost: {shown}:{port}\r\n".encode() in head


async def test_pod_that_does_not_listen_yet_is_asked_until_it_does() -> None:
    heard, server = Heard(), Answers(ready=[200])
    async with await asyncio.start_server(server, "127.0.0.1", 0) as placeholder:
        port = placeholder.sockets[0].getsockname()[1]
    async with prober() as asks:
        asks.probe(ECHO, [ProbeTarget(STARTING, port)], heard)
        await asyncio.sleep(0)
        async with await asyncio.start_server(server, "127.0.0.1", port), asyncio.timeout(DEADLINE_S):
            await heard.first.wait()

    assert heard.pods == [STARTING]


async def test_pod_that_knows_neither_path_is_left_to_kubernetes() -> None:
    heard, server = Heard(), Answers()
    async with await asyncio.start_server(server, "127.0.0.1", 0) as listening, prober() as asks:
        target = ProbeTarget(STARTING, listening.sockets[0].getsockname()[1])
        asks.probe(ECHO, [target], heard)
        async with asyncio.timeout(DEADLINE_S):
            while len(server.asked) < 2:
                server.more.clear()
                await server.more.wait()
        asks.probe(ECHO, [target], heard)  # Once is enough.
        await asyncio.sleep(0)

    assert server.asked == [READY_PATH, HEALTH_PATH]
    assert heard.pods == []


async def test_pod_out_of_question_is_not_asked_any_more_and_may_be_asked_again() -> None:
    heard, server = Heard(), Answers(ready=[503])
    async with await asyncio.start_server(server, "127.0.0.1", 0) as listening, prober() as asks:
        port = listening.sockets[0].getsockname()[1]
        asks.probe(ECHO, [ProbeTarget(STARTING, port)], heard)
        async with asyncio.timeout(DEADLINE_S):
            await server.more.wait()
        asks.probe(ECHO, [], heard)
        assert repr(asks) == "<ReadinessProber 1 pods>"
        await asyncio.sleep(0)
        assert repr(asks) == "<ReadinessProber 0 pods>"
        server.more.clear()
        asks.probe(ECHO, [ProbeTarget(STARTING, port)], heard)
        async with asyncio.timeout(DEADLINE_S):
            await server.more.wait()
