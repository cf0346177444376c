"""All deployments and the one engine they run on: hears what happens there, and looks through all now and then."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from springtide.provider.containers import container_labels, left_processes
from springtide.provider.containers.container_program import ContainerProgram
from springtide.provider.containers.deployment import Deployment
from springtide.provider.containers.deployment_context import DeploymentContext
from springtide.provider.containers.engine.client import Container, Engine, EngineInfo
from springtide.provider.containers.image_use import NOTHING, KeepRule
from springtide.provider.containers.networks import Networks
from springtide.provider.containers.preparation import ContainerPreparation
from springtide.provider.containers.settings import AtStop, ContainerSettings
from springtide.provider.endpoint_feed import EndpointFeed
from springtide.provider.machine.log_files import CURRENT
from springtide.provider.machine.own_tasks import OwnTasks
from springtide.provider.machine.plan import ReplicaState
from springtide.provider.machine.processor_time import ProcessorTime
from springtide.provider.machine.records import RECORD_LOST, FunctionRecord
from springtide.provider.machine.replica_metrics import ReplicaMetrics
from springtide.provider.machine.start_limits import StartSlots
from springtide.provider.machine.state_files import StateFiles
from springtide.provider.machine.usage_watch import UsageCollector, UsageWatch
from springtide.provider.process.settings import ProcessSettings
from springtide.provider.spec import Usage
from springtide.runtime.backoff import Backoff
from springtide.runtime.errors import BadInput, NotFound, SpringtideError, Unsupported
from springtide.scaler.core.ownership import Scalers
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.processor_use import ProcessorUse

TIDY_S = 600.0
"""Between looks for networks and images that nothing uses."""
LOOK_S, SOON_S = 30.0, 2.0
"""Between two looks through all containers: events tell almost everything. The second where one seems nobody's."""
AGAIN = Backoff(0.2, 5.0)
"""Before an engine that is away is asked again."""
ENDED = ("die", "died", "oom", "destroy", "remove")
MAX_PROBES, MAX_STOPS = 32, 16
TICK_S = 0.5

_log = structlog.get_logger()


class Fleet:
    """``deployments`` is by function; one that was deleted is still here until its last container is gone."""

    def __init__(
        self,
        engine: Engine,
        *,
        settings: ContainerSettings,
        machine: ProcessSettings,
        clock: Clock,
        files: StateFiles,
        preparation: ContainerPreparation,
        registry: CollectorRegistry,
        scalers: Scalers,
    ) -> None:
        self.deployments: dict[FunctionRef, Deployment] = {}
        self.feed = EndpointFeed(scalers)
        self._engine, self._settings, self._machine, self._files = engine, settings, machine, files
        self._met = False
        """The engine has answered: there may be containers."""
        self._preparation, self._clock = preparation, clock
        self._suite = container_labels.suite_of(files.folder)
        self._retiring: set[Deployment] = set()
        self._strangers: set[str] = set()
        self._unknown: set[str] = set()
        """Containers that have processes, though the engine does not know them."""
        self._ending: set[str] = set()
        """Strangers that have their grace."""
        self._tasks = OwnTasks()
        self._processor_time = ProcessorTime(self.all, clock)
        self._usage = UsageWatch(self.all, clock, interval_s=machine.usage_interval_s, judge=lambda _: None)
        self._networks = Networks(engine, self._suite)
        self._metrics = ReplicaMetrics(registry)
        self._context = DeploymentContext(
            settings=settings,
            machine=machine,
            suite=self._suite,
            clock=clock,
            engine=engine,
            networks=self._networks,
            files=files,
            slots=StartSlots(),
            metrics=self._metrics,
            spawn=self._tasks.spawn,
        )
        UsageCollector(self._usage, registry)

    def __repr__(self) -> str:
        return f"<Fleet {len(self.deployments)} functions, {len(self._retiring)} retiring, {self._engine!r}>"

    def all(self) -> list[Deployment]:
        return [*self.deployments.values(), *self._retiring]

    def usage_of(self, ref: FunctionRef) -> Usage | None:
        return self._usage.usage(self.deployments[ref])

    async def processor_use(self) -> Mapping[FunctionRef, ProcessorUse]:
        return await self._processor_time.totals()

    def memory_use(self) -> Mapping[FunctionRef, float]:
        return self._usage.memory_use(self.deployments)

    # Functions.

    def add(self, record: FunctionRecord, program: ContainerProgram | BadInput) -> None:
        self._run(self._placed(record, program))

    def _placed(self, record: FunctionRecord, program: ContainerProgram | BadInput) -> Deployment:
        deployment = Deployment(record, program, self._context, publish=self._publish)
        self._metrics.add(record.ref)
        self.deployments[record.ref] = deployment
        return deployment

    def _run(self, deployment: Deployment) -> None:
        self._publish(deployment)
        self._tasks.spawn(self._life(deployment), f"function {deployment.record.ref}")

    def remove(self, ref: FunctionRef) -> None:
        """Gone for callers at once; its replicas drain."""
        deployment = self.deployments.pop(ref)
        self._retiring.add(deployment)
        self.feed.remove(ref)
        deployment.retire()

    async def _life(self, deployment: Deployment) -> None:
        await deployment.run()
        self._retiring.discard(deployment)
        ref = deployment.record.ref
        if ref not in self.deployments:
            self._metrics.remove(ref)
        await self._sweep(deployment.record)
        await self._collect_networks()

    async def _sweep(self, record: FunctionRecord) -> None:
        """Not while a container is left: with nothing else of it, the next start would take the function for lost."""
        try:
            left = await self._engine.containers(container_labels.of_function(record.uid))
        except SpringtideError as error:
            _log.info("a deleted function is swept at the next start", function=str(record.ref), why=str(error))
            return
        if not left:
            await self._files.sweep(record)

    # Life.

    async def unrecorded(self, known: Collection[FunctionRecord]) -> Iterable[FunctionRecord]:
        """What containers say of themselves, where nothing else is kept of their functions."""
        await self._connect()
        uids, refs = {record.uid for record in known}, {record.ref for record in known}
        found: dict[FunctionRef, FunctionRecord] = {}
        running: dict[str, int] = defaultdict(int)
        for container in await self._engine.containers(container_labels.selector(self._suite)):
            uid, record = container_labels.uid_of(container.labels), container_labels.record_of(container.labels)
            running[uid] += container.state == "running"
            if record is None or uid in uids or record.ref in refs or self._files.had(record):
                continue  # One that we had, and have no more, was deleted: what is left of it is nobody's.
            if record.ref not in found or found[record.ref].generation < record.generation:
                found[record.ref] = record
        recovered = [replace(record, replicas=running[record.uid]) for record in found.values()]
        for record in recovered:
            _log.warning("only its containers know a function; its record is made anew", function=str(record.ref))
            await self._files.save(record)
        return recovered

    async def _connect(self) -> EngineInfo:
        info = await self._engine.connect()
        if info.rootless:
            raise Unsupported(
                f"{info.name} runs rootless: containers have no address that the gateway reaches; use the socket of an "
                "engine that runs as root (systemctl start podman.socket, or docker.service)"
            )
        self._met = True
        _log.info("a container engine", engine=info.name, version=info.version, api=info.api, suite=self._suite)
        return info

    async def start(self, records: Sequence[FunctionRecord]) -> None:
        """Take over what runs already, start the rest. Raises Unavailable without an engine."""
        prepared = [(record, await self._prepared(record)) for record in records]
        there: dict[str, list[Container]] = defaultdict(list)
        for container in await self._engine.containers(container_labels.selector(self._suite)):
            there[container_labels.uid_of(container.labels)].append(container)
        placed = [self._placed(record, program) for record, program in prepared]
        await asyncio.gather(*(self._adopt(deployment, there[deployment.record.uid]) for deployment in placed))
        if not any(record.damaged for record in records):
            self._files.sweep_strangers({*(record.uid for record in records), *there})
        for deployment in placed:
            self._run(deployment)
        self._tasks.spawn(self._watch(), "container events")
        self._tasks.spawn(self._check_health(), "health checks")
        self._tasks.spawn(self._usage.run(), "usage")
        self._tasks.spawn(self._keep_tidy(), "networks and images")

    async def _prepared(self, record: FunctionRecord) -> ContainerProgram | BadInput:
        """Its image may have gone since it was deployed, or its secrets: that is its problem alone.

        Raises Unavailable where the engine went away meanwhile: that is no function's, to be kept until a deployment.
        """
        if record.damaged:
            return BadInput(RECORD_LOST)
        try:
            await self._files.make_mount(record)
            if missing := self._files.missing_secrets(record):
                return BadInput(
                    f"secrets: {', '.join(missing)} not found in {record.ref.namespace}, and only the state folder "
                    "keeps them; create them again, then deploy the function again"
                )
        except SpringtideError as error:
            return BadInput(str(error))
        with contextlib.suppress(SpringtideError):
            return (await self._preparation.restore(record.current))[1]
        await self._engine.connect()
        try:
            return (await self._preparation.restore(record.current))[1]
        except SpringtideError as error:  # Of this image it does not tell, and of others it does.
            return BadInput(str(error))

    async def _adopt(self, deployment: Deployment, containers: list[Container]) -> None:
        log = self._files.log(deployment.record) / CURRENT
        await deployment.adopt(containers, written_at=_written_at(log))

    async def stop(self) -> None:
        """Gateways first hear that nothing answers any more; then what ``at_stop`` says."""
        await self._tasks.cancel()
        if self._met and self._settings.at_stop != AtStop.KEEP:
            await self._end_all()
        await asyncio.gather(*(deployment.log.close() for deployment in self.all()))
        await self._engine.aclose()

    async def _end_all(self) -> None:
        served = False
        for deployment in self.all():
            for one in deployment.replicas.values():
                served |= one.state is ReplicaState.READY
                one.settle()
                one.state = ReplicaState.STOPPING
            self._publish(deployment)
        await asyncio.sleep(self._machine.linger_s if served else 0.0)
        places = asyncio.Semaphore(MAX_STOPS)
        remove = self._settings.at_stop == AtStop.REMOVE

        async def end(container: Container) -> None:
            async with places:
                try:
                    await self._end(container, remove=remove)
                except SpringtideError as error:
                    _log.warning("a container cannot be stopped", container=container.name, why=str(error))

        try:
            containers = await self._engine.containers(container_labels.selector(self._suite))
            await asyncio.gather(*(end(container) for container in containers))
            if remove:
                await self._networks.collect(set())
                await self._collect_images(NOTHING)
        except SpringtideError as error:
            _log.error("containers cannot be stopped; the next start takes them over", why=str(error))

    async def _end(self, container: Container, *, remove: bool) -> None:
        """With the grace for calls that it has."""
        if container.state == "paused":
            await self._engine.unpause(container.id)
        if container.state in ("running", "paused"):
            await self._engine.stop(container.id, grace_s=self._machine.grace_s)
        if remove:
            await self._engine.remove(container.id)

    async def wait(self) -> None:
        """Raises when one of our own tasks failed, which none should."""
        await self._tasks.wait()

    # What happens at the engine.

    async def _watch(self) -> None:
        failures = 0
        selector = container_labels.selector(self._suite)
        while True:
            since = self._clock.wall()
            try:
                await self._look_through()
                look_s = SOON_S if self._strangers or self._unknown or self._ending else LOOK_S
                async with aclosing(self._engine.events(selector, since=since)) as events, asyncio.timeout(look_s):
                    async for event in events:
                        failures = 0
                        if event.action in ENDED:
                            self._ended(event.id)
                failures += 1
            except TimeoutError:
                failures = 0
                continue
            except SpringtideError as error:
                failures += 1
                if failures == 1:
                    _log.error("the container engine is away; what runs goes on", why=str(error))
            await asyncio.sleep(AGAIN.delay_s(failures))

    def _ended(self, container: str) -> None:
        for deployment in self.all():
            if any(replica.container == container for replica in deployment.replicas.values()):
                self._tasks.spawn(deployment.container_ended(container), f"end of {container[:12]}")

    async def _look_through(self) -> None:
        """What ended and nobody told, and what is nobody's."""
        watchers = await asyncio.to_thread(left_processes.watchers, self._suite)
        containers = await self._engine.containers(container_labels.selector(self._suite))
        alive = {container.id for container in containers if container.state in ("running", "paused")}
        for deployment in self.all():
            for replica in list(deployment.replicas.values()):
                if replica.container and replica.container not in alive:
                    self._ended(replica.container)
        known: set[str] = set().union(*(deployment.names() for deployment in self.all()))
        held = {id_ for deployment in self.all() for id_ in deployment.container_ids()}
        # What ended while the list was on its way is in it, and in no deployment: only twice seen is it nobody's.
        before, self._strangers = self._strangers, set()
        for container in containers:
            if container.name in known or container.id in held or container.id in self._ending:
                continue
            if container.id in before:
                self._ending.add(container.id)
                self._tasks.spawn(self._end_stranger(container), f"end of {container.name}")
            else:
                self._strangers.add(container.id)

        self._end_unknown(watchers, {container.id for container in containers})

    def _end_unknown(self, watchers: Mapping[str, int], there: set[str]) -> None:
        """``watchers`` were there before the list was made. Only twice seen does the engine not know a container."""
        before, self._unknown = self._unknown, watchers.keys() - there
        for container in before & self._unknown:
            _log.warning("the engine left processes of a container that it does not know", container=container[:12])
            left_processes.end(watchers[container])

    async def _end_stranger(self, container: Container) -> None:
        _log.info("a container is nobody's; it is removed", container=container.name)
        try:
            with contextlib.suppress(NotFound):
                await self._end(container, remove=True)
        except SpringtideError as error:
            _log.warning("a container cannot be removed; it is tried again", container=container.name, why=str(error))
        finally:
            self._ending.discard(container.id)

    async def _collect_networks(self) -> None:
        try:
            await self._networks.collect({deployment.record.ref.namespace for deployment in self.all()})
        except SpringtideError as error:
            _log.warning("networks cannot be tidied", why=str(error))

    async def _keep_tidy(self) -> None:
        """Networks that one who was killed left go at once, images when nothing has named them for long."""
        while True:
            await self._collect_networks()
            try:
                await self._collect_images()
            except SpringtideError as error:
                _log.warning("images cannot be tidied", why=str(error))
            await asyncio.sleep(TIDY_S)

    async def _collect_images(self, keep: KeepRule | None = None) -> None:
        """Nothing where a record was lost: nobody knows which images that function can go back to.

        One that was deleted names none any more; while it drains, the engine keeps what its containers are of.
        """
        records = [deployment.record for deployment in self.deployments.values()]
        if not any(record.damaged for record in records):
            named = {version.pinned.code for record in records for version in record.versions}
            await self._preparation.collect(named, keep)

    async def _check_health(self) -> None:
        places = asyncio.Semaphore(MAX_PROBES)

        async def check(deployment: Deployment, instance: str) -> None:
            async with places:
                if (replica := deployment.replicas.get(instance)) is not None:
                    await deployment.check(replica)

        while True:
            await asyncio.sleep(min(TICK_S, self._machine.health_interval_s))
            now = self._clock.now()
            due = [
                (deployment, replica.instance)
                for deployment in self.all()
                for replica in deployment.replicas.values()
                if replica.state in (ReplicaState.READY, ReplicaState.UNREADY) and replica.next_check <= now
            ]
            await asyncio.gather(*(check(*one) for one in due))

    def _publish(self, deployment: Deployment) -> None:
        if self.deployments.get(deployment.record.ref) is deployment:
            self.feed.publish(deployment.endpoints)


def _written_at(log: Path) -> float:
    """Output from there on is read again after a restart: of one second some lines come twice rather than none."""
    try:
        return log.stat().st_mtime
    except OSError:
        return time.time()
