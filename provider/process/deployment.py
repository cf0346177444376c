"""One function's replicas, driven towards what was asked for: started, replaced, drained, restarted."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Callable
from functools import partial

import structlog

from springtide.provider.machine.endpoints import endpoints_of
from springtide.provider.machine.plan import Plan, ReplicaState, ReplicaView, choice_matters, plan
from springtide.provider.machine.records import FunctionRecord
from springtide.provider.machine.start_limits import RestartPause
from springtide.provider.process import launches, runnable
from springtide.provider.process.deployment_context import DeploymentContext
from springtide.provider.process.host_protocol import OUT_OF_MEMORY, TOO_MANY_PROCESSES, Exited, Hello, Running, Spawned
from springtide.provider.process.launches import FunctionProgram
from springtide.provider.process.replica_process import ReplicaHealth, ReplicaProcess, probe_health
from springtide.provider.process.stopped_host import StoppedHost
from springtide.runtime.backoff import Backoff
from springtide.runtime.errors import BadInput, SpringtideError
from springtide.scaler.core.vocabulary import Scale
from springtide.watchdog import config
from springtide.wire.endpoint_stream import FunctionEndpoints

LOAD_DEADLINE_S = 0.5
"""For replicas to say how busy they are before one of them is chosen to go; who does not answer counts as busy."""

KILLED = "killed by SIGKILL"
LOOK_AGAIN_S = 1.0
"""For what a start needs and the machine does not have: it costs a look at a file or two."""

_log = structlog.get_logger()


class Deployment:
    """Everything of one function that runs. ``poke`` makes its task look again; nothing here waits for a replica."""

    def __init__(
        self,
        record: FunctionRecord,
        program: FunctionProgram | BadInput,
        context: DeploymentContext,
        *,
        publish: Callable[[Deployment], None],
    ) -> None:
        """Without a program, when what it needs is not there any more, it has no replicas and a problem.

        ``publish`` is called whenever what gateways should know of it may have changed.
        """
        self.record = record
        self.program = program if isinstance(program, FunctionProgram) else None
        self.problem = str(program) if isinstance(program, BadInput) else None
        self._detail = record.damaged
        self._missing = ""
        self.replicas: dict[str, ReplicaProcess] = {}
        self.retired = False
        self._context, self._publish = context, publish
        self._host: Hello | None = None
        self._news = asyncio.Event()
        self._numbers = itertools.count()
        self._mounts = {record.generation}
        self._noted = 0
        settings = context.settings
        self._restart = RestartPause(Backoff(settings.restart_first_s, settings.restart_most_s), settings.stable_s)

    def __repr__(self) -> str:
        states = ", ".join(f"{replica.instance} {replica.state.value}" for replica in self.replicas.values())
        return f"<Deployment {self.record.ref} wanted {self.wanted} of generation {self.record.generation}: {states}>"

    @property
    def wanted(self) -> int:
        return 0 if self.retired else self.record.replicas

    @property
    def ready(self) -> list[ReplicaProcess]:
        return [replica for replica in self.replicas.values() if replica.state is ReplicaState.READY]

    @property
    def scale(self) -> Scale:
        return Scale(self.record.replicas, len(self.ready), self.record.version)

    @property
    def explained_problem(self) -> str | None:
        """``problem`` with what the replica wrote last, and the like: for those with credentials, not for callers."""
        if self._missing:
            return self._missing
        return f"{self.problem} ({self._detail})" if self.problem and self._detail else self.problem

    @property
    def endpoints(self) -> FunctionEndpoints:
        left_s = self._restart.retry_at - self._context.clock.now()
        return endpoints_of(
            self.record,
            (replica.endpoint(self._context.settings.host) for replica in self.ready),
            problem=self._missing or self.problem,
            lasting=bool(self._missing) or self.program is None,
            next_start=self._context.clock.wall() + left_s if self.problem and left_s > 0 else None,
        )

    # What is asked for.

    def change(self, record: FunctionRecord, program: FunctionProgram | None) -> None:
        """This is what is wanted now."""
        self._mounts.add(record.generation)
        if record.generation != self.record.generation or not record.replicas:
            self._restart.reset()  # What failed is not wanted any more: the next try is a first one.
            self.problem, self._missing = None, ""
        self.record, self.program = record, program
        self._changed()

    def retire(self) -> None:
        """The function was deleted: drain, and let ``run`` end when the last replica is gone."""
        self.retired = True
        self.poke()

    def host_came(self, hello: Hello, running: list[Running]) -> None:
        """Replicas can be had; these are ours already."""
        self._host = hello
        for known in running:
            self._adopt(known)
        self._changed()

    def host_went(self) -> None:
        """The host died, and every replica with it. That says nothing about the function: no back-off."""
        self._host = None
        died = [replica for replica in self.replicas.values() if replica.stopped_host is None]
        lost = [replica for replica in died if replica.state is not ReplicaState.STOPPING]
        if lost:
            self._context.metrics.restarts.labels(str(self.record.ref)).inc(len(lost))
            self.problem, self._detail = "the function host ended unexpectedly; replicas are started again", ""
        for replica in self.replicas.values():
            replica.settle()
        self.replicas = {key: replica for key, replica in self.replicas.items() if replica.stopped_host is not None}
        self._changed()

    def host_stopped(self, stopped: StoppedHost) -> None:
        """The host lives and does nothing. What answers goes on until another host's replicas stand in for it."""
        self._host = None
        for replica in list(self.replicas.values()):
            if replica.stopped_host is not None:
                continue
            if replica.state is ReplicaState.STARTING or not replica.pid:
                replica.settle()
                del self.replicas[replica.instance]  # It dies with its host; nobody would hear that it is ready.
                continue
            replica.stopped_host = stopped
            ended, write = self._ended_without_host, self._context.log_writer(self.record)
            stopped.keep(
                replica.instance,
                replica.pid,
                partial(ended, replica.instance),
                write=partial(write, replica.instance),
            )
            if replica.state is ReplicaState.STOPPING:
                stopped.stop(replica.instance, self._context.settings.grace_s)
        self._changed()

    def _ended_without_host(self, instance: str) -> None:
        if instance in self.replicas:
            self.exited(Exited(instance, "ended while its host did not answer"))

    def poke(self) -> None:
        self._news.set()

    # What happens to replicas.

    def spawned(self, event: Spawned) -> None:
        replica = self.replicas[event.instance]
        replica.pid, replica.port, replica.waited_s = event.pid, event.port, event.waited_s

    def became_ready(self, instance: str) -> None:
        replica = self.replicas[instance]
        replica.settle()
        if replica.state is not ReplicaState.STARTING:
            return
        replica.state, replica.ready_at = ReplicaState.READY, self._context.clock.now()
        self._context.metrics.starts.labels(str(self.record.ref)).observe(replica.ready_at - replica.requested_at)
        if self._restart.failed_at is None or replica.requested_at >= self._restart.failed_at:
            self.problem = None
        self._changed()

    def exited(self, event: Exited) -> None:
        replica = self.replicas.pop(event.instance)
        replica.settle()
        if event.reason == OUT_OF_MEMORY:
            self._context.metrics.out_of_memory.labels(str(self.record.ref)).inc()
        if replica.state is not ReplicaState.STOPPING:
            reason = self._reason(event)
            pause_s = self._failed(replica, f"replica {event.instance} {reason}", last_line=event.last_line)
            self._context.note(self.record, event.instance, f"replica {reason}; next start in {pause_s:.1f} s")
        elif event.reason == KILLED:
            self._context.note(
                self.record, event.instance, "calls still in flight at the end of the grace period were broken off"
            )
        self._changed()

    def _reason(self, event: Exited) -> str:
        settings, limit = self._context.settings, self.record.spec.limits.get("memory")
        if event.reason == OUT_OF_MEMORY and limit:
            return f"memory limit {limit} exceeded"
        if event.reason == OUT_OF_MEMORY:
            given = f"function_memory, {settings.replica_memory}"
            return f"used more memory than is given where limits.memory does not say ({given}); set limits.memory"
        if event.reason == TOO_MANY_PROCESSES:
            return f"{TOO_MANY_PROCESSES} (function_processes, {settings.replica_processes})"
        return event.reason

    def checked(self, replica: ReplicaProcess, health: ReplicaHealth) -> None:
        """A health check came back."""
        if replica.state not in (ReplicaState.READY, ReplicaState.UNREADY):
            return
        if health.ready is None:
            replica.failed_checks += 1
            if replica.failed_checks >= self._context.settings.health_failures:
                what = f"did not answer {replica.failed_checks} health checks in a row"
                self._failed(replica, f"replica {replica.instance} {what}")
                self._context.note(self.record, replica.instance, f"replica {what}; it is replaced")
                self._stop([replica])
                self.poke()
            return
        replica.failed_checks, replica.in_flight = 0, health.in_flight
        state = ReplicaState.READY if health.ready else ReplicaState.UNREADY
        if state is not replica.state:
            replica.state = state
            self._changed()

    def kill(self, replica: ReplicaProcess, why: str) -> None:
        """End a replica at once; its exit is told with this reason."""
        if replica.stopped_host is not None:
            replica.stopped_host.kill(replica.instance)
        else:
            self._context.kill(replica.instance, why)

    def _failed(self, replica: ReplicaProcess, problem: str, *, last_line: str = "") -> float:
        """A replica is lost; returns the pause before the next start."""
        self.problem, self._detail = problem, f"last line: {last_line}" if last_line else ""
        self._context.metrics.restarts.labels(str(self.record.ref)).inc()
        now = self._context.clock.now()
        return self._restart.failed(started_at=replica.requested_at, ready_at=replica.ready_at, now=now)

    def _changed(self) -> None:
        self._publish(self)
        self.poke()

    # The task.

    async def run(self) -> None:
        """Until the function is retired and its last replica is gone."""
        while not self.retired or self.replicas:
            self._news.clear()
            now = self._context.clock.now()
            try:
                await self._reconcile(now)
                await self._tidy()
            except SpringtideError as error:
                _log.warning("function not reconciled", function=str(self.record.ref), error=str(error))
            await self._wait(now)

    async def _wait(self, since: float) -> None:
        """For news, or for the end of a pause before a restart.

        By the time at which the look was taken: a timer may fire a little early, and a pause that was not over then but
        is now would be nobody's.
        """
        pause_s = LOOK_AGAIN_S if self._missing else self._restart.retry_at - since
        try:
            async with asyncio.timeout(pause_s if pause_s > 0 else None):
                await self._news.wait()
        except TimeoutError:
            pass

    async def _reconcile(self, now: float) -> None:
        if self._host is None:
            return
        chosen = self._plan()
        if choice_matters(chosen, self._views()):
            await self._ask_load()
            chosen = self._plan()
        self._stop([self.replicas[instance] for instance in chosen.stop])
        self._look_for_program(wanted=bool(chosen.start))
        if self.program is not None and not self._missing and self._restart.retry_at <= now:
            for _ in range(chosen.start):
                if not self._start():
                    break

    def _views(self) -> list[ReplicaView]:
        return [replica.view(self.record.generation) for replica in self.replicas.values()]

    def _plan(self) -> Plan:
        return plan(self.wanted, self._views(), surge=not (self.program and self.program.config.one_at_a_time))

    async def _ask_load(self) -> None:
        async def ask(replica: ReplicaProcess) -> None:
            health = await probe_health(self._context.settings.host, replica.port, deadline_s=LOAD_DEADLINE_S)
            replica.in_flight = 1_000_000 if health.ready is None else health.in_flight

        await asyncio.gather(*(ask(replica) for replica in self.ready))

    def _stop(self, replicas: list[ReplicaProcess]) -> None:
        """Gateways hear of it before the replicas do, which take calls a moment longer."""
        for replica in replicas:
            replica.settle()
            replica.state = ReplicaState.STOPPING
        if replicas:
            self._publish(self)
        for replica in replicas:
            if replica.stopped_host is not None:
                replica.stopped_host.stop(replica.instance, self._context.settings.grace_s)
            else:
                self._context.stop(replica.instance)

    def _look_for_program(self, *, wanted: bool) -> None:
        """It was there when it was deployed, and may be gone: callers are told at once, and of its return.

        No replica is lost by it: that is no reason to pause before the next start.
        """
        missing = ""
        if wanted and self.program is not None:
            spec, settings = self.record.spec, self._context.settings
            missing = launches.below_minimum(spec, settings, self._host)
            missing = missing or runnable.missing(spec, self.program, settings)
        if missing == self._missing:
            return
        self._missing = missing
        if missing:
            _log.warning("a function cannot be started", function=str(self.record.ref), why=missing)
            self._context.note(self.record, self.record.ref.name, f"no replica can be started: {missing}")
        self._publish(self)

    def _start(self) -> bool:
        """Ask for one more replica; False when too many are starting already."""
        program, slot = self.program, self._context.slots.take(self.poke)
        if program is None or slot is None:
            return False
        instance = f"{self.record.ref.name}-{self.record.generation}-{secrets.token_hex(3)}"
        replica = ReplicaProcess(instance, self.record.generation, self._context.clock.now(), next(self._numbers))
        replica.max_inflight, replica.slot = program.config.max_inflight, slot
        self.replicas[instance] = replica
        self._expect(replica)
        self._context.spawn(self.record, program, instance)
        if self._noted != self.record.generation and self._host is not None:
            self._noted = self.record.generation
            for remark in launches.not_enforced(self.record.spec, self._context.settings, self._host):
                self._context.note(self.record, instance, remark)
        return True

    def _adopt(self, known: Running) -> None:
        """A replica that was started by a provider before us."""
        launch = known.launch
        replica = ReplicaProcess(launch.instance, launch.generation, self._context.clock.now(), next(self._numbers))
        replica.pid, replica.port = known.pid, known.port
        replica.max_inflight = config.read(launch.env, launch.handler)[0].max_inflight
        if known.stopping or known.ready:
            replica.state = ReplicaState.STOPPING if known.stopping else ReplicaState.READY
        if replica.state is ReplicaState.STARTING:
            self._expect(replica)
        self._mounts.add(launch.generation)
        self._noted = max(self._noted, launch.generation)
        self.replicas[launch.instance] = replica

    def _expect(self, replica: ReplicaProcess) -> None:
        timeout_s = self._context.settings.start_timeout_s
        why = f"was not ready within {timeout_s:g} s"
        replica.give_up = asyncio.get_running_loop().call_later(timeout_s, self.kill, replica, why)

    async def _tidy(self) -> None:
        """Remove the secrets of generations that no replica is left of."""
        used = {replica.generation for replica in self.replicas.values()} | {self.record.generation}
        for generation in self._mounts - used:
            self._mounts.discard(generation)
            await self._context.files.remove_mount(self.record, generation)
