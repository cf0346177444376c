"""KubernetesProvider: every Protocol of ``provider.ports`` over a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace as changed

from springtide.provider.bounds import check_learned_wake, kept_start
from springtide.provider.endpoint_feed import EndpointFeed
from springtide.provider.kubernetes.cluster import Cluster
from springtide.provider.kubernetes.deployer import FunctionDeployer
from springtide.provider.kubernetes.endpoint_publisher import EndpointPublisher, Patience
from springtide.provider.kubernetes.events import ScalingEvents
from springtide.provider.kubernetes.inventory import Inventory
from springtide.provider.kubernetes.logs import PodLogs
from springtide.provider.kubernetes.manifests.keys import LEARNED_WAKE, LONGEST_START
from springtide.provider.kubernetes.manifests.settings import ManifestSettings
from springtide.provider.kubernetes.namespaces import MarkedNamespaces, OneNamespace
from springtide.provider.kubernetes.operator.function_writer import FunctionWriter
from springtide.provider.kubernetes.pod_load import usage_of
from springtide.provider.kubernetes.processor_use import processor_use
from springtide.provider.kubernetes.readiness import ReadinessProber
from springtide.provider.kubernetes.restarts import Restarts
from springtide.provider.kubernetes.scaling import ReplicaScaler
from springtide.provider.kubernetes.secrets import Secrets, SecretValues
from springtide.provider.kubernetes.server_side_apply import ReferenceReader
from springtide.provider.kubernetes.settings import SERVICE, KubernetesProviderSettings
from springtide.provider.kubernetes.views import DeploymentView
from springtide.provider.ports import DeployedVersion, LogLine, LogQuery, Namespace, ProviderInfo
from springtide.provider.spec import FunctionSpec, FunctionStatus, check_name, check_namespace
from springtide.runtime.errors import NotFound, Unsupported
from springtide.runtime.keyed_locks import KeyedLocks
from springtide.runtime.kubernetes.api import KubernetesApi
from springtide.runtime.kubernetes.resources import DEPLOYMENTS
from springtide.scaler.core import ownership
from springtide.scaler.core.ownership import Scalers
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.ports import Clock, Recorder
from springtide.scaler.core.vocabulary import Decision, Function, FunctionRef, Instant, Reason, Scale, Writer
from springtide.wire.endpoint_stream import Event
from springtide.wire.processor_use import ProcessorUse


class KubernetesProvider:
    """Reads from caches, writes to the API server; one at a time writes to one function."""

    name = "provider"

    def __init__(
        self,
        settings: KubernetesProviderSettings,
        manifests: ManifestSettings,
        *,
        api: KubernetesApi,
        clock: Clock,
        recorder: Recorder | None,
        scalers: Scalers,
    ) -> None:
        self.scalers = scalers
        through_service = settings.function_addresses == SERVICE
        self._settings, self._api = settings, api
        self._clock, self._recorder = clock, recorder
        self._feed, self._locks = EndpointFeed(scalers), KeyedLocks[FunctionRef | str]()
        self._cluster = Cluster(api, services=through_service)
        self._prober = ReadinessProber(
            clock=clock, pause_s=settings.ready_ask_interval_s, most_s=settings.ready_ask_most_s
        )
        # A Service passes nothing on to a pod that Kubernetes does not call ready.
        prober = self._prober if settings.ready_ask_most_s and not through_service else None
        self._restarts = Restarts(api, changed=self._cluster.tell)
        self._publisher = EndpointPublisher(
            self._cluster,
            self._feed,
            prober=prober,
            stopped=self._restarts.why,
            clock=clock,
            patience=Patience(early_s=settings.ready_early_most_s, unschedulable_s=settings.unschedulable_most_s),
        )
        self._cluster.listener = self._publisher.changed
        self._scaler = ReplicaScaler(api, self._publisher, linger_s=settings.function_linger_s)
        references = ReferenceReader(api, profiles_namespace=settings.profiles_namespace or settings.default_namespace)
        self._objects = FunctionDeployer(api, self._scaler, references=references, manifests=manifests, clock=clock)
        self._deployer: FunctionDeployer | FunctionWriter = self._objects
        if settings.operator:
            self._deployer = FunctionWriter(api, references, self._objects)
        self._secrets = Secrets(api)
        self._secret_values = SecretValues(self._secrets, clock)
        self._logs = PodLogs(api, self._cluster, most_pods=settings.log_pods)
        self._events = ScalingEvents(api) if settings.scaling_events else None
        self._marked: MarkedNamespaces | None = None
        if settings.cluster_role:
            self._marked = MarkedNamespaces(api, settings.default_namespace, changed=self._follow_namespaces)
        self._namespaces = self._marked or OneNamespace(settings.default_namespace)
        self._watching: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<KubernetesProvider {self._feed!r} {self._prober!r} {self._cluster!r}>"

    @property
    def info(self) -> ProviderInfo:
        return ProviderInfo("springtide-kubernetes", "kubernetes")

    # Service.

    async def start(self) -> None:
        """Returns once everything there is has been seen. Raises Unavailable when the API server does not list it."""
        deadline_s = self._settings.kube_sync_s
        if self._marked is not None:
            self._watching = asyncio.create_task(self._marked.cache.run(), name="namespaces")
            self._watching.add_done_callback(self._cluster.ended)
            await self._marked.wait_synced(deadline_s)
        self._follow_namespaces()
        await self._cluster.wait_synced(deadline_s)
        await self._objects.learn_version()
        if self._events is not None:
            self._events.start()

    async def stop(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        if self._events is not None:
            await self._events.stop()
        await self._cluster.stop()
        await self._prober.aclose()
        await self._restarts.aclose()
        self._publisher.close()

    async def wait(self) -> None:
        """Raises what ended a cache, which should go on for ever."""
        await self._cluster.wait()

    # Catalog and scale.

    async def list_functions(self) -> Sequence[Function]:
        found = sorted((function for each in self._cluster for function in each.functions()), key=lambda it: it.ref)
        return [self._function(function) for function in found]

    async def read(self, ref: FunctionRef) -> Function:
        return self._function(self._existing(ref))

    async def write(self, ref: FunctionRef, replicas: int, *, expect: str | None, decision: Decision | None) -> Scale:
        async with self._locks.of(ref):
            before = self._cluster.function(ref)
            function = await self._scaler.write(self._inventory(ref.namespace), ref.name, replicas, expect=expect)
            if before is not None:
                self._tell(decision or self._by_a_person(ref, before.desired, replicas, "asked for"), function)
            return self._scaler.scale(function)

    async def keep_wake(self, ref: FunctionRef, replicas: int) -> None:
        check_learned_wake(replicas)
        async with self._locks.of(ref):
            if self._existing(ref).learned_wake != replicas:
                await self._label(ref, LEARNED_WAKE, str(replicas))

    async def keep_start(self, ref: FunctionRef, longest_s: float) -> None:
        kept_s = kept_start(longest_s)
        async with self._locks.of(ref):
            if self._existing(ref).longest_start_s != kept_s:
                await self._label(ref, LONGEST_START, f"{kept_s:.1f}")

    # Functions come and go.

    async def deploy(self, spec: FunctionSpec) -> None:
        inventory = self._inventory(check_name("namespace", spec.ref.namespace))
        async with self._locks.of(spec.ref):
            self._record(spec, await self._deployer.deploy(inventory, spec), "deployed")

    async def update(self, spec: FunctionSpec) -> None:
        inventory = self._inventory(spec.ref.namespace)
        async with self._locks.of(spec.ref):
            self._record(spec, await self._deployer.update(inventory, spec), "updated")

    async def versions(self, ref: FunctionRef) -> Sequence[DeployedVersion]:
        raise Unsupported(
            f"versions are kept by Kubernetes: kubectl -n {ref.namespace} rollout history deployment/{ref.name}"
        )

    async def rollback(self, ref: FunctionRef, to: str | None = None) -> DeployedVersion:  # noqa: ARG002 - the port's
        raise Unsupported(
            f"versions are kept by Kubernetes: kubectl -n {ref.namespace} rollout undo deployment/{ref.name}"
        )

    async def delete(self, ref: FunctionRef) -> None:
        inventory = self._inventory(ref.namespace)
        async with self._locks.of(ref):
            await self._deployer.delete(inventory, ref)

    async def status(self, ref: FunctionRef, *, usage: bool = False) -> FunctionStatus:
        status = self._status(self._existing(ref))
        if not usage:
            return status
        return changed(status, usage=await usage_of(self._api, ref))

    async def statuses(self, namespace: str) -> Sequence[FunctionStatus]:
        found = sorted(self._inventory(namespace).functions(), key=lambda function: function.ref)
        return [self._status(function) for function in found]

    async def processor_use(self) -> Mapping[FunctionRef, ProcessorUse]:
        return await processor_use(self._api, self._cluster, Instant(self._clock.wall()))

    async def memory_use(self) -> Mapping[FunctionRef, float]:
        """Of none: what is short is the memory of a node, and the scheduler and the kubelet look after that."""
        return {}

    # Secrets.

    async def secret_names(self, namespace: str) -> Sequence[str]:
        self._inventory(namespace)
        return await self._secrets.names(namespace)

    async def put_secret(self, namespace: str, name: str, value: bytes, *, replace: bool) -> None:
        self._inventory(namespace)
        if replace:
            await self._secrets.replace(namespace, name, value)
        else:
            await self._secrets.create(namespace, name, value)

    async def read_secret(self, namespace: str, name: str) -> bytes:
        self._inventory(namespace)
        return await self._secret_values.read(namespace, name)

    async def delete_secret(self, namespace: str, name: str) -> None:
        self._inventory(namespace)
        await self._secrets.delete(namespace, name)

    # Namespaces.

    async def namespaces(self) -> Sequence[Namespace]:
        return self._namespaces.all()

    async def put_namespace(self, namespace: Namespace, *, replace: bool) -> None:
        check_namespace(namespace.name, namespace.labels, namespace.annotations)
        async with self._locks.of(namespace.name):
            await self._namespaces.put(namespace, replace=replace)
            # Whoever created it may deploy into it next, and expects to see that.
            await self._inventory(namespace.name).wait_synced(self._settings.kube_sync_s)

    async def delete_namespace(self, name: str) -> None:
        """Kubernetes takes its functions and secrets away with it; a namespace of that name may come again then."""
        async with self._locks.of(name):
            await self._namespaces.delete(name)

    # Logs and endpoints.

    async def logs(self, query: LogQuery) -> AsyncGenerator[LogLine, None]:
        self._existing(query.ref)
        async with aclosing(self._logs.lines(query)) as lines:
            async for line in lines:
                yield line

    def watch_endpoints(self) -> AsyncGenerator[Event, None]:
        return self._feed.watch()

    # Inside.

    def _follow_namespaces(self) -> None:
        self._cluster.use(namespace.name for namespace in self._namespaces.all())

    def _inventory(self, namespace: str) -> Inventory:
        return self._cluster.of(namespace)

    def _existing(self, ref: FunctionRef) -> DeploymentView:
        function = self._inventory(ref.namespace).function(ref.name)
        if function is None:
            raise NotFound(f"no function {ref.name} in {ref.namespace}")
        return function

    async def _label(self, ref: FunctionRef, key: str, value: str) -> None:
        patch = {"metadata": {"labels": {key: value}}}
        written = await self._api.merge_patch(DEPLOYMENTS, ref.name, patch, namespace=ref.namespace)
        self._inventory(ref.namespace).observe(written)

    def _function(self, function: DeploymentView) -> Function:
        scale = self._scaler.scale(function)
        known = Function(
            function.ref,
            scale,
            function.labels,
            function.spec.annotations,
            function.created_at,
            learned_wake=function.learned_wake,
            longest_start_s=function.longest_start_s,
        )
        return ownership.owned(known, self.scalers)

    def _status(self, function: DeploymentView) -> FunctionStatus:
        ref, problem = function.ref, None
        if function.desired:
            problem = self._publisher.problem(ref) or self._publisher.delay(ref)
        return FunctionStatus(spec=function.spec, function=self._function(function), problem=problem)

    def _record(self, spec: FunctionSpec, counts: tuple[int, int], detail: str) -> None:
        """A count that a deployment changed; those that are written are recorded by whoever asks for them."""
        limits = ScalePolicy.from_labels(spec.labels)[0].limits
        decision = changed(self._by_a_person(spec.ref, *counts, detail), inputs=limits)
        function = self._cluster.function(spec.ref)
        if decision.changes and self._recorder is not None:
            self._recorder.record(decision)
        if function is not None:
            self._tell(decision, function)

    def _tell(self, decision: Decision, function: DeploymentView) -> None:
        if self._events is not None and decision.changes:
            self._events.tell(decision, function.uid)

    def _by_a_person(self, ref: FunctionRef, before: int, after: int, detail: str) -> Decision:
        return Decision(ref, Writer.PERSON, before, after, Reason.MANUAL, detail, Instant(self._clock.wall()))
