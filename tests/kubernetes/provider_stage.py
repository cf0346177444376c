"""The Kubernetes provider on the emulator, and what its tests ask of both again and again."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from springtide.provider import kubernetes
from springtide.provider.kubernetes import (
    KubernetesDeps,
    KubernetesProvider,
    KubernetesProviderSettings,
    ManifestSettings,
)
from springtide.provider.spec import FunctionSpec
from springtide.runtime.clock import SystemClock
from springtide.runtime.kubernetes.api import KubernetesApi, connected
from springtide.runtime.kubernetes.settings import KubernetesSettings
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.endpoint_stream import FunctionEndpoints, Heartbeat, merge
from tests.kubernetes.emulator import Emulator, EmulatorSettings, Image

T = TypeVar("T")

NAMESPACE = "openfaas-fn"
ECHO = FunctionRef(NAMESPACE, "echo")
NOTHING = "nothing"
"""An image whose pods have no process. Others are watchdogs unless a test says otherwise."""
DEADLINE_S = 120.0


def spec(ref: FunctionRef = ECHO, *, image: str = NOTHING, **changes: Any) -> FunctionSpec:
    return FunctionSpec(ref=ref, image=image, **changes)


@dataclass(frozen=True, slots=True)
class OnCluster:
    cluster: Emulator
    provider: KubernetesProvider
    api: KubernetesApi
    """As somebody else would use it."""

    async def table_when(
        self, wanted: Callable[[FunctionEndpoints], bool], ref: FunctionRef = ECHO
    ) -> FunctionEndpoints:
        """The function as gateways are told, once it is as wanted."""
        table: dict[FunctionRef, FunctionEndpoints] = {}
        async with contextlib.aclosing(self.provider.watch_endpoints()) as events:
            async for event in events:
                table = merge(table, [event])
                if not isinstance(event, Heartbeat) and ref in table and wanted(table[ref]):
                    return table[ref]
        raise AssertionError("the endpoint stream ended")

    async def when_ready(self, count: int, ref: FunctionRef = ECHO) -> FunctionEndpoints:
        return await self.table_when(lambda function: len(function.endpoints) == count, ref)

    async def namespaces(self) -> list[str]:
        return [namespace.name for namespace in await self.provider.namespaces()]

    def deployment(self, name: str = ECHO.name) -> dict[str, Any]:
        found = self.cluster.object("deployments", NAMESPACE, name)
        assert found is not None
        return found


@contextlib.asynccontextmanager
async def on_cluster(
    *,
    cluster: EmulatorSettings | None = None,
    images: dict[str, Image] | None = None,
    provider: KubernetesProviderSettings | None = None,
    manifests: ManifestSettings | None = None,
    access: KubernetesSettings | None = None,
) -> AsyncIterator[OnCluster]:
    known = {NOTHING: Image(process=False), **(images or {})}
    emulator = Emulator(cluster or EmulatorSettings(default_image=Image()), images=known)
    with tempfile.TemporaryDirectory(prefix="springtide-provider-") as folder:
        async with emulator, contextlib.AsyncExitStack() as stack:
            kubeconfig = emulator.write_kubeconfig(Path(folder) / "kubeconfig", token="provider")
            settings = access or KubernetesSettings(kube_deadline_s=5.0)
            ours = KubernetesSettings(kubeconfig=str(kubeconfig), kube_deadline_s=settings.kube_deadline_s)
            api = await stack.enter_async_context(connected(ours))
            other = await stack.enter_async_context(connected(KubernetesSettings(kubeconfig=str(kubeconfig))))
            deps = KubernetesDeps(api=api, clock=SystemClock(), manifests=manifests or ManifestSettings())
            made = kubernetes.build(provider or KubernetesProviderSettings(function_linger_s=0.0), deps)
            stack.push_async_callback(made.stop)
            await made.start()
            yield OnCluster(emulator, made, other)


async def eventually(look: Callable[[], Awaitable[T]], true: Callable[[T], Any]) -> T:
    """What ``look`` finds, once it is as wanted; for what nobody can be told of."""
    while not true(found := await look()):  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)
    return found
