"""All deployments and the one host they run on: keeps a host alive and hands its events out."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import structlog
from prometheus_client import CollectorRegistry

from springtide.provider.endpoint_feed import EndpointFeed
from springtide.provider.machine.own_tasks import OwnTasks
from springtide.provider.machine.plan import ReplicaState
from springtide.provider.machine.processor_time import ProcessorTime
from springtide.provider.machine.records import RECORD_LOST, FunctionRecord, Pinned
from springtide.provider.machine.replica_metrics import ReplicaMetrics
from springtide.provider.machine.start_limits import StartSlots
from springtide.provider.machine.state_files import StateFiles
from springtide.provider.machine.usage_watch import UsageCollector, UsageWatch
from springtide.provider.process import default_bounds, launches, replica_watch
from springtide.provider.process.deployment import Deployment
from springtide.provider.process.deployment_context import DeploymentContext
from springtide.provider.process.host_link import HostLink
from springtide.provider.process.host_protocol import (
    Exited,
    Hello,
    Message,
    Ready,
    Running,
    ServerStarted,
    Spawned,
    Stop,
)
from springtide.provider.process.launches import FunctionProgram
from springtide.provider.process.pinning import Pinning
from springtide.provider.process.replica_watch import UsageLimits
from springtide.provider.process.settings import ProcessSettings
from springtide.provider.process.stopped_host import StoppedHost
from springtide.provider.spec import Usage
from springtide.runtime.errors import BadInput, TooMany, Unavailable
from springtide.scaler.core import catalogue
from springtide.scaler.core.ownership import Scalers
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire import instruments
from springtide.wire.processor_use import ProcessorUse

HOST_PAUSES_S = (0.0, 0.2, 1.0, 5.0)
"""Between tries to get a host; the last one is repeated."""

_log = structlog.get_logger()


class Fleet:
    """``deployments`` is by function; one that was deleted is still here until its last replica has drained."""

    def __init__(
        self,
        settings: ProcessSettings,
        *,
        clock: Clock,
        files: StateFiles,
        pinning: Pinning,
        registry: CollectorRegistry,
        scalers: Scalers,
    ) -> None:
        self.deployments: dict[FunctionRef, Deployment] = {}
        self.feed = EndpointFeed(scalers)
        self._limits = UsageLimits(self.all, settings)
        self._usage = UsageWatch(self.all, clock, interval_s=settings.usage_interval_s, judge=self._limits.judge)
        self._processor_time = ProcessorTime(self.all, clock)
        self._settings, self._files, self._pinning = settings, files, pinning
        pinning.refers(self._pinned)
        self._retiring: set[Deployment] = set()
        self._stopped: set[StoppedHost] = set()
        self._tasks = OwnTasks()
        self._link = HostLink(settings, files.folder, self._on_event, python=lambda: str(pinning.stores.default.python))
        self._listening: asyncio.Task[bool] | None = None
        self._hello: Hello | None = None
        self._metrics = ReplicaMetrics(registry)
        self._environment_starts = instruments.histogram(catalogue.ENVIRONMENT_START, registry)
        self._context = DeploymentContext(
            settings=settings,
            clock=clock,
            files=files,
            link=self._link,
            slots=StartSlots(),
            metrics=self._metrics,
        )
        UsageCollector(self._usage, registry)

    def __repr__(self) -> str:
        return f"<Fleet {len(self.deployments)} functions, {len(self._retiring)} retiring, {self._link!r}>"

    def all(self) -> list[Deployment]:
        return [*self.deployments.values(), *self._retiring]

    def usage_of(self, ref: FunctionRef) -> Usage | None:
        return self._usage.usage(self.deployments[ref])

    async def processor_use(self) -> Mapping[FunctionRef, ProcessorUse]:
        return await self._processor_time.totals()

    def memory_use(self) -> Mapping[FunctionRef, float]:
        return self._usage.memory_use(self.deployments)

    async def unrecorded(self, known: Collection[FunctionRecord]) -> Iterable[FunctionRecord]:  # noqa: ARG002
        """None: a process whose record is gone is ended."""
        return ()

    # Functions.

    def add(self, record: FunctionRecord, program: FunctionProgram | BadInput) -> None:
        deployment = Deployment(record, program, self._context, publish=self._publish)
        self._metrics.add(record.ref)
        self.deployments[record.ref] = deployment
        if self._hello is not None:
            deployment.host_came(self._hello, [])
        self._publish(deployment)
        self._tasks.spawn(self._run(deployment), f"function {record.ref}")

    def remove(self, ref: FunctionRef) -> None:
        """Gone for callers at once; its replicas drain."""
        deployment = self.deployments.pop(ref)
        self._retiring.add(deployment)
        self.feed.remove(ref)
        deployment.retire()

    async def _run(self, deployment: Deployment) -> None:
        await deployment.run()
        self._retiring.discard(deployment)
        ref = deployment.record.ref
        if ref not in self.deployments:
            self._metrics.remove(ref)
        await self._files.sweep(deployment.record)

    # Life.

    async def start(self, records: Sequence[FunctionRecord]) -> None:
        """Take over what runs already, start the rest. Raises Unavailable without a host."""
        prepared = [await self._prepared(record) for record in records]
        records = [record for record, _ in prepared]
        programs = {record.uid: program for record, program in prepared}
        hello = await self._link.connect()
        await self._link.end_strangers()
        # Nothing is awaited from here on until every replica is known: an event must find its own.
        for record in records:
            self.add(record, programs[record.uid])
        running = {known.launch.uid for known in hello.running}
        if not any(record.damaged for record in records):  # Whose folders those are that are nobody's, nobody knows.
            self._files.sweep_strangers(running | {record.uid for record in records})
        self._host_came(hello)
        self._tasks.spawn(self._keep_host(), "function host")
        self._tasks.spawn(replica_watch.check_health(self.all, self._settings), "health checks")
        self._tasks.spawn(self._usage.run(), "usage")
        self._tasks.spawn(self._pinning.keep_pruning(), "versions")

    async def _prepared(self, record: FunctionRecord) -> tuple[FunctionRecord, FunctionProgram | BadInput]:
        """What it needs may have gone since it was deployed, or be damaged: that is its problem alone."""
        if record.damaged:
            return record, BadInput(RECORD_LOST)
        try:
            await self._files.make_mount(record)
            adopted = await self._pinning.adopted(record)
            if adopted is not record:
                await self._files.save(adopted)
            return adopted, launches.program(adopted.spec, self._pinning.stores.placed(adopted.current.pinned))
        except BadInput as error:
            return record, error
        except (TooMany, Unavailable) as error:
            _log.error("a function cannot be started", function=str(record.ref), error=str(error))
            return record, BadInput(str(error))

    def _pinned(self) -> Iterator[Pinned]:
        """What functions run, may go back to, or are still ending with."""
        for deployment in self.all():
            yield from (version.pinned for version in deployment.record.versions)

    async def stop(self) -> None:
        """Drain everything: gateways first hear that nothing answers any more."""
        listening, self._listening = self._listening, None
        await self._tasks.cancel()
        for deployment in self.all():
            for replica in deployment.replicas.values():
                replica.settle()
                replica.state = ReplicaState.STOPPING
            self._publish(deployment)
        grace_s = self._settings.grace_s
        running = {str(one.record.ref): len(one.replicas) for one in self.all() if one.replicas}
        if running:
            _log.info("stopping; calls of replicas may finish", replicas=running, at_most_s=grace_s)
        stopping = [stopped.shut_down(grace_s) for stopped in self._stopped]
        await asyncio.gather(self._link.shut_down(listening, grace_s), *stopping)

    async def wait(self) -> None:
        """Raises when one of our own tasks failed, which none should."""
        await self._tasks.wait()

    # The host.

    async def _keep_host(self) -> None:
        while self._listening is not None:
            await asyncio.wait([self._listening])
            self._hello = None
            if self._listening.result():
                self._set_host_aside()
            else:
                _log.error("the function host ended unexpectedly; starting another")
                for deployment in self.all():
                    deployment.host_went()
            self._host_came(await self._reconnected())

    def _set_host_aside(self) -> None:
        _log.error(
            "the function host does not answer; another one starts, and its replicas go on until they are replaced"
        )
        stopped = self._link.set_aside()
        self._stopped.add(stopped)
        for deployment in self.all():
            deployment.host_stopped(stopped)
        self._tasks.spawn(self._let_go(stopped), "stopped function host")

    async def _let_go(self, stopped: StoppedHost) -> None:
        await stopped.gone()
        self._stopped.discard(stopped)
        _log.info("the function host that did not answer is gone")

    async def _reconnected(self) -> Hello:
        tries = 0
        while True:
            await asyncio.sleep(HOST_PAUSES_S[min(tries, len(HOST_PAUSES_S) - 1)])
            try:
                return await self._link.connect(beside=bool(self._stopped))
            except Unavailable as error:
                _log.error("no function host", error=str(error))
                tries += 1

    def _host_came(self, hello: Hello) -> None:
        self._hello = hello
        self._limits.enforces_memory = not hello.limits_memory
        self._limits.enforces_processes = not hello.limits_processes
        _log.info(
            "what a replica may take of the machine where its function does not say",
            memory=self._settings.replica_memory,
            memory_bytes=default_bounds.memory_bytes(self._settings.replica_memory),
            memory_kept_by="cgroup" if hello.limits_memory else "measuring, and ending the replica",
            processes=self._settings.replica_processes or "any number",
            processes_kept_by="cgroup" if hello.limits_processes else "counting, and ending the replica",
        )
        if hello.sandbox_problem:
            _log.info("secrets are not mounted; functions find them by SPRINGTIDE_SECRETS", why=hello.sandbox_problem)
        known = {deployment.record.uid: deployment for deployment in self.all()}
        ours: dict[Deployment, list[Running]] = defaultdict(list)
        for running in hello.running:
            deployment = known.get(running.launch.uid)
            if deployment is None:
                self._link.send(Stop(running.launch.instance, self._settings.grace_s))
            else:
                ours[deployment].append(running)
        for deployment in self.all():
            deployment.host_came(hello, ours[deployment])
        self._listening = asyncio.create_task(self._link.listen(), name="function host events")

    def _on_event(self, event: Message) -> None:
        if isinstance(event, ServerStarted):
            self._environment_starts.observe(event.seconds)
        if not isinstance(event, Spawned | Ready | Exited):
            return
        # Each event names a replica; of a function deleted by an earlier provider there is no deployment.
        deployment = next((each for each in self.all() if event.instance in each.replicas), None)
        if deployment is None:
            return
        match event:
            case Spawned():
                deployment.spawned(event)
            case Ready(instance):
                deployment.became_ready(instance)
            case Exited():
                self._processor_time.ended(deployment, event.instance, event.cpu_s)
                deployment.exited(event)

    def _publish(self, deployment: Deployment) -> None:
        if self.deployments.get(deployment.record.ref) is deployment:
            self.feed.publish(deployment.endpoints)
