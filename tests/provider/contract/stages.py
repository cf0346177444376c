"""The providers that the contract is tested against, each opened anew for every test."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
from prometheus_client import CollectorRegistry

from springtide.provider import kubernetes
from springtide.provider.api import ProviderApiDeps, ProviderApiSettings, build
from springtide.provider.kubernetes import KubernetesDeps, KubernetesProviderSettings, ManifestSettings
from springtide.provider.memory import MemoryProvider, ready_after
from springtide.provider.ports import Provider
from springtide.provider.process import service as process
from springtide.provider.process.service import ProcessDeps
from springtide.provider.process.settings import ProcessSettings
from springtide.provider.routing.provider import RoutingProvider
from springtide.provider.spec import FunctionSpec
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.clock import SystemClock
from springtide.runtime.kubernetes.api import connected
from springtide.runtime.kubernetes.settings import KubernetesSettings
from springtide.scaler.core.ownership import Scalers
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE, FunctionRef
from tests.container_engine import podman_of_the_session
from tests.container_provider import containers_of, sides_of
from tests.kubernetes.emulator import Emulator, EmulatorSettings, Image
from tests.provider.contract.acts import when_ready
from tests.provider.contract.rest_provider import RestProvider

SCALERS = Scalers(loop=True)


@dataclass(frozen=True, slots=True)
class Stage:
    """A provider under test, and a way to make one of its replicas log a line."""

    provider: Provider
    say: Callable[[FunctionRef, str], Awaitable[None]]


Opened = Callable[[], AbstractAsyncContextManager[Stage]]


def speaker(memory: MemoryProvider) -> Callable[[FunctionRef, str], Awaitable[None]]:
    async def say(ref: FunctionRef, text: str) -> None:
        memory.write_log(ref, "replica-1", text)

    return say


def caller(provider: Provider) -> Callable[[FunctionRef, str], Awaitable[None]]:
    """For functions that copy their input to their log."""

    async def say(ref: FunctionRef, text: str) -> None:
        endpoint = (await when_ready(provider, 1, ref)).endpoints[0]
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.post(f"http://{endpoint.host}:{endpoint.port}/", content=f"{text}\n")
        assert answer.status_code == 200, answer.text

    return say


@asynccontextmanager
async def in_memory() -> AsyncIterator[Stage]:
    memory = MemoryProvider(scalers=SCALERS)
    yield Stage(memory, speaker(memory))
    await memory.aclose()


@asynccontextmanager
async def slow_in_memory() -> AsyncIterator[Stage]:
    """Replicas that become ready only after others have run."""
    memory = MemoryProvider(start_replica=ready_after(0.0), scalers=SCALERS)
    yield Stage(memory, speaker(memory))
    await memory.aclose()


@asynccontextmanager
async def over_rest() -> AsyncIterator[Stage]:
    memory = MemoryProvider(scalers=SCALERS)
    credentials = Credentials("admin", "s3cret")
    api = build(ProviderApiSettings(port=0), ProviderApiDeps(provider=memory, credentials=credentials))
    await api.start()
    client = RestProvider(f"http://127.0.0.1:{api.port}", credentials)
    try:
        await client.learn_info()
        yield Stage(client, speaker(memory))
    finally:
        await client.aclose()
        await api.stop()
        await memory.aclose()


@asynccontextmanager
async def as_processes() -> AsyncIterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="springtide-contract-") as folder:
        settings = ProcessSettings(state_dir=Path(folder), grace_s=5.0, linger_s=0.0)
        provider = process.build(
            settings, ProcessDeps(clock=SystemClock(), registry=CollectorRegistry(), scalers=SCALERS)
        )
        await provider.start()
        try:
            yield Stage(provider, caller(provider))
        finally:
            await provider.stop()


@asynccontextmanager
async def as_containers() -> AsyncIterator[Stage]:
    podman = podman_of_the_session()
    with tempfile.TemporaryDirectory(prefix="springtide-contract-") as folder:
        async with containers_of(podman, Path(folder)) as provider:
            yield Stage(provider, caller(provider))


@asynccontextmanager
async def in_two_memories() -> AsyncIterator[Stage]:
    """Behind one provider: functions whose namespace is not the default one are on the other side."""
    processes, containers = MemoryProvider(scalers=SCALERS), MemoryProvider(scalers=SCALERS)
    routing = RoutingProvider(processes, containers, _of_the_default_namespace)

    async def say(ref: FunctionRef, text: str) -> None:
        side = processes if ref.namespace == DEFAULT_NAMESPACE else containers
        side.write_log(ref, "replica-1", text)

    yield Stage(routing, say)
    await processes.aclose()
    await containers.aclose()


def _of_the_default_namespace(spec: FunctionSpec) -> bool:
    return spec.ref.namespace == DEFAULT_NAMESPACE


@asynccontextmanager
async def as_processes_beside_containers() -> AsyncIterator[Stage]:
    """Functions whose namespace is not the default one are containers, which take ten times as long to start."""
    podman = podman_of_the_session()
    with tempfile.TemporaryDirectory(prefix="springtide-contract-") as folder:
        async with sides_of(podman, Path(folder), _of_the_default_namespace) as sides:
            yield Stage(sides.provider, caller(sides.provider))


@asynccontextmanager
async def on_kubernetes() -> AsyncIterator[Stage]:
    """Pods are processes with addresses of their own."""
    cluster = Emulator(EmulatorSettings(default_image=Image()))
    with tempfile.TemporaryDirectory(prefix="springtide-contract-") as folder:
        async with cluster:
            kubeconfig = Path(folder) / "kubeconfig"
            cluster.write_kubeconfig(kubeconfig)
            async with on_cluster(KubernetesSettings(kubeconfig=str(kubeconfig))) as provider:
                yield Stage(provider, caller(provider))


@asynccontextmanager
async def on_cluster(settings: KubernetesSettings) -> AsyncIterator[Provider]:
    async with connected(settings) as api:
        deps = KubernetesDeps(
            api=api, clock=SystemClock(), manifests=ManifestSettings(), scalers=replace(SCALERS, hpa=True)
        )
        provider = kubernetes.build(KubernetesProviderSettings(cluster_role=True, function_linger_s=0.0), deps)
        try:
            await provider.start()
            yield provider
        finally:
            await provider.stop()


STAGES: dict[str, Opened] = {
    "memory": in_memory,
    "memory, replicas start later": slow_in_memory,
    "memory over REST": over_rest,
    "processes": as_processes,
    "containers": as_containers,
    "memories, one of them for containers": in_two_memories,
    "processes beside containers": as_processes_beside_containers,
    "Kubernetes": on_kubernetes,
}
