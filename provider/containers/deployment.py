"""One function's containers, driven towards what was asked for: started, put to sleep, woken, replaced, restarted."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
from collections.abc import Callable, Iterable

import structlog

from springtide.provider.containers import container_labels, probes
from springtide.provider.containers.container_program import ContainerProgram, Sleep
from springtide.provider.containers.container_replica import ContainerReplica, Sleeper
from springtide.provider.containers.deployment_context import DeploymentContext
from springtide.provider.containers.engine.client import Container, ContainerDetail
from springtide.provider.containers.function_container import container_name, instance_of
from springtide.provider.containers.function_log import FunctionLog
from springtide.provider.containers.probes import ProbeAnswer
from springtide.provider.machine.endpoints import endpoints_of
from springtide.provider.machine.plan import Plan, ReplicaState, ReplicaView, choice_matters, plan
from springtide.provider.machine.records import FunctionRecord
from springtide.provider.machine.start_limits import RestartPause
from springtide.runtime.backoff import Backoff
from springtide.runtime.errors import BadInput, NotFound, SpringtideError
from springtide.scaler.core.vocabulary import Scale
from springtide.wire.endpoint_stream import FunctionEndpoints

READY_POLL, MAX_LOOK_S = Backoff(0.01, 0.25), 0.25
"""Pauses between questions to a container that starts."""
LOAD_DEADLINE_S, ADOPT_DEADLINE_S, OUTPUT_DEADLINE_S = 0.5, 1.0, 0.5
MAX_SLEEPERS = 10
"""Stopped or paused containers that a function keeps for its next wake."""
BUSY = 1_000_000
"""Of a replica that does not say how busy it is."""

_log = structlog.get_logger()


class Deployment:
    """Everything of one function that runs or sleeps. ``poke`` makes its task look again."""

    def __init__(
        self,
        record: FunctionRecord,
        program: ContainerProgram | BadInput,
        context: DeploymentContext,
        *,
        publish: Callable[[Deployment], None],
    ) -> None:
        """Without a program, when its image or a secret is not there any more, it starts none, and has a problem.

        ``publish`` is called whenever what gateways should know of it may have changed.
        """
        self.record = record
        self.program = program if isinstance(program, ContainerProgram) else None
        self._lasting = str(program) if isinstance(program, BadInput) else None
        self._passing: str | None = None
        self._detail = record.damaged
        self.replicas: dict[str, ContainerReplica] = {}
        self.sleepers: dict[str, Sleeper] = {}
        self.retired = False
        self.log = FunctionLog(lambda: context.log_writer(self.record), context.clock)
        self._context, self._publish = context, publish
        self._news = asyncio.Event()
        self._numbers = itertools.count()
        self._mounts = {record.generation}
        self._making_sleeper = ""
        machine = context.machine
        self._restart = RestartPause(Backoff(machine.restart_first_s, machine.restart_most_s), machine.stable_s)

    def __repr__(self) -> str:
        states = ", ".join(f"{replica.instance} {replica.state.value}" for replica in self.replicas.values())
        return f"<Deployment {self.record.ref} wanted {self.wanted}: {states}; {len(self.sleepers)} asleep>"

    @property
    def wanted(self) -> int:
        return 0 if self.retired else self.record.replicas

    @property
    def ready(self) -> list[ContainerReplica]:
        return [replica for replica in self.replicas.values() if replica.state is ReplicaState.READY]

    @property
    def scale(self) -> Scale:
        return Scale(self.record.replicas, len(self.ready), self.record.version)

    @property
    def problem(self) -> str | None:
        """What keeps it from starting at all, or else why its last replica is gone."""
        return self._lasting or self._passing

    @property
    def explained_problem(self) -> str | None:
        """``problem`` with what the replica wrote last, and the like: for those with credentials, not for callers."""
        return f"{self.problem} ({self._detail})" if self.problem and self._detail else self.problem

    @property
    def endpoints(self) -> FunctionEndpoints:
        left_s = self._restart.retry_at - self._context.clock.now()
        return endpoints_of(
            self.record,
            (replica.endpoint for replica in self.ready),
            problem=self.problem,
            lasting=self.program is None,
            next_start=self._context.clock.wall() + left_s if self.problem and left_s > 0 else None,
        )

    def names(self) -> set[str]:
        """Of all containers that are its own, made or about to be."""
        own = {*self.replicas, *(sleeper.instance for sleeper in self.sleepers.values()), self._making_sleeper}
        return {container_name(instance, self._context.suite) for instance in own}

    def container_ids(self) -> set[str]:
        return {*(replica.container for replica in self.replicas.values()), *self.sleepers}

    # What is asked for.

    def change(self, record: FunctionRecord, program: ContainerProgram | None) -> None:
        """This is what is wanted now."""
        self._mounts.add(record.generation)
        if record.generation != self.record.generation or not record.replicas:
            self._restart.reset()  # What failed is not wanted any more: the next try is a first one.
            self._passing = None
        if program is not None:
            self._lasting = None
        self.record, self.program = record, program
        self._changed()

    def retire(self) -> None:
        """The function was deleted: drain, and let ``run`` end when nothing of it is left."""
        self.retired = True
        self.poke()

    def poke(self) -> None:
        self._news.set()

    # What was there before us.

    async def adopt(self, containers: Iterable[Container], *, written_at: float) -> None:
        """Of a provider before us. What answers is served at once; ``written_at`` is when its log was written last."""
        found = [self._adopted(container) for container in containers]
        await asyncio.gather(*(self._take_over(one, written_at) for one in found if one is not None))

    def _adopted(self, container: Container) -> ContainerReplica | None:
        generation = container_labels.generation_of(container.labels)
        instance = instance_of(container.name, self._context.suite)
        if container.state == "running":
            replica = ContainerReplica(instance, generation, self._context.clock.now(), next(self._numbers))
            replica.max_inflight = self.program.max_inflight if self.program is not None else 0
            replica.container, replica.address, replica.started = container.id, container.address, True
            self.replicas[instance] = replica
            self._mounts.add(generation)
            return replica
        self.sleepers[container.id] = Sleeper(container.id, instance, generation, container.state == "paused")
        return None

    async def _take_over(self, replica: ContainerReplica, written_at: float) -> None:
        try:
            detail = await self._context.engine.inspect(replica.container)
            ended = not detail.running
            replica.pid, replica.address = detail.pid, detail.address
        except NotFound:
            ended = True
        except SpringtideError as error:
            # Calls may be in it: that the engine is away again says nothing of what runs, and the list had its address.
            _log.warning("the engine does not tell of a container", container=replica.instance, why=str(error))
            ended = False
        if ended:
            await self._lose(replica, "had ended")
            return
        self.log.follow(self._context.engine, replica.container, replica.instance, since=written_at)
        answer = await self._ask(replica, ADOPT_DEADLINE_S)
        if answer.ready:
            replica.state, replica.ready_at = ReplicaState.READY, self._context.clock.now()
        else:
            replica.starting = self._context.spawn(self._become_ready(replica), f"start {replica.instance}")

    # What happens to containers.

    async def container_ended(self, container: str) -> None:
        """The engine says so, or it seems so: a container that is about to be started does not run either."""
        replica = next((one for one in self.replicas.values() if one.container == container), None)
        if replica is None or not replica.started or replica.state is ReplicaState.STOPPING:
            return
        try:
            detail = await self._context.engine.inspect(container)
        except NotFound:
            detail = None
        except SpringtideError as error:
            # All containers are looked through once the engine is back.
            _log.info("the engine does not tell of a container", container=replica.instance, why=str(error))
            return
        if detail is None or not detail.running:
            await self._end_of(replica, detail)

    async def _end_of(self, replica: ContainerReplica, detail: ContainerDetail | None) -> None:
        await self.log.drained(replica.instance, deadline_s=OUTPUT_DEADLINE_S)
        if detail is None:
            why = "was removed by somebody else"
        elif detail.out_of_memory:
            self._context.metrics.out_of_memory.labels(str(self.record.ref)).inc()
            limit = self.record.spec.limits.get("memory")
            given = f"function_memory, {self._context.machine.replica_memory}"
            why = f"memory limit {limit} exceeded" if limit else f"used more memory than is given ({given})"
        else:
            why = f"ended with status {detail.exit_code}"
        await self._lose(replica, why)

    async def _lose(self, replica: ContainerReplica, why: str) -> None:
        """It is gone, or of no use: another one is started after a pause, and it is removed."""
        if self.replicas.get(replica.instance) is not replica or replica.state is ReplicaState.STOPPING:
            return
        del self.replicas[replica.instance]
        replica.settle()
        last = self.log.last_line(replica.instance)
        pause_s = self._failed(replica, f"replica {replica.instance} {why}", last_line=last)
        self.log.note(replica.instance, f"replica {why}; next start in {pause_s:.1f} s")
        self.log.forget(replica.instance)
        self._changed()
        if replica.starting is not None and replica.starting is not asyncio.current_task():
            replica.starting.cancel()
        if replica.container:
            await self._remove(replica.container)

    def _failed(self, replica: ContainerReplica, problem: str, *, last_line: str = "") -> float:
        """A replica is lost; returns the pause before the next start."""
        self._passing, self._detail = problem, f"last line: {last_line}" if last_line else ""
        self._context.metrics.restarts.labels(str(self.record.ref)).inc()
        now = self._context.clock.now()
        return self._restart.failed(started_at=replica.requested_at, ready_at=replica.ready_at, now=now)

    async def check(self, replica: ContainerReplica) -> None:
        """Ask how it is: a health check."""
        machine = self._context.machine
        wanted = self.program.probes if self.program is not None else probes.Probes()
        now = self._context.clock.now()
        replica.next_check = now + (wanted.period_s or machine.health_interval_s)
        answer = await self._ask(replica, wanted.timeout_s or machine.health_timeout_s)
        if replica.state not in (ReplicaState.READY, ReplicaState.UNREADY):
            return
        replica.in_flight = answer.in_flight or 0
        young = replica.ready_at is not None and now < replica.ready_at + wanted.delay_s
        if answer.alive or young:
            replica.failed_checks = 0
            state = ReplicaState.READY if answer.ready else ReplicaState.UNREADY
            if state is not replica.state:
                replica.state = state
                self._changed()
            return
        replica.failed_checks += 1
        if replica.failed_checks >= (wanted.failures or machine.health_failures):
            what = f"failed {replica.failed_checks} health checks in a row"
            self._failed(replica, f"replica {replica.instance} {what}")
            self.log.note(replica.instance, f"replica {what}; it is replaced")
            self._stop([replica])
            self.poke()

    def _changed(self) -> None:
        self._publish(self)
        self.poke()

    # The task.

    async def run(self) -> None:
        """Until the function is retired and nothing of it is left."""
        while not self.retired or self.replicas:
            self._news.clear()
            now = self._context.clock.now()
            await self._reconcile(now)
            await self._tidy()
            pause_s = self._restart.retry_at - now
            try:
                async with asyncio.timeout(pause_s if pause_s > 0 else None):
                    await self._news.wait()
            except TimeoutError:
                pass
        for container in list(self.sleepers):
            await self._remove(container)
        self.sleepers.clear()
        await self.log.close()

    async def _reconcile(self, now: float) -> None:
        chosen = self._plan()
        if choice_matters(chosen, self._views()):
            await self._ask_load()
            chosen = self._plan()
        self._stop([self.replicas[instance] for instance in chosen.stop])
        if self.program is None or self._restart.retry_at > now:
            return
        for _ in range(chosen.start):
            if not self._start():
                break
        if not self.wanted and not self.retired and not self.replicas and not self.sleepers:
            self._context.spawn(self._make_sleeper(), f"sleeper of {self.record.ref}")

    def _views(self) -> list[ReplicaView]:
        return [replica.view(self.record.generation) for replica in self.replicas.values()]

    def _plan(self) -> Plan:
        return plan(self.wanted, self._views())

    async def _ask_load(self) -> None:
        async def ask(replica: ContainerReplica) -> None:
            answer = await self._ask(replica, LOAD_DEADLINE_S)
            replica.in_flight = BUSY if answer.alive is None else answer.in_flight or 0

        await asyncio.gather(*(ask(replica) for replica in self.ready))

    async def _ask(self, replica: ContainerReplica, deadline_s: float) -> ProbeAnswer:
        wanted = self.program.probes if self.program is not None else probes.Probes()
        return await probes.ask(wanted, replica.address, deadline_s=deadline_s)

    # One more replica.

    def _start(self) -> bool:
        """Begin with one more; False when too many are starting already."""
        program, slot = self.program, self._context.slots.take(self.poke)
        if program is None or slot is None:
            return False
        sleeper = self._next_sleeper()
        instance = sleeper.instance if sleeper is not None else self._new_instance()
        now = self._context.clock.now()
        replica = ContainerReplica(instance, self.record.generation, now, next(self._numbers))
        replica.max_inflight, replica.slot = program.max_inflight, slot
        self.replicas[instance] = replica
        replica.starting = self._context.spawn(self._bring_up(replica, program, sleeper), f"start {instance}")
        return True

    def _new_instance(self) -> str:
        return f"{self.record.ref.name}-{self.record.generation}-{secrets.token_hex(3)}"

    def _next_sleeper(self) -> Sleeper | None:
        """A paused one before a stopped one: it is sooner there."""
        own = [sleeper for sleeper in self.sleepers.values() if sleeper.generation == self.record.generation]
        chosen = min(own, key=lambda sleeper: not sleeper.paused, default=None)
        return self.sleepers.pop(chosen.container) if chosen is not None else None

    async def _bring_up(self, replica: ContainerReplica, program: ContainerProgram, sleeper: Sleeper | None) -> None:
        engine, began = self._context.engine, self._context.clock.wall()
        try:
            if sleeper is None:
                replica.container = await self._context.create(self.record, program, replica.instance)
            else:
                replica.container = sleeper.container
            if sleeper is not None and sleeper.paused:
                await engine.unpause(replica.container)
            else:
                await engine.start(replica.container)
            detail = await engine.inspect(replica.container)
        except SpringtideError as error:
            self._context.networks.forget()
            await self._lose(replica, f"could not be started: {error}")
            return
        replica.pid, replica.address, replica.started = detail.pid, detail.address, True
        self.log.follow(engine, replica.container, replica.instance, since=began)
        if not detail.running:
            await self._end_of(replica, detail)  # Who heard of it before took it for one that is about to be started.
            return
        await self._become_ready(replica)

    async def _become_ready(self, replica: ContainerReplica) -> None:
        timeout_s = self._context.machine.start_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                for tries in itertools.count(1):
                    answer = await self._ask(replica, MAX_LOOK_S + tries * 0.05)
                    replica.refusal = answer.said
                    if answer.ready:
                        break
                    await asyncio.sleep(READY_POLL.delay_s(tries))
        except TimeoutError:
            said = f": {replica.refusal}" if replica.refusal else ""
            await self._lose(replica, f"was not ready within {timeout_s:g} s{said}")
            return
        replica.settle()
        if replica.state is not ReplicaState.STARTING:
            return
        replica.state, replica.ready_at = ReplicaState.READY, self._context.clock.now()
        self._context.metrics.starts.labels(str(self.record.ref)).observe(replica.ready_at - replica.requested_at)
        if self._restart.failed_at is None or replica.requested_at >= self._restart.failed_at:
            self._passing = None
        self._changed()

    # One less.

    def _stop(self, replicas: list[ContainerReplica]) -> None:
        """Gateways hear of it before the replicas do, which take calls a moment longer."""
        for replica in replicas:
            replica.settle()
            served, replica.state = replica.state is ReplicaState.READY, ReplicaState.STOPPING
            self._context.spawn(self._take_down(replica, served=served), f"stop {replica.instance}")
        if replicas:
            self._publish(self)

    async def _take_down(self, replica: ContainerReplica, *, served: bool) -> None:
        if replica.starting is not None and not replica.starting.done():
            replica.starting.cancel()
            await asyncio.wait([replica.starting])
        try:
            if replica.container:
                await asyncio.sleep(self._context.machine.linger_s if served else 0.0)
                await self._end(replica)
        except SpringtideError as error:
            # What is left of it is nobody's then, and is removed when all containers are looked through.
            _log.warning("a container cannot be stopped", container=replica.instance, why=str(error))
        finally:
            self.replicas.pop(replica.instance, None)
            self.log.forget(replica.instance)
            self._changed()

    async def _end(self, replica: ContainerReplica) -> None:
        engine, program = self._context.engine, self.program
        if self._sleeps(replica) and program is not None and program.sleep is Sleep.PAUSE:
            await self._until_idle(replica)
            if self._sleeps(replica):
                await engine.pause(replica.container)
                self._lay_down(replica, replica.instance, paused=True)
                return
        await engine.stop(replica.container, grace_s=self._context.machine.grace_s)
        await self.log.drained(replica.instance, deadline_s=OUTPUT_DEADLINE_S)
        if not self._sleeps(replica):
            await engine.remove(replica.container)
            return
        instance = self._new_instance()
        await engine.rename(replica.container, container_name(instance, self._context.suite))
        self._lay_down(replica, instance)

    def _sleeps(self, replica: ContainerReplica) -> bool:
        """Whether it is to be kept for the next wake: only of a function that is to sleep altogether."""
        current = replica.generation == self.record.generation and replica.failed_checks == 0
        return not self.retired and not self.wanted and current and len(self.sleepers) < MAX_SLEEPERS

    def _lay_down(self, replica: ContainerReplica, instance: str, *, paused: bool = False) -> None:
        self.sleepers[replica.container] = Sleeper(replica.container, instance, replica.generation, paused)

    async def _until_idle(self, replica: ContainerReplica) -> None:
        """A call would be frozen with it. Where the watchdog does not say, the linger has to do."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._context.machine.grace_s):
                while (await self._ask(replica, LOAD_DEADLINE_S)).in_flight:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(MAX_LOOK_S)

    async def _make_sleeper(self) -> None:
        """So that a wake need not make its container, and that the engine knows of the function while it sleeps."""
        program, record = self.program, self.record
        if program is None or self._making_sleeper:
            return
        self._making_sleeper = instance = self._new_instance()
        try:
            container = await self._context.create(record, program, instance)
            self.sleepers[container] = Sleeper(container, instance, record.generation)
        except SpringtideError as error:
            _log.info("no container is made ahead", function=str(record.ref), why=str(error))
        finally:
            self._making_sleeper = ""
            if self.wanted or self.retired or record.generation != self.record.generation:
                self.poke()

    # Tidying.

    async def _tidy(self) -> None:
        """Remove what sleeps of generations that are over, and the secrets of those that no container is left of."""
        for sleeper in list(self.sleepers.values()):
            if sleeper.generation != self.record.generation:
                del self.sleepers[sleeper.container]
                self._context.spawn(self._remove(sleeper.container), f"remove {sleeper.instance}")
                self.poke()
        used = {replica.generation for replica in self.replicas.values()}
        used |= {sleeper.generation for sleeper in self.sleepers.values()} | {self.record.generation}
        for generation in self._mounts - used:
            self._mounts.discard(generation)
            await self._context.files.remove_mount(self.record, generation)

    async def _remove(self, container: str) -> None:
        try:
            await self._context.engine.remove(container)
        except SpringtideError as error:
            _log.warning("a container cannot be removed", container=container[:12], why=str(error))
