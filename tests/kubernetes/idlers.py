"""Real idler processes with leader election, a provider in memory that notes each write, and what they measure."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from springtide.provider.api.application import Parts, application
from springtide.provider.api.request_values import NamespaceRule
from springtide.provider.memory.provider import MemoryProvider
from springtide.provider.spec import FunctionSpec
from springtide.runtime.asgi_server import AsgiServer
from springtide.runtime.build_version import Version
from springtide.runtime.clock import SystemClock
from springtide.scaler.core.vocabulary import Decision, FunctionRef, Scale
from springtide.wire.decision_log import DecisionLog
from springtide.wire.leadership import Terms
from tests.fakes.gateway import FakeGateway, lines
from tests.fakes.prometheus import FakePrometheus, Series, Stored
from tests.kubernetes.emulator import Emulator
from tests.kubernetes.emulator.store import Change
from tests.tcp_wire import Wire

ROOT = Path(__file__).parents[2]
ECHO = FunctionRef("openfaas-fn", "echo")
LEASE = "springtide-idler"
ROLE = f"openfaas/{LEASE}"
DURATION_S = 2


@dataclass(frozen=True)
class Write:
    """One write of an idler that was done: in which term, and since which version the lease had its holder then."""

    term: int
    since: int


class LeaseHistory:
    """Who held the lease, as the API server knows it. ``since``: version of the write that made it the holder."""

    def __init__(self) -> None:
        self.holders: list[str] = []
        self.since = 0

    @property
    def holder(self) -> str:
        return self.holders[-1] if self.holders else ""

    def hear(self, change: Change) -> None:
        if change.object["kind"] != "Lease" or change.object["metadata"]["name"] != LEASE:
            return
        holder = str(change.object["spec"].get("holderIdentity", ""))
        if holder != self.holder:
            self.holders.append(holder)
            self.since = change.version


class RecordedProvider:
    """A provider in memory. A write of an idler is noted with its term; a person keeps waking the function."""

    def __init__(self, terms: Terms, lease: LeaseHistory) -> None:
        self._inner = MemoryProvider()
        self._terms, self._lease = terms, lease
        self.writes: list[Write] = []
        self.wakes = True
        self.role = ROLE

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def write(self, ref: FunctionRef, replicas: int, *, expect: str | None, decision: Decision | None) -> Scale:
        scale = await self._inner.write(ref, replicas, expect=expect, decision=decision)
        # The API looked at the term right before this call, so the last one it knows is the writer's.
        self.writes.append(Write(self._terms._last[self.role], self._lease.since))
        if self.wakes:
            await self._inner.write(ref, 1, expect=None, decision=None)
        return scale

    async def count(self) -> int:
        return (await self._inner.read(ECHO)).scale.desired


class IdlerWire(Wire):
    """Between one idler and a server. ``hold`` keeps the first request that begins with ``what`` on its way, and
    ``answers`` is what the server said to that one; with ``cut`` nothing comes through either way any more.
    """

    def __init__(self, target: int) -> None:
        super().__init__(target)
        self.what = b""
        self.hold = asyncio.Event()
        self.held = asyncio.Event()
        self.cut = False
        self._holding: asyncio.StreamWriter | None = None
        self.answers: list[bytes] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream, downstream = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()  # nobody is there
            return
        back = asyncio.create_task(self._back(upstream, writer))
        try:
            while data := await reader.read(65536):
                if self.what and data.startswith(self.what) and not self.held.is_set():
                    self._holding = writer
                    self.held.set()
                    await self.hold.wait()
                await self._pass(downstream, data)
            await back  # the idler may have given up; what it sent is on its way all the same
        except (asyncio.CancelledError, ConnectionError):
            pass  # the idler left, or the test is over
        finally:
            back.cancel()
            downstream.close()
            writer.close()

    async def _back(self, upstream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await upstream.read(65536):
                if writer is self._holding:
                    self.answers.append(data)
                await self._pass(writer, data)
        if not self.cut:
            writer.close()  # the server has gone

    async def _pass(self, to: asyncio.StreamWriter, data: bytes) -> None:
        if not self.cut:
            to.write(data)
            await to.drain()


@dataclass
class Idler:
    """One process, the gateway that only it asks, and its wires to the provider and to the API server."""

    process: subprocess.Popen[bytes]
    gateway: FakeGateway
    wire: IdlerWire
    api: IdlerWire
    log: Path

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def end(self, number: int = signal.SIGKILL) -> None:
        self.process.send_signal(number)
        self.process.send_signal(signal.SIGCONT)

    @property
    def said(self) -> str:
        return self.log.read_text()


@dataclass
class Field:
    """Everything the idlers work with, in the test's own process."""

    cluster: Emulator
    lease: LeaseHistory
    provider: RecordedProvider
    decisions: DecisionLog
    port: int
    prometheus: FakePrometheus
    folder: Path
    stack: contextlib.AsyncExitStack
    idlers: list[Idler] = field(default_factory=list)

    async def start_idler(self, *more: str) -> Idler:
        gateway = await self.stack.enter_async_context(FakeGateway(lines(str(ECHO), calls=0, active=1)))
        wire = await self.stack.enter_async_context(IdlerWire(self.port))
        api = await self.stack.enter_async_context(IdlerWire(int(self.cluster.url.rpartition(":")[2])))
        kubeconfig = self.folder / f"kubeconfig-{len(self.idlers)}"
        self.cluster.write_kubeconfig(kubeconfig)
        kubeconfig.write_text(kubeconfig.read_text().replace(self.cluster.url, api.url))
        log = self.folder / f"idler-{len(self.idlers)}.log"
        words = f"""-m springtide.cli idler --no-basic-auth --port 0 --host 127.0.0.1
            --provider-url {wire.url} --prometheus-url {self.prometheus.url} --gateway-metrics-urls {gateway.url}
            --sweep 100ms --settle 0s --inactivity 100ms --stale-after 1h --deadline 60s
            --leader-election --kubeconfig {kubeconfig} --lease-namespace openfaas
            --lease-duration {DURATION_S}s --lease-renew-deadline 1200ms --lease-retry 200ms"""
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *words.split(), *more], cwd=ROOT, stderr=output, env={"PATH": os.environ["PATH"]}
            )
        idler = Idler(process, gateway, wire, api, log)
        self.stack.callback(_reap, idler)
        self.idlers.append(idler)
        return idler

    async def until(self, condition: Any, what: str, *, within_s: float = 120.0) -> None:
        try:
            async with asyncio.timeout(within_s):
                while not condition():  # noqa: ASYNC110 - most of what is waited for happens in other processes
                    await asyncio.sleep(0.005)
        except TimeoutError:
            told = "\n".join(idler.said[-2000:] for idler in self.idlers)
            raise AssertionError(f"not within {within_s:g} s: {what}\n{told}") from None

    async def until_writing(self, term_after: int = 0) -> int:
        """Wait for a write of a later term than that; the term."""
        await self.until(
            lambda: bool(self.provider.writes) and self.provider.writes[-1].term > term_after,
            f"a write after term {term_after}",
        )
        return self.provider.writes[-1].term


def _reap(idler: Idler) -> None:
    if idler.process.poll() is None:
        idler.end()
    idler.process.wait(120)


@contextlib.asynccontextmanager
async def field_of_idlers(folder: Path) -> AsyncIterator[Field]:
    async with contextlib.AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(Emulator())
        terms, lease = Terms(), LeaseHistory()
        stack.callback(cluster.store.listen(lease.hear))
        provider, decisions = RecordedProvider(terms, lease), DecisionLog()
        labels = {"com.openfaas.scale.zero": "true", "com.openfaas.scale.zero-duration": "100ms"}
        await provider._inner.deploy(FunctionSpec(ref=ECHO, image="none", labels=labels))
        parts = Parts(
            provider=provider,
            decisions=decisions,
            clock=SystemClock(),
            registry=CollectorRegistry(),
            version=Version.installed(),
            stopping=asyncio.Event(),
            heartbeat_s=1.0,
            namespaces=NamespaceRule("openfaas-fn"),
            terms=terms,
        )
        server = AsgiServer(application(parts, credentials=None, body_deadline_s=60), name="provider", grace_s=1)
        await server.start()
        stack.push_async_callback(server.stop)
        stored = Stored(clock=time.time, series=[Series(str(ECHO), in_flight=0, last_active=1, at=time.time())])
        prometheus = await stack.enter_async_context(FakePrometheus(stored))
        yield Field(cluster, lease, provider, decisions, server.port, prometheus, folder, stack)
