"""A master with real worker processes, in front of a real provider API over functions in memory."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import h11
import httpx
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from springtide.gateway.settings import GatewaySettings
from springtide.gateway.workers.pool import PoolDeps, WorkerPool, build
from springtide.provider.api import ProviderApi, ProviderApiDeps, ProviderApiSettings
from springtide.provider.api import build as build_provider
from springtide.provider.memory import MemoryProvider
from springtide.provider.spec import FunctionSpec
from springtide.runtime.basic_auth import Credentials
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.endpoint_stream import Endpoint
from tests.gateway.harness import Conversation, Handler, Replica, client, post, response, until

CREDENTIALS = Credentials("admin", "secret")
ECHO = FunctionRef("openfaas-fn", "echo")


async def busy_echo(conversation: Conversation) -> None:
    """Takes a moment, so that there are calls in flight at any time."""
    while True:
        request = await conversation.request()
        await asyncio.sleep(0.002)
        await conversation.send(response(request.body))


class Pooled:
    """``server`` is every replica of every function."""

    def __init__(self, pool: WorkerPool, api: ProviderApi, provider: MemoryProvider, server: Replica) -> None:
        self.pool, self.api, self.provider, self.server = pool, api, provider, server
        self.http = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{pool.port}", auth=(CREDENTIALS.user, CREDENTIALS.password), timeout=60
        )

    async def call(self, body: bytes = b"hello") -> int:
        """One call on a connection of its own; its status."""
        async with client(self.pool.port) as caller:
            await caller.send(post(body))
            answer = await caller.answer()
            assert answer.status != 200 or answer.body == body
            return answer.status

    async def scraped(self) -> httpx.Response:
        async with httpx.AsyncClient(timeout=60) as http:
            return await http.get(f"http://127.0.0.1:{self.pool.metrics_port}/metrics")

    async def ready(self) -> httpx.Response:
        async with httpx.AsyncClient(timeout=60) as http:
            return await http.get(f"http://127.0.0.1:{self.pool.metrics_port}/readyz")

    async def sample(self, name: str, **labels: str) -> float | None:
        """The value of one series, summed over the labels not given; None where there is none."""
        got = await self.scraped()
        assert got.status_code == 200, got.text
        values = [
            one.value
            for family in text_string_to_metric_families(got.text)
            for one in family.samples
            if one.name == name and labels.items() <= one.labels.items()
        ]
        return sum(values) if values else None

    def pids(self) -> set[int]:
        return {pid for pids in self.pool.pids().values() for pid in pids}

    async def until_whole_without(self, pid: int) -> None:
        """Return once each place has one worker that serves, and none of them is ``pid``."""
        await until(lambda: pid not in self.pids() and self.pool.serving() == {1, 2})


@contextlib.asynccontextmanager
async def pooled(
    handler: Handler = busy_echo, *, hung_after_s: float = 60.0, capacity: int = 0, **settings: Any
) -> AsyncIterator[Pooled]:
    """``capacity``: calls at once of a replica; 0: any number."""
    server = Replica(handler)
    await server.start()

    async def start(_: FunctionRef, instance: str) -> Endpoint:
        return replace(server.endpoint, instance=instance)

    provider = MemoryProvider(start_replica=start)
    labels = {"com.openfaas.scale.type": "capacity", "com.openfaas.scale.target": f"{capacity}"} if capacity else {}
    await provider.deploy(
        FunctionSpec(ref=ECHO, image="any", labels=labels, annotations={"com.springtide.webhook": "none"})
    )
    api = build_provider(ProviderApiSettings(port=0), ProviderApiDeps(provider=provider, credentials=CREDENTIALS))
    await api.start()
    given = {"port": 0, "metrics_port": 0, "grace_s": 5.0, "provider_url": f"http://127.0.0.1:{api.port}", **settings}
    pool = build(GatewaySettings(**given), PoolDeps(CREDENTIALS, CollectorRegistry(), hung_after_s), 2)
    try:
        await pool.start()
        suite = Pooled(pool, api, provider, server)
        yield suite
        await suite.http.aclose()
    finally:
        await pool.stop()
        await api.stop()
        await provider.aclose()
        server.close()


@contextlib.asynccontextmanager
async def load(suite: Pooled, callers: int = 10) -> AsyncIterator[Counter[str]]:
    """Callers that call again and again, each connection several times; what they saw, by status or by the error."""
    seen: Counter[str] = Counter()
    over = False

    async def calls(number: int) -> None:
        count = 0
        while not over:
            try:
                async with client(suite.pool.port) as caller:
                    for _ in range(7):
                        body = b"%d-%d" % (number, count)
                        count += 1
                        await caller.send(post(body))
                        answer = await caller.answer()
                        right = answer.status == 200 and answer.body == body
                        seen["right" if right else f"{answer.status} {answer.body!r}"] += 1
                        if "close" in answer.headers.get("connection", []):
                            break
            except (OSError, AssertionError, h11.ProtocolError) as error:
                seen[f"{type(error).__name__}: {error}"] += 1

    tasks = [asyncio.create_task(calls(number)) for number in range(callers)]
    try:
        yield seen
    finally:
        over = True
        await asyncio.gather(*tasks)


async def more(seen: Counter[str], calls: int = 100) -> None:
    """Return once so many more calls were answered."""
    goal = seen["right"] + calls
    await until(lambda: seen["right"] >= goal)


def left(seen: Counter[str]) -> int:
    """Calls that were not answered as they should have been."""
    return seen.total() - seen["right"]


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process that hangs."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


async def gone(pid: int) -> None:
    """Return once a process, which need not be our child, has ended."""
    try:
        held = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        await until(lambda: bool(select.select([held], [], [], 0)[0]))
    finally:
        os.close(held)
