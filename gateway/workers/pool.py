"""The master as a Service: one place per worker, the port they share, the numbers of all."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import structlog
from prometheus_client import CollectorRegistry

from springtide.gateway.busy_periods import BusyPeriods, periods_app
from springtide.gateway.coldstart.limit_metrics import show_held_limits
from springtide.gateway.open_files import raise_limit
from springtide.gateway.settings import BACKLOG, GatewaySettings
from springtide.gateway.workers.exposition import merged_exposition
from springtide.gateway.workers.fork_server import ForkServer
from springtide.gateway.workers.launch import Launch, share
from springtide.gateway.workers.listeners import bind_shared, close_all
from springtide.gateway.workers.load_telling import LoadTelling
from springtide.gateway.workers.member import Member
from springtide.gateway.workers.messages import Row
from springtide.gateway.workers.rows import Rows
from springtide.gateway.workers.slot import Slot
from springtide.gateway.workers.totals import Merged, Totals
from springtide.runtime.asgi_server import AsgiServer
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.clock import SystemClock
from springtide.runtime.errors import Unavailable, Unsupported
from springtide.runtime.service import Opened
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire import vitals
from springtide.wire.process_usage import show_usage

log = structlog.get_logger(__name__)

SCRAPE_DEADLINE_S = 1.5
"""Shorter than what the idler gives a gateway, so that it learns why."""


@dataclass(frozen=True, slots=True)
class PoolDeps:
    """``credentials`` as in GatewayDeps. The clock is always the machine's: several processes have no other."""

    credentials: Credentials | None
    registry: CollectorRegistry
    hung_after_s: float = 10.0
    """How long a worker may leave the master without an answer before it is killed."""
    forks: ForkServer = field(default_factory=ForkServer)


class WorkerPool:
    """See ``runtime.service.Service``."""

    name = "gateway"

    def __init__(self, settings: GatewaySettings, deps: PoolDeps, workers: int) -> None:
        self._settings = settings
        self._deps = deps
        self._share = share(settings, workers)
        self._workers = workers
        self.hung_after_s = deps.hung_after_s
        self._port = settings.port
        self._renew = asyncio.Event()
        self._forks = deps.forks
        self._rows = Rows(workers)
        self._totals = Totals()
        self._living: list[Member] = []
        self._load = LoadTelling(self._totals, lambda: self._living, SystemClock())
        self._periods = BusyPeriods(SystemClock())
        self._folds: set[asyncio.Task[None]] = set()
        self._slots: list[Slot] = []
        self._keepers: list[asyncio.Task[None]] = []
        self._opened = Opened()
        self._lag = vitals.loop_lag()
        vitals.show_build(deps.registry)
        show_usage(deps.registry, self._processes)
        show_held_limits(settings, deps.registry)
        self._metrics = AsgiServer(
            merged_exposition(deps.registry, self.collect, self._obstacle, periods_app(self._periods, self._all_told)),
            name="gateway metrics",
            host=settings.metrics_host,
            port=settings.metrics_port,
            grace_s=1.0,
        )

    def __repr__(self) -> str:
        return f"<WorkerPool {self._settings.host}:{self._port} {self._living}>"

    @property
    def port(self) -> int:
        """The public port really bound, also when 0 was asked for."""
        return self._port

    @property
    def metrics_port(self) -> int:
        return self._metrics.port

    def pids(self) -> dict[int, list[int]]:
        """The processes at each place: one, and more while one is being replaced."""
        places: dict[int, list[int]] = {}
        for member in self._living:
            places.setdefault(member.launch.number, []).append(member.process.pid)
        return places

    def _processes(self) -> Mapping[str, int]:
        """As the label ``process`` calls them; of two at one place, for a short time, the newer."""
        workers = {f"worker-{member.launch.number}": member.process.pid for member in self._living}
        return {vitals.MASTER: os.getpid(), **workers}

    def serving(self) -> set[int]:
        """The places whose worker serves."""
        return {slot.number for slot in self._slots if slot.filled}

    def renew(self) -> None:
        """Replace every worker, one after the other; those replaced finish with their callers. Returns at once."""
        self._renew.set()

    async def collect(self) -> Merged:
        """All numbers as of now. Raises Unavailable when a worker does not answer, or there is none."""
        await self._all_told()
        living = [member.told for member in self._living]
        self._totals.tidy(living)
        workers = {f"worker-{member.launch.number}": member.told.loop_lag for member in self._living}
        lags = {vitals.MASTER: self._lag.numbers(), **{name: lag for name, lag in workers.items() if lag}}
        return replace(self._totals.merged(living), loop_lags=lags)

    async def _all_told(self) -> float:
        """Have every worker tell its numbers; the instant as of which they are. Raises Unavailable as ``collect``."""
        if not self._living:
            raise Unavailable("no worker of the gateway is running")
        at = SystemClock().wall()
        await asyncio.gather(*(member.numbers(SCRAPE_DEADLINE_S) for member in self._living))
        return at

    # For the workers.

    def told(self, member: Member, rows: Iterable[Row], gone: Iterable[FunctionRef]) -> None:
        """What a worker has just told of functions."""
        for ref in gone:
            self._periods.gone(str(ref), member)
        for row in rows:
            numbers = row.numbers
            self._periods.saw(
                f"{row.name}.{row.namespace}",
                member,
                busy_since=numbers["busy_since"][""][0],
                last_active=numbers["last_active"][""][0],
                started=int(numbers["started"][""][0]),
                in_flight=int(numbers["in_flight"][""][0]),
            )

    def gone(self, functions: list[FunctionRef]) -> None:
        self._totals.forget(functions)

    async def counts(self) -> Mapping[str, float]:
        """Calls answered by function; empty when that cannot be known now."""
        try:
            merged = await self.collect()
        except Unavailable:
            return {}
        return {function.label: float(function.metrics.answered) for function in merged.table}

    def watch_load(self, member: Member, *, on: bool) -> None:
        self._load.watch(member, on=on)

    # Life.

    async def start(self) -> None:
        """Raises Unavailable with the first worker's reason when none comes up."""
        await self._opened.start(self._start)

    async def stop(self) -> None:
        await self._opened.stop()

    async def wait(self) -> None:
        """Workers that end are replaced, so this ends only by an error of our own."""
        done, _ = await asyncio.wait(self._keepers, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def _start(self, stack: contextlib.AsyncExitStack) -> None:
        """Stopped in reverse: the port closes, workers finish their calls, then the rest."""
        settings = self._settings
        if sys.platform != "linux":
            raise Unsupported("several workers need Linux, which deals connections out among them; use --workers 1")
        raise_limit(self._share.max_connections)  # workers inherit it
        listeners = bind_shared(settings.host, settings.port, self._workers)
        stack.callback(close_all, listeners)
        self._port = int(listeners[0].getsockname()[1])
        self._rows.open()
        stack.callback(self._rows.close)
        stack.push_async_callback(self._forks.stop)
        self._forks.start()
        await self._lag.start()
        stack.push_async_callback(self._lag.stop)
        await self._metrics.start()
        stack.push_async_callback(self._metrics.stop)
        for listener in listeners:
            listener.listen(BACKLOG)
        stack.push_async_callback(self._stop_workers)
        stack.callback(close_all, listeners)
        slots = self._slots = [Slot(number, listener, self._hire) for number, listener in enumerate(listeners, 1)]
        stack.push_async_callback(self._stop_keeping)
        problems = await asyncio.gather(*(slot.start() for slot in slots))
        if all(problems):
            raise Unavailable(f"no worker of the gateway came up: {problems[0]}")
        self._keepers = [asyncio.create_task(slot.keep(), name=f"gateway place {slot.number}") for slot in slots]
        self._keepers.append(asyncio.create_task(self._renew_on_request(slots), name="gateway renewals"))
        self._keepers.append(asyncio.create_task(self._load.run(), name="gateway load"))

    async def _hire(self, number: int, listener: socket.socket) -> Member:
        settings = self._share
        if self._keepers:
            # Its place has had a worker, which may know the functions when the provider tells them to nobody: whoever
            # is to take over from that, or comes to callers who wait at the port, opens it once it knows them, too.
            settings = replace(settings, first_snapshot_s=max(settings.first_snapshot_s, settings.hold_timeout_s))
        row = self._rows.take()
        launch = Launch(number, settings, self._deps.credentials, row or 0, self._rows.count)
        memory = () if row is None else self._rows.descriptors
        try:
            member = await Member.start(self._forks, launch, listener, self, *memory)
        except BaseException:
            self._rows.give_back(row)
            raise
        self._living.append(member)
        task = asyncio.create_task(self._fold(member, row), name=f"gateway worker {number} over")
        self._folds.add(task)
        task.add_done_callback(self._folds.discard)
        return member

    async def _fold(self, member: Member, row: int | None) -> None:
        await member.over.wait()
        self._rows.give_back(row)
        self._totals.fold(member.told)
        self._periods.left(member)
        self._living.remove(member)

    def _obstacle(self) -> str | None:
        return None if self.serving() else "no worker of the gateway serves"

    async def _renew_on_request(self, slots: list[Slot]) -> None:
        while True:
            await self._renew.wait()
            self._renew.clear()
            # However often it is asked for: of those replaced, no more than one for each place is leaving at a time.
            async with asyncio.TaskGroup() as leaving:
                for slot in slots:
                    old = await slot.renew()
                    if old is not None:
                        leaving.create_task(_leave(old))

    async def _stop_keeping(self) -> None:
        for task in self._keepers:
            task.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)

    async def _stop_workers(self) -> None:
        self._load.end()
        await asyncio.gather(*(member.stop() for member in self._living))
        await asyncio.gather(*self._folds)


async def _leave(member: Member) -> None:
    await member.leave()
    log.info("a gateway worker was replaced on request", place=member.launch.number, process=member.process.pid)


def build(settings: GatewaySettings, deps: PoolDeps, workers: int) -> WorkerPool:
    """A Service; nothing is opened before its start."""
    return WorkerPool(settings, deps, workers)
