"""MachineProvider: every Protocol of ``provider.ports`` over a state folder and a fleet of replicas on this machine."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic

import structlog

from springtide.provider.bounds import check_learned_wake, kept_start
from springtide.provider.machine import log_stream
from springtide.provider.machine.ports import Deployment, Fleet, Preparation, Program
from springtide.provider.machine.records import FunctionRecord, FunctionVersion, Pinned
from springtide.provider.machine.secret_files import SecretFiles
from springtide.provider.machine.state_files import StateFiles
from springtide.provider.ports import (
    DeployedVersion,
    ImageBuilder,
    Library,
    LogLine,
    LogQuery,
    Namespace,
    ProviderInfo,
)
from springtide.provider.spec import FunctionSpec, FunctionStatus, check_name, check_namespace
from springtide.runtime.errors import AlreadyExists, BadInput, Conflict, NotFound, Unavailable
from springtide.runtime.keyed_locks import KeyedLocks
from springtide.scaler.core import ownership
from springtide.scaler.core.ownership import Scalers
from springtide.scaler.core.policy import MAX_REPLICAS, ScalePolicy, initial_replicas, updated_replicas
from springtide.scaler.core.ports import Clock, Recorder
from springtide.scaler.core.vocabulary import Decision, Function, FunctionRef, Instant, Reason, Scale, Writer
from springtide.wire.endpoint_stream import Event
from springtide.wire.processor_use import ProcessorUse

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineDeps(Generic[Program]):
    """``recorder`` hears of counts that a deployment sets; those written are recorded by whoever asks for them."""

    info: ProviderInfo
    files: StateFiles
    fleet: Fleet[Program]
    preparation: Preparation[Program]
    default_namespace: str
    clock: Clock
    scalers: Scalers
    recorder: Recorder | None = None
    builder: ImageBuilder | None = None
    library: Library | None = None


class MachineProvider(Generic[Program]):
    """A wish, but a wake's, is durable when its method returns; replicas follow. One at a time writes to a function."""

    name = "provider"

    def __init__(self, deps: MachineDeps[Program]) -> None:
        self.info, self.scalers = deps.info, deps.scalers
        self.builder, self.library = deps.builder, deps.library
        self._clock, self._recorder, self._default_namespace = deps.clock, deps.recorder, deps.default_namespace
        self._files, self._fleet, self._preparation = deps.files, deps.fleet, deps.preparation
        self._secrets = SecretFiles(self._files, self._fleet.all, self._check_namespace)
        self._namespaces: dict[str, Namespace] = {}
        self._locks: KeyedLocks[FunctionRef | str] = KeyedLocks()
        self._deploying: KeyedLocks[FunctionRef] = KeyedLocks()
        """One deployment of a function after the other, while others write to it: building may take long."""
        self._started = False

    def __repr__(self) -> str:
        return f"<MachineProvider {self.info.orchestration} {self._files.folder} {self._fleet!r}>"

    # Service.

    async def start(self) -> None:
        """Raises BadInput for a state folder that cannot be used, Unavailable when it is in use."""
        now = Instant(self._clock.wall())
        await self._files.open(now)
        self._started = True
        await self._preparation.open(now)
        default = self._default_namespace
        self._namespaces = {default: Namespace(default)}
        self._namespaces |= {namespace.name: namespace for namespace in self._files.namespaces(now)}
        functions = self._files.functions(now)
        functions += await self._fleet.unrecorded(functions)
        for name in {record.ref.namespace for record in functions} - self._namespaces.keys():
            self._namespaces[name] = Namespace(name)  # Such as the default one of an earlier start.
        await self._fleet.start(functions)

    async def stop(self) -> None:
        if self._started:
            self._started = False
            await self._preparation.close()
            await self._fleet.stop()
            self._files.close()

    async def wait(self) -> None:
        await self._fleet.wait()

    # Catalog and scale.

    async def list_functions(self) -> Sequence[Function]:
        return [self._function(self._fleet.deployments[ref]) for ref in sorted(self._fleet.deployments)]

    async def read(self, ref: FunctionRef) -> Function:
        return self._function(self._deployment(ref))

    async def write(
        self,
        ref: FunctionRef,
        replicas: int,
        *,
        expect: str | None,
        decision: Decision | None,
    ) -> Scale:
        async with self._locks.of(ref):
            deployment = self._deployment(ref)
            if deployment.record.damaged:
                raise Unavailable(f"{ref}: {deployment.explained_problem}")
            if not 0 <= replicas <= MAX_REPLICAS:
                raise BadInput(f"replicas: {replicas} is out of range; ask for 0 to {MAX_REPLICAS}")
            if expect not in (None, deployment.record.version):
                raise Conflict(
                    f"{ref}: version is {deployment.record.version}, not {expect}; read again and decide anew"
                )
            record = deployment.record.scaled(replicas)
            wakes = decision is not None and decision.writer in (Writer.WAKE, Writer.PREWARM)
            await self._change(deployment, record, deployment.program, must_save=not wakes)
            return deployment.scale

    async def keep_wake(self, ref: FunctionRef, replicas: int) -> None:
        async with self._locks.of(ref):
            deployment = self._deployment(ref)
            check_learned_wake(replicas)
            if deployment.record.learned_wake != replicas and not deployment.record.damaged:
                record = replace(deployment.record, learned_wake=replicas)
                await self._change(deployment, record, deployment.program)

    async def keep_start(self, ref: FunctionRef, longest_s: float) -> None:
        async with self._locks.of(ref):
            deployment, kept_s = self._deployment(ref), kept_start(longest_s)
            if deployment.record.longest_start_s != kept_s and not deployment.record.damaged:
                record = replace(deployment.record, longest_start_s=kept_s)
                await self._change(deployment, record, deployment.program)

    # Functions come and go.

    async def deploy(self, spec: FunctionSpec) -> None:
        async with self._deploying.of(spec.ref):
            pinned, program = await self._prepared(spec)
            async with self._locks.of(spec.ref):
                deployment = self._fleet.deployments.get(spec.ref)
                if deployment is not None:
                    await self._update(deployment, spec, pinned, program)
                else:
                    await self._create(spec, pinned, program)

    async def update(self, spec: FunctionSpec) -> None:
        async with self._deploying.of(spec.ref):
            self._deployment(spec.ref)
            pinned, program = await self._prepared(spec)
            async with self._locks.of(spec.ref):
                await self._update(self._deployment(spec.ref), spec, pinned, program)

    async def versions(self, ref: FunctionRef) -> Sequence[DeployedVersion]:
        record = self._deployment(ref).record
        return [_deployed(version, current=version is record.current) for version in record.versions]

    async def rollback(self, ref: FunctionRef, to: str | None = None) -> DeployedVersion:
        async with self._deploying.of(ref):
            version = _chosen(self._deployment(ref).record, to)
            pinned, program = await self._preparation.restore(version)
            async with self._locks.of(ref):
                deployment = self._deployment(ref)
                await self._update(deployment, version.spec, pinned, program)
                return _deployed(deployment.record.current, current=True)

    async def delete(self, ref: FunctionRef) -> None:
        async with self._locks.of(ref):
            self._deployment(ref)
            await self._files.forget(ref)
            self._fleet.remove(ref)

    async def status(self, ref: FunctionRef, *, usage: bool = False) -> FunctionStatus:
        return self._status(self._deployment(ref), usage=usage)

    async def statuses(self, namespace: str) -> Sequence[FunctionStatus]:
        self._check_namespace(namespace)
        deployments = self._fleet.deployments
        return [
            self._status(deployments[ref], usage=False) for ref in sorted(deployments) if ref.namespace == namespace
        ]

    async def processor_use(self) -> Mapping[FunctionRef, ProcessorUse]:
        return await self._fleet.processor_use()

    async def memory_use(self) -> Mapping[FunctionRef, float]:
        return self._fleet.memory_use()

    # Secrets.

    async def secret_names(self, namespace: str) -> Sequence[str]:
        return self._secrets.names(namespace)

    async def put_secret(self, namespace: str, name: str, value: bytes, *, replace: bool) -> None:
        await self._secrets.put(namespace, name, value, replace=replace)

    async def read_secret(self, namespace: str, name: str) -> bytes:
        return await self._secrets.read(namespace, name)

    async def delete_secret(self, namespace: str, name: str) -> None:
        await self._secrets.delete(namespace, name)

    # Namespaces.

    async def namespaces(self) -> Sequence[Namespace]:
        return [self._namespaces[name] for name in sorted(self._namespaces)]

    async def put_namespace(self, namespace: Namespace, *, replace: bool) -> None:
        check_namespace(namespace.name, namespace.labels, namespace.annotations)
        async with self._locks.of(namespace.name):
            there = namespace.name in self._namespaces
            if there and not replace:
                raise AlreadyExists(f"namespace {namespace.name} exists already")
            if replace and not there:
                raise NotFound(f"no namespace {namespace.name}")
            await self._files.save_namespace(namespace)
            self._namespaces[namespace.name] = namespace

    async def delete_namespace(self, name: str) -> None:
        async with self._locks.of(name):
            self._check_namespace(name)
            if name == self._default_namespace:
                raise BadInput(f"namespace {name} is the default one and stays")
            del self._namespaces[name]
            for ref in [ref for ref in self._fleet.deployments if ref.namespace == name]:
                await self.delete(ref)
            await self._secrets.forget(name)

    # Logs and endpoints.

    def logs(self, query: LogQuery) -> AsyncGenerator[LogLine, None]:
        deployment = self._deployment(query.ref)
        folder = self._files.log(deployment.record)
        return log_stream.stream(folder, query, lambda: deployment.retired and not deployment.replicas)

    def watch_endpoints(self) -> AsyncGenerator[Event, None]:
        return self._fleet.feed.watch()

    # Below: one write after the other.

    async def _create(self, spec: FunctionSpec, pinned: Pinned, program: Program) -> None:
        replicas = initial_replicas(_policy(spec))
        record = FunctionRecord.new(spec, replicas, Instant(self._clock.wall()), pinned=pinned)
        await self._secrets.mount(record)
        await self._files.save(record)
        if spec.ref.namespace not in self._namespaces:
            await self._files.forget(spec.ref)
            raise NotFound(f"no namespace {spec.ref.namespace}; it was deleted just now")
        self._fleet.add(record, program)
        self._record(spec, 0, replicas, "deployed")

    async def _update(
        self, deployment: Deployment[Program], spec: FunctionSpec, pinned: Pinned, program: Program
    ) -> None:
        before, now = deployment.record.replicas, Instant(self._clock.wall())
        record = deployment.record.updated(spec, updated_replicas(_policy(spec), before), now, pinned=pinned)
        await self._secrets.mount(record)
        await self._change(deployment, record, program)
        self._record(spec, before, record.replicas, "updated")

    async def _change(
        self,
        deployment: Deployment[Program],
        record: FunctionRecord,
        program: Program | None,
        *,
        must_save: bool = True,
    ) -> None:
        """The wish goes to the replicas and to the disk side by side: a cold start does not wait for the disk.

        Callers wait for a wake, a full disk or not: it need not be saved. The function's next write saves it all, and
        after a restart before that the function sleeps, to be woken again.
        """
        before = deployment.record, deployment.program
        deployment.change(record, program)
        try:
            await self._files.save(record)
        except Unavailable as error:
            if must_save:
                deployment.change(*before)
                raise
            _log.warning("a function was woken, though it is not saved", function=str(record.ref), why=str(error))

    async def _prepared(self, spec: FunctionSpec) -> tuple[Pinned, Program]:
        """Raises NotFound for the namespace, BadInput for anything that cannot run, before and after it is built."""
        check_name("service", spec.ref.name)
        self._check_namespace(spec.ref.namespace)
        return await self._preparation.prepare(spec)

    def _record(self, spec: FunctionSpec, before: int, after: int, detail: str) -> None:
        """A count that a deployment changed; those that are written are recorded by whoever asks for them."""
        if self._recorder is not None and before != after:
            now, limits = Instant(self._clock.wall()), _policy(spec).limits
            self._recorder.record(Decision(spec.ref, Writer.PERSON, before, after, Reason.MANUAL, detail, now, limits))

    def _status(self, deployment: Deployment[Program], *, usage: bool) -> FunctionStatus:
        return FunctionStatus(
            spec=deployment.record.spec,
            function=self._function(deployment),
            usage=self._fleet.usage_of(deployment.record.ref) if usage else None,
            problem=deployment.explained_problem,
        )

    def _function(self, deployment: Deployment[Program]) -> Function:
        record, spec = deployment.record, deployment.record.spec
        known = Function(
            spec.ref,
            deployment.scale,
            record.labels,
            dict(spec.annotations),
            record.created_at,
            learned_wake=record.learned_wake,
            longest_start_s=record.longest_start_s,
        )
        return ownership.owned(known, self.scalers)

    def _deployment(self, ref: FunctionRef) -> Deployment[Program]:
        try:
            return self._fleet.deployments[ref]
        except KeyError:
            raise NotFound(f"no function {ref.name} in {ref.namespace}") from None

    def _check_namespace(self, name: str) -> None:
        if name not in self._namespaces:
            raise NotFound(f"no namespace {name}")


def _chosen(record: FunctionRecord, to: str | None) -> FunctionVersion:
    """The version to go back to. Raises BadInput when there is none such."""
    there = ", ".join(version.name for version in record.earlier) or "none"
    if to == record.current.name:
        raise BadInput(f"version {to} of {record.ref} is the one that runs; earlier ones: {there}")
    for version in record.earlier:
        if to in (None, version.name):
            return version
    what = f"no version {to[:80]!r} of {record.ref}" if to else f"no earlier version of {record.ref}"
    raise BadInput(f"{what} is kept; earlier ones: {there}")


def _deployed(version: FunctionVersion, *, current: bool) -> DeployedVersion:
    return DeployedVersion(
        name=version.name,
        generation=version.generation,
        image=version.spec.image,
        deployed_at=version.deployed_at,
        code=version.pinned.code,
        current=current,
    )


def _policy(spec: FunctionSpec) -> ScalePolicy:
    return ScalePolicy.from_labels(spec.labels)[0]
