"""Schedules of several copies that share a Lease and a broker, while their leaders are killed, halted and cut off.

Each copy has wires of its own to the API server, the broker, the gateway and the provider. On a wire that is cut bytes
wait, either way, and come through once it is whole again: as with a network that loses everything for a while, and two
ends that repeat. A tick is missed when it was not stored a second after its instant, or after the end of the takeover
that it fell into.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bench.children import child, free_port, python
from bench.herd import percentile
from bench.report import Row
from bench.triggers.cron import Tick, accepted_at, created_at, deploy, expected_ticks, until_all
from springtide.runtime.kubernetes.lease_record import LeaseRecord
from tests.kubernetes.emulator import Emulator
from tests.nats_server import NatsServer
from tests.nats_server import running as running_nats
from tests.tcp_wire import Wire

SCHEDULES = ("@every 1s", "@every 2s", "@every 3s")
PER_SECOND = 11 / 6
NAMESPACE, LEASE = "openfaas", "springtide-cron"
LEASE_S, RENEW_S, RETRY_S = 5, 3.5, 1
CUT_S = LEASE_S + 4.0
"""Longer than a lease: another copy takes over while the process goes on, or is halted."""
RESTART_S = 1.0
"""As a supervisor does."""
CALM_S = 4.0
"""Between the end of one takeover and the next, and half as much again at most."""
LOOK_S = 0.02
TAKEOVER_S = 60.0
"""One that takes longer has failed."""
MARGIN_S = 1.0

NO_TAKEOVER = "cut off from broker and gateway"
KINDS = ("killed", "halted", "cut off from all", "cut off from the lease", NO_TAKEOVER)


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiesOptions:
    ticks: int = 300
    copies: int = 3


class CutWire(Wire):
    """While it is cut nothing comes through, and neither side is told."""

    def __init__(self, target: int) -> None:
        super().__init__(target)
        self._whole = asyncio.Event()
        self._whole.set()

    def __repr__(self) -> str:
        return f"<CutWire to {self.target}, {'whole' if self._whole.is_set() else 'cut'}>"

    def cut(self) -> None:
        self._whole.clear()

    def mend(self) -> None:
        self._whole.set()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):  # that is our own end, of which streams complain
            await self._whole.wait()
            upstream, downstream = await asyncio.open_connection("127.0.0.1", self.target)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass(reader, downstream))
                group.create_task(self._pass(upstream, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self._whole.wait()
                writer.write(data)
                await writer.drain()
        await self._whole.wait()
        writer.close()


@dataclass(eq=False)
class Copy:
    """One process of ``springtide cron``, and its wires."""

    command: Sequence[str]
    log: Path
    port: int
    api: CutWire
    broker: CutWire
    gateway: CutWire
    provider: CutWire
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(self.command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)

    def wires(self, kind: str) -> list[CutWire]:
        match kind:
            case "cut off from the lease":
                return [self.api]
            case "cut off from broker and gateway":
                return [self.broker, self.gateway]
        return [self.api, self.broker, self.gateway, self.provider]

    def end(self) -> None:
        self.process.kill()
        self.process.send_signal(signal.SIGCONT)
        self.process.wait()

    async def leads(self, client: httpx.AsyncClient) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            text = (await client.get(f"http://127.0.0.1:{self.port}/metrics")).text
            return re.search(r"^springtide_leader(\{.*\})? 1\.0$", text, re.MULTILINE) is not None
        return False


@dataclass(frozen=True, slots=True)
class Takeover:
    kind: str
    began: float
    ended: float


@dataclass
class Field:
    """Everything that runs."""

    cluster: Emulator
    api: httpx.AsyncClient
    """Of the gateway."""
    copies: list[Copy]
    chance: random.Random
    takeovers: list[Takeover] = field(default_factory=list)

    async def leader(self) -> Copy:
        async with asyncio.timeout(TAKEOVER_S):
            while True:
                for copy in self.copies:
                    if copy.process.poll() is None and await copy.leads(self.api):
                        return copy
                await asyncio.sleep(LOOK_S)

    def holder(self) -> str:
        lease = self.cluster.object("leases", NAMESPACE, LEASE)
        return LeaseRecord.read(lease).holder if lease is not None else ""

    async def until_another(self, holder: str) -> float:
        """When somebody else had the lease."""
        async with asyncio.timeout(TAKEOVER_S):
            while self.holder() in ("", holder):  # noqa: ASYNC110 - another process takes it
                await asyncio.sleep(LOOK_S)
        return time.time()

    async def disturb(self, kind: str) -> None:
        leader, began = await self.leader(), time.time()
        another = asyncio.create_task(self.until_another(self.holder()))
        if kind == "killed":
            leader.end()
            await asyncio.sleep(RESTART_S)
            leader.start()
        elif kind == "halted":
            leader.process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(CUT_S)
            leader.process.send_signal(signal.SIGCONT)
        else:
            for wire in leader.wires(kind):
                wire.cut()
            await asyncio.sleep(CUT_S)
            for wire in leader.wires(kind):
                wire.mend()
        if kind == NO_TAKEOVER:
            another.cancel()  # it led all the time, and sends again now
        self.takeovers.append(Takeover(kind, began, time.time() if kind == NO_TAKEOVER else await another))


def cron_copies(options: CopiesOptions, folder: Path, tell: Callable[[str], None]) -> tuple[Row, list[str]]:
    """What happened, and what is wrong with it."""
    return asyncio.run(_run(options, folder, tell))


async def _run(options: CopiesOptions, folder: Path, tell: Callable[[str], None]) -> tuple[Row, list[str]]:
    ledger = folder / "ledger"
    ledger.mkdir(parents=True)
    async with _running(options, folder) as running:
        await deploy(running.api, ledger, "; ".join(SCHEDULES), method="POST")
        deployed = await created_at(running.api)
        kinds = itertools.cycle(KINDS)
        while time.time() < deployed + options.ticks / PER_SECOND:
            await asyncio.sleep(CALM_S * running.chance.uniform(1, 1.5))
            await running.disturb(kind := next(kinds))
            last = running.takeovers[-1]
            tell(f"{last.began - deployed:.0f} s: {kind}, taken over after {last.ended - last.began:.1f} s")
        await asyncio.sleep(CALM_S)
        until = time.time() - MARGIN_S - 1.0
        expected = set(expected_ticks(deployed, until))
        seen = await until_all(ledger, expected)
        await deploy(running.api, ledger, "0 0 1 1 *")
        stored = {tick: [await accepted_at(running.api, job) for job in jobs] for tick, jobs in seen.items()}
        return _account(expected, stored, running.takeovers)


def _account(
    expected: set[Tick], stored: dict[Tick, list[float]], takeovers: Sequence[Takeover]
) -> tuple[Row, list[str]]:
    never = expected - stored.keys()
    over = [(tick, min(at) - _allowed(float(tick[1]), takeovers)) for tick, at in stored.items()]
    missed = {tick: over_s for tick, over_s in over if over_s > 0}
    late = [min(at) - float(tick[1]) for tick, at in stored.items()]
    calm = [each for tick, each in zip(stored, late, strict=True) if not _in_takeover(float(tick[1]), takeovers)]
    after = [over_s + MARGIN_S for tick, over_s in over if _in_takeover(float(tick[1]), takeovers)]
    doubled = [tick for tick, at in stored.items() if len(at) > 1]
    row: Row = {
        "ticks": len(expected),
        "never": len(never),
        "missed": len(missed) + len(never),
        "doubled": len(doubled),
        "takeovers": len(takeovers),
        **{f"{kind}": count for kind, count in Counter(each.kind for each in takeovers).items()},
        "late_p50_s": percentile(late, 0.5),
        "late_p99_s": percentile(late, 0.99),
        "late_max_s": max(late),
        "calm_late_p50_s": percentile(calm, 0.5) if calm else None,
        "calm_late_p99_s": percentile(calm, 0.99) if calm else None,
        "in_takeovers": len(after),
        "after_takeover_max_s": max(after, default=None),
        "missing": " ".join(f"{text}@{at}+{over_s:.2f}" for (text, at), over_s in sorted(missed.items()))[:300],
    }
    problems = [f"{row[what]} ticks were {what}" for what in ("missed", "doubled") if row[what]]
    return row, problems


def _in_takeover(at: float, takeovers: Sequence[Takeover]) -> list[Takeover]:
    return [each for each in takeovers if each.began - MARGIN_S <= at <= each.ended]


def _allowed(at: float, takeovers: Sequence[Takeover]) -> float:
    return max([at, *(each.ended for each in _in_takeover(at, takeovers))]) + MARGIN_S


@contextlib.asynccontextmanager
async def _running(options: CopiesOptions, folder: Path) -> AsyncIterator[Field]:
    with contextlib.ExitStack() as processes:
        nats = processes.enter_context(running_nats(folder / "nats"))
        gateway, provider = _suite(folder, nats, processes)
        async with contextlib.AsyncExitStack() as stack:
            cluster = await stack.enter_async_context(Emulator())
            api = httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway}", trust_env=False, timeout=30)
            running = Field(cluster, await stack.enter_async_context(api), [], random.Random(15))
            for number in range(options.copies):
                ports = (int(cluster.url.rpartition(":")[2]), nats.port, gateway, provider)
                wires = [await stack.enter_async_context(CutWire(port)) for port in ports]
                copy = _copy(folder, f"cron-{number}", cluster, *wires)
                running.copies.append(copy)
                copy.start()
                stack.callback(copy.end)
            await running.leader()
            yield running


def _suite(folder: Path, nats: NatsServer, processes: contextlib.ExitStack) -> tuple[int, int]:
    """A provider, a gateway and a queue worker; the ports of the first two, the gateway's first."""
    gateway, metrics, provider, worker = (free_port() for _ in range(4))
    queue, url = ("--nats-url", nats.url), f"http://127.0.0.1:{provider}"
    parts: Iterator[tuple[str, int, tuple[str, ...]]] = iter(
        (
            ("provider", provider, ("--data-dir", str(folder / "provider"))),
            ("gateway", gateway, ("--metrics-port", str(metrics), "--provider-url", url, *queue)),
            ("queue-worker", worker, ("--provider-url", url, "--gateway-url", f"http://127.0.0.1:{gateway}", *queue)),
        )
    )
    for name, port, flags in parts:
        command = python("springtide.cli", name, "--no-basic-auth", "--port", str(port), *flags)
        processes.enter_context(child(name, command, port=port, log=folder / f"{name}.log"))
    return gateway, provider


def _copy(
    folder: Path, name: str, cluster: Emulator, api: CutWire, broker: CutWire, gateway: CutWire, provider: CutWire
) -> Copy:
    kubeconfig, port = folder / f"{name}.kubeconfig", free_port()
    cluster.write_kubeconfig(kubeconfig)
    kubeconfig.write_text(kubeconfig.read_text().replace(cluster.url, f"http://127.0.0.1:{api.port}"))
    flags = f"""--no-basic-auth --port {port} --nats-url nats://127.0.0.1:{broker.port}
        --gateway-url http://127.0.0.1:{gateway.port} --provider-url http://127.0.0.1:{provider.port}
        --leader-election --kubeconfig {kubeconfig} --lease-namespace {NAMESPACE}
        --lease-duration {LEASE_S}s --lease-renew-deadline {RENEW_S}s --lease-retry {RETRY_S}s"""
    command = python("springtide.cli", "cron", *flags.split())
    return Copy(command, folder / f"{name}.log", port, api, broker, gateway, provider)
