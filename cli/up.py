"""``springtide up``: one local suite, from the lock on its state folder to the last process stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from springtide.cli import (
    addresses,
    command_line,
    local_broker,
    nats_server,
    operators_receiver,
    processes,
    stack,
    stack_source,
    warm_imports,
)
from springtide.cli.addresses import WishedPorts
from springtide.cli.announcements import Announcer
from springtide.cli.calls_under_way import calls_under_way, shown
from springtide.cli.gateway_client import DEPLOY_READ_S, GatewayClient
from springtide.cli.nats_server import NatsServer
from springtide.cli.ports import PortClaims
from springtide.cli.processes import Plan
from springtide.cli.run_file import RunFile
from springtide.cli.runtimes import BOTH, PROCESSES, Runtime, Runtimes
from springtide.cli.state import Running, StateFolder
from springtide.cli.tools import Missing, find
from springtide.provider.containers.engine.socket_path import engine_socket
from springtide.provider.process import wall_probe
from springtide.provider.spec import FunctionSpec, spec_to_json
from springtide.rules.prometheus import ALERTMANAGER_FILE
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.errors import SpringtideError, Unavailable
from springtide.runtime.lossy_stream import adopt_standard_streams
from springtide.runtime.part_reports import Event, Happening
from springtide.runtime.service import stop_signals
from springtide.runtime.supervision import Supervisor
from springtide.runtime.zygote import Zygote
from springtide.scaler.core.label_names import HANDLER
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.jobs.settings import with_names_of_openfaas

SAMPLES_DEADLINE_S = 60.0
"""For each of them, with an image made of it where they are containers; what the user names may have packages to
install."""

TWICE_S = 0.3
"""Within which two requests to stop are one."""

TRIED_SAMPLE = "hello"
SAMPLES = Path(__file__).parent / "samples" / "stack.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpOptions:
    state: StateFolder
    host: str
    ports: WishedPorts
    tools_dir: Path
    stack_file: str | None = None
    fast: bool = False
    samples: bool = True
    dry_run: bool = False
    runtimes: Runtimes = PROCESSES
    kubeconfig: str = ""
    at_stop: str = ""
    scaler_default: bool = False
    separate: bool = False
    queue_sync_s: float = 0.0
    operators_receiver: Path | None = None


def run(options: UpOptions, environ: Mapping[str, str], announcer: Announcer) -> None:
    """Run until SIGINT, SIGTERM or SIGHUP. Raises before anything has started where that is possible.

    Nobody need read what it prints: it goes on when its output is closed, or full.
    """
    adopt_standard_streams()
    wished = _read(options.stack_file, environ, announcer) if options.stack_file else ()
    receiver = operators_receiver.read(options.operators_receiver) if options.operators_receiver else None
    with options.state.held() as set_aside, PortClaims() as claims:
        options.state.withdraw()  # of one that was killed: it would be taken for ours until ours is written
        for told in (*set_aside, *options.state.mend_files(time.time())):
            announcer.notice(told)
        options.state.credentials()
        tools = find(options.tools_dir, environ.get("PATH", ""))
        if isinstance(tools, Missing):
            announcer.notice(
                f"no Prometheus and Alertmanager ({tools.why}), so no alert path, and no idler, which has no data "
                "without them: functions that name a load follow it, others scale by hand, all wake on a call, and "
                "everything else works"
            )
        plan = Plan(
            state=options.state,
            addresses=addresses.choose(options.host, options.ports, claims),
            tools=None if isinstance(tools, Missing) else tools,
            environ=environ,
            broker=_broker(environ, announcer),
            queue_sync_s=options.queue_sync_s,
            fast=options.fast,
            dry_run=options.dry_run,
            runtimes=options.runtimes,
            kubeconfig=options.kubeconfig,
            at_stop=options.at_stop,
            scaler_default=options.scaler_default,
            separate=options.separate,
            operators_receiver=receiver,
        )
        if plan.tools is not None:
            try:
                processes.write_configuration(plan)
            except OSError as error:  # A full disk, say. Calls need neither.
                announcer.notice(
                    f"{error.filename or options.state.alerting} cannot be written ({error.strerror or error}), so no "
                    "Prometheus and Alertmanager: functions that name a load follow it, others scale by hand, all wake "
                    "on a call, and everything else works; start again once it can be"
                )
                plan = replace(plan, tools=None)
        if plan.tools is not None and options.operators_receiver is not None:
            configuration = options.state.alerting / ALERTMANAGER_FILE
            operators_receiver.check(options.operators_receiver, plan.tools.amtool, configuration)
        if plan.broker is not None:
            plan = _with_broker_set_up(plan, announcer)
        if plan.runtimes == BOTH:
            _look_for_an_engine(environ, announcer)
        samples = () if not options.samples or options.state.samples_deployed else stack.read(SAMPLES, {}).functions
        if Runtime.PROCESS not in options.runtimes:  # An image is made of a handler, and of no program of this machine.
            samples = tuple(spec for spec in samples if spec.annotations.get(HANDLER))
        warm_imports.import_all()
        zygote = Zygote.make(partial(command_line.run, environ=environ))
        asyncio.run(_Suite(plan, announcer, zygote).run(samples=samples, wished=wished))


def _look_for_an_engine(environ: Mapping[str, str], announcer: Announcer) -> None:
    """Processes do without, and an engine that comes later is found."""
    try:
        engine_socket(environ)
    except Unavailable as error:
        announcer.notice(f"functions that are containers wait: {error}")


def _broker(environ: Mapping[str, str], announcer: Announcer) -> NatsServer | None:
    """None where there is no program, which is said, or where the user has a server already."""
    if with_names_of_openfaas(environ).get("nats_url"):
        return None
    found = nats_server.find(environ.get("PATH", ""))
    if isinstance(found, NatsServer):
        return found
    announcer.notice(f"asynchronous calls are off: {found.why}")
    return None


def _with_broker_set_up(plan: Plan, announcer: Announcer) -> Plan:
    if mended := local_broker.mend(plan.state.nats):
        announcer.notice(mended)
    try:
        processes.write_broker_configuration(plan)
    except OSError as error:
        announcer.notice(
            f"{error.filename or plan.state.nats} cannot be written ({error.strerror or error}), so asynchronous calls "
            "are off; start again once it can be"
        )
        return replace(plan, broker=None)
    return plan


class _Suite:
    """The running suite: supervised parts, and the file that says where they are."""

    def __init__(self, plan: Plan, announcer: Announcer, zygote: Zygote | None) -> None:
        self._plan = plan
        self._zygote = zygote
        self._walls = str(wall_probe.probe_anywhere()) if Runtime.PROCESS in plan.runtimes else None
        self._announcer = announcer
        self._run_file = RunFile(plan.state, announcer.notice)
        self._running: Running | None = None
        self._supervisor: Supervisor | None = None
        self._calls: Mapping[FunctionRef, int] = {}
        """Under way when the suite was asked to stop."""

    async def run(self, *, samples: Sequence[FunctionSpec], wished: Sequence[FunctionSpec]) -> None:
        until = asyncio.Event()
        with stop_signals(until), _hangup(until):
            shown = Credentials.from_folder(self._plan.state.secrets).header
            stages = processes.stages(self._plan, authorization=shown)
            self._supervisor = Supervisor(stages, report=self._report, zygote=self._zygote, waiting=self._waits)
            self._announcer.starting()
            trying = asyncio.create_task(self._run_file.keep_trying(), name="run file")
            try:
                if await _unless(until, self._start(samples, wished)):
                    await _unless(until, self._supervisor.wait())
            finally:
                trying.cancel()
                self._announcer.stopping()
                await self._stop(self._supervisor)
                if self._zygote is not None:
                    await self._zygote.close()
                self._plan.state.withdraw()
        self._announcer.stopped()

    async def _stop(self, supervisor: Supervisor) -> None:
        looking = asyncio.create_task(self._look_at_calls(), name="calls under way")
        _hear_again(supervisor.hurry)
        await supervisor.stop()
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)

    async def _look_at_calls(self) -> None:
        self._calls = await calls_under_way(f"{self._plan.addresses.url(self._plan.addresses.metrics)}/metrics")

    def _waits(self, parts: Sequence[str], most_s: float) -> None:
        until = time.strftime("%H:%M:%S", time.localtime(time.time() + most_s))
        calls = f"; calls that were under way: {shown(self._calls)}" if self._calls else ""
        self._announcer.waiting(
            f"waiting for {', '.join(parts)} to finish, until {until} at most{calls}. Ctrl-C again ends all at once"
        )

    async def _start(self, samples: Sequence[FunctionSpec], wished: Sequence[FunctionSpec]) -> None:
        assert self._supervisor is not None
        try:
            await self._supervisor.start()
        except Unavailable as error:
            # A part that fails says so as this command does.
            raise Unavailable(str(error).replace("springtide: ", "")) from error
        if await asyncio.to_thread(self._deploy, samples, SAMPLES_DEADLINE_S):
            self._remember_samples()
        await asyncio.to_thread(self._deploy, wished, DEPLOY_READ_S)
        self._running = self._where()
        self._run_file.show(self._running)
        self._announcer.ready(self._running, sample=await asyncio.to_thread(self._has_sample))

    def _remember_samples(self) -> None:
        try:
            self._plan.state.remember_samples()
        except OSError as error:
            self._announcer.notice(f"the next start will deploy the samples again: {error.filename}: {error.strerror}")

    def _deploy(self, specs: Sequence[FunctionSpec], timeout_s: float) -> bool:
        """Deploy through the gateway, as a user would; what is refused is said. Whether all were taken."""
        credentials, refused = Credentials.from_folder(self._plan.state.secrets), 0
        with GatewayClient(self._plan.addresses.gateway_url, credentials, timeout_s=timeout_s) as client:
            for spec in specs:
                try:
                    for warning in client.deploy(spec_to_json(spec), timeout_s=timeout_s):
                        self._announcer.notice(f"{spec.ref.name}: {warning}")
                except SpringtideError as error:
                    self._announcer.notice(f"{spec.ref.name} was not deployed: {error}")
                    refused += 1
        return refused == 0

    def _has_sample(self) -> bool:
        """Whether there is a function to try: the samples are the user's after the first start."""
        credentials = Credentials.from_folder(self._plan.state.secrets)
        with GatewayClient(self._plan.addresses.gateway_url, credentials, timeout_s=SAMPLES_DEADLINE_S) as client:
            try:
                return any(function.get("name") == TRIED_SAMPLE for function in client.functions(None))
            except SpringtideError:
                return False  # A hint is not worth a failure.

    def _where(self) -> Running:
        assert self._supervisor is not None
        at, alerting, queueing = self._plan.addresses, self._plan.tools is not None, self._plan.broker is not None
        return Running(
            pid=os.getpid(),
            gateway=at.gateway_url,
            metrics=at.url(at.metrics),
            provider=at.url(at.provider),
            alert_receiver=at.url(at.alert_receiver),
            scaler=at.url(at.scaler),
            idler=at.url(at.idler) if alerting else None,
            prometheus=at.url(at.prometheus) if alerting else None,
            alertmanager=at.url(at.alertmanager) if alerting else None,
            nats=at.nats_url if queueing else None,
            nats_monitoring=at.url(at.nats_monitoring) if queueing else None,
            fast=self._plan.fast,
            walls=self._walls,
            parts=self._supervisor.pids(),
        )

    def _report(self, event: Event) -> None:
        """The file first, so that whoever acts on what is said finds it true."""
        if event.what is Happening.READY and self._running is not None and self._supervisor is not None:
            self._running = replace(self._running, parts=self._supervisor.pids())
            self._run_file.show(self._running)
        self._announcer.event(event)


def _read(where: str, environ: Mapping[str, str], announcer: Announcer) -> tuple[FunctionSpec, ...]:
    read = stack.read(stack_source.read(where), environ)
    for warning in read.warnings:
        announcer.notice(warning)
    return read.functions


async def _unless(until: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Whether ``work`` came to its end before ``until`` was set, in which case it is cancelled. Its error is raised."""
    working, asked = asyncio.create_task(work), asyncio.create_task(until.wait())
    try:
        await asyncio.wait({working, asked}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
        return working.done()
    finally:
        for task in (working, asked):
            task.cancel()
        await asyncio.gather(working, asked, return_exceptions=True)


def _hear_again(hurry: Callable[[], None]) -> None:
    """``hurry`` at the next Ctrl-C, unless that comes with the first: some shells and wrappers send each one twice."""
    loop = asyncio.get_running_loop()
    began = loop.time()

    def asked() -> None:
        if loop.time() >= began + TWICE_S:
            hurry()

    loop.add_signal_handler(signal.SIGINT, asked)


@contextlib.contextmanager
def _hangup(until: asyncio.Event) -> Iterator[None]:
    """A terminal that goes away asks for an orderly stop, too, unless ``nohup`` said to go on."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        yield
        return
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, until.set)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
