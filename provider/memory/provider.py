"""MemoryProvider: every Protocol of ``provider.ports`` over plain dictionaries."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from springtide.provider.bounds import check_learned_wake, kept_start
from springtide.provider.endpoint_feed import EndpointFeed
from springtide.provider.memory.logs import LogBuffer
from springtide.provider.memory.replicas import ReplicaSet, StartReplica, StopReplica
from springtide.provider.ports import DeployedVersion, LogLine, LogQuery, Namespace, ProviderInfo
from springtide.provider.spec import (
    FunctionSpec,
    FunctionStatus,
    Usage,
    check_namespace,
    check_secret_name,
    missing_secrets,
)
from springtide.runtime.clock import SystemClock
from springtide.runtime.errors import AlreadyExists, BadInput, Conflict, NotFound, Unsupported
from springtide.scaler.core import call_timeout, ownership
from springtide.scaler.core.ownership import Scalers
from springtide.scaler.core.policy import MAX_REPLICAS, ScalePolicy, initial_replicas, updated_replicas
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE, Decision, Function, FunctionRef, Instant, NoData, Scale
from springtide.wire.endpoint_stream import Event, FunctionEndpoints
from springtide.wire.processor_use import ProcessorUse


@dataclass(slots=True, eq=False)
class _Held:
    """One function. ``version`` moves with every write, and no two functions ever share one."""

    spec: FunctionSpec
    created_at: Instant
    version: str
    replicas: ReplicaSet
    logs: LogBuffer = field(default_factory=LogBuffer)
    learned_wake: int | None = None
    changed_at: Instant | None = None
    longest_start_s: float | None = None

    @property
    def labels(self) -> dict[str, str]:
        return {**self.spec.labels, "faas_function": self.spec.ref.name}

    @property
    def scale(self) -> Scale:
        return Scale(self.replicas.wanted, len(self.replicas.endpoints), self.version)


class MemoryProvider:
    """Functions in memory. Everything is done when a method returns, but for replicas that take time to start."""

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        start_replica: StartReplica | None = None,
        stop_replica: StopReplica | None = None,
        measure: Callable[[FunctionRef], Usage | None] | None = None,
        use: Callable[[FunctionRef], ProcessorUse] | None = None,
        default_namespace: str = DEFAULT_NAMESPACE,
        scalers: Scalers | None = None,
    ) -> None:
        """``start_replica`` None: ready at once, at an address nobody serves. ``measure`` answers ``usage``,
        ``use`` says what a function uses of the processors.
        """
        self._clock: Clock = clock or SystemClock()
        self._start, self._stop, self._measure, self._use = start_replica, stop_replica, measure, use
        self._default_namespace = default_namespace
        self.scalers = scalers or Scalers()
        self._namespaces = {default_namespace: Namespace(default_namespace)}
        self._secrets: dict[str, dict[str, bytes]] = {default_namespace: {}}
        self._functions: dict[FunctionRef, _Held] = {}
        self._feed = EndpointFeed(self.scalers)
        self._versions, self._serial = itertools.count(1), itertools.count(1)
        self._closing: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<MemoryProvider {len(self._functions)} functions in {len(self._namespaces)} namespaces>"

    @property
    def info(self) -> ProviderInfo:
        return ProviderInfo("springtide-memory", "memory")

    async def aclose(self) -> None:
        """Retire every replica and wait for it. The provider is empty afterwards."""
        for ref in list(self._functions):
            self._forget(ref)
        if self._closing:
            await asyncio.wait(self._closing)

    # Catalog and scale.

    async def list_functions(self) -> Sequence[Function]:
        return [self._function(self._functions[ref]) for ref in sorted(self._functions)]

    async def read(self, ref: FunctionRef) -> Function:
        return self._function(self._held(ref))

    async def write(
        self,
        ref: FunctionRef,
        replicas: int,
        *,
        expect: str | None,
        decision: Decision | None,  # noqa: ARG002 - whoever serves the provider keeps the decision log
    ) -> Scale:
        held = self._held(ref)
        if not 0 <= replicas <= MAX_REPLICAS:
            raise BadInput(f"replicas: {replicas} is out of range; ask for 0 to {MAX_REPLICAS}")
        if expect not in (None, held.version):
            raise Conflict(f"{ref}: version is {held.version}, not {expect}; read again and decide anew")
        if replicas != held.replicas.wanted:
            held.version = self._next_version()
            held.replicas.scale(replicas)
        return held.scale

    async def keep_wake(self, ref: FunctionRef, replicas: int) -> None:
        held = self._held(ref)
        check_learned_wake(replicas)
        held.learned_wake = replicas
        self._publish(ref, held.replicas)

    async def keep_start(self, ref: FunctionRef, longest_s: float) -> None:
        held = self._held(ref)
        held.longest_start_s = kept_start(longest_s)
        self._publish(ref, held.replicas)

    # Functions come and go.

    async def deploy(self, spec: FunctionSpec) -> None:
        self._check_references(spec)
        if spec.ref in self._functions:
            await self.update(spec)
            return
        replicas = ReplicaSet(
            spec.ref,
            start=self._start,
            stop=self._stop,
            changed=lambda: self._publish(spec.ref, replicas),
            serial=self._serial,
        )
        created_at = Instant(self._clock.wall())
        self._functions[spec.ref] = _Held(spec, created_at, self._next_version(), replicas)
        replicas.scale(initial_replicas(_policy(spec)))

    async def update(self, spec: FunctionSpec) -> None:
        held = self._held(spec.ref)
        self._check_references(spec)
        held.spec = spec
        held.changed_at = Instant(self._clock.wall())
        held.version = self._next_version()
        held.replicas.roll(updated_replicas(_policy(spec), held.replicas.wanted))

    async def versions(self, ref: FunctionRef) -> Sequence[DeployedVersion]:
        self._held(ref)
        raise Unsupported("functions in memory have no earlier versions; deploy the one you want")

    async def rollback(self, ref: FunctionRef, to: str | None = None) -> DeployedVersion:  # noqa: ARG002 - the port's
        self._held(ref)
        raise Unsupported("functions in memory have no earlier versions; deploy the one you want")

    async def delete(self, ref: FunctionRef) -> None:
        self._held(ref)
        self._forget(ref)

    async def status(self, ref: FunctionRef, *, usage: bool = False) -> FunctionStatus:
        held = self._held(ref)
        measured = self._measure(ref) if usage and self._measure is not None else None
        function = self._function(held)
        return FunctionStatus(spec=held.spec, function=function, usage=measured, problem=held.replicas.problem)

    async def statuses(self, namespace: str) -> Sequence[FunctionStatus]:
        self._check_namespace(namespace)
        return [await self.status(ref) for ref in sorted(self._functions) if ref.namespace == namespace]

    async def processor_use(self) -> Mapping[FunctionRef, ProcessorUse]:
        use = self._use or (lambda _: NoData("nothing runs here that could be measured"))
        return {ref: use(ref) for ref in self._functions}

    async def memory_use(self) -> Mapping[FunctionRef, float]:
        measured = {ref: self._measure(ref) for ref in self._functions} if self._measure is not None else {}
        return {ref: usage.memory_bytes for ref, usage in measured.items() if usage is not None}

    # Secrets.

    async def secret_names(self, namespace: str) -> Sequence[str]:
        return sorted(self._secrets_of(namespace))

    async def put_secret(self, namespace: str, name: str, value: bytes, *, replace: bool) -> None:
        check_secret_name(name)
        secrets = self._secrets_of(namespace)
        _check_presence(f"secret {name} in {namespace}", there=name in secrets, replace=replace)
        secrets[name] = value

    async def delete_secret(self, namespace: str, name: str) -> None:
        if self._secrets_of(namespace).pop(name, None) is None:
            raise NotFound(f"no secret {name} in {namespace}")

    async def read_secret(self, namespace: str, name: str) -> bytes:
        return self.secret_value(namespace, check_secret_name(name))

    def secret_value(self, namespace: str, name: str) -> bytes:
        """For whatever stands in for replicas."""
        try:
            return self._secrets_of(namespace)[name]
        except KeyError:
            raise NotFound(f"no secret {name} in {namespace}") from None

    # Namespaces.

    async def namespaces(self) -> Sequence[Namespace]:
        return [self._namespaces[name] for name in sorted(self._namespaces)]

    async def put_namespace(self, namespace: Namespace, *, replace: bool) -> None:
        check_namespace(namespace.name, namespace.labels, namespace.annotations)
        _check_presence(f"namespace {namespace.name}", there=namespace.name in self._namespaces, replace=replace)
        self._namespaces[namespace.name] = namespace
        self._secrets.setdefault(namespace.name, {})

    async def delete_namespace(self, name: str) -> None:
        self._check_namespace(name)
        if name == self._default_namespace:
            raise BadInput(f"namespace {name} is the default one and stays")
        for ref in [ref for ref in self._functions if ref.namespace == name]:
            await self.delete(ref)
        del self._namespaces[name], self._secrets[name]

    # Logs and endpoints.

    def logs(self, query: LogQuery) -> AsyncGenerator[LogLine, None]:
        return self._held(query.ref).logs.read(query)

    def write_log(self, ref: FunctionRef, instance: str, text: str) -> None:
        """A replica said something. A line of a function that is gone is dropped."""
        held = self._functions.get(ref)
        if held is not None:
            held.logs.append(LogLine(ref, instance, Instant(self._clock.wall()), text))

    def lose_replica(self, ref: FunctionRef, instance: str) -> None:
        """A replica ended by itself; another is started in its place."""
        self._held(ref).replicas.lose(instance)

    def watch_endpoints(self) -> AsyncGenerator[Event, None]:
        return self._feed.watch()

    def _function(self, held: _Held) -> Function:
        spec = held.spec
        known = Function(
            spec.ref,
            held.scale,
            held.labels,
            dict(spec.annotations),
            held.created_at,
            learned_wake=held.learned_wake,
            longest_start_s=held.longest_start_s,
        )
        return ownership.owned(known, self.scalers)

    def _held(self, ref: FunctionRef) -> _Held:
        try:
            return self._functions[ref]
        except KeyError:
            raise NotFound(f"no function {ref.name} in {ref.namespace}") from None

    def _forget(self, ref: FunctionRef) -> None:
        held = self._functions.pop(ref)
        self._feed.remove(ref)
        held.logs.close()
        closing = asyncio.create_task(held.replicas.close(), name=f"close {ref}")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    def _next_version(self) -> str:
        return str(next(self._versions))

    def _publish(self, ref: FunctionRef, replicas: ReplicaSet) -> None:
        held = self._functions.get(ref)
        if held is None or held.replicas is not replicas:
            return  # The last replicas of a deleted function, or of one deployed anew since.
        self._feed.publish(
            FunctionEndpoints(
                ref=ref,
                replicas=replicas.wanted,
                version=held.version,
                endpoints=replicas.endpoints,
                labels=held.labels,
                problem=replicas.problem,
                annotations=held.spec.annotations,
                timeout=call_timeout.of_function(held.spec.annotations, held.spec.env_vars),
                learned_wake=held.learned_wake,
                created_at=held.created_at,
                changed_at=held.changed_at,
                longest_start_s=held.longest_start_s,
            )
        )

    def _check_references(self, spec: FunctionSpec) -> None:
        """BadInput naming every secret that is missing; NotFound for the namespace."""
        secrets = self._secrets_of(spec.ref.namespace)
        missing = [name for name in spec.secrets if name not in secrets]
        if missing:
            raise missing_secrets(missing, spec.ref.namespace)

    def _check_namespace(self, name: str) -> None:
        if name not in self._namespaces:
            raise NotFound(f"no namespace {name}")

    def _secrets_of(self, namespace: str) -> dict[str, bytes]:
        self._check_namespace(namespace)
        return self._secrets[namespace]


def _policy(spec: FunctionSpec) -> ScalePolicy:
    return ScalePolicy.from_labels(spec.labels)[0]


def _check_presence(what: str, *, there: bool, replace: bool) -> None:
    if there and not replace:
        raise AlreadyExists(f"{what} exists already")
    if replace and not there:
        raise NotFound(f"no {what}")
