"""A cluster with the shipped definitions and a running operator, and people who work on it with kubectl."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml
from prometheus_client import CollectorRegistry

from springtide.provider.kubernetes.manifests.settings import ManifestSettings
from springtide.provider.kubernetes.operator import Operator, OperatorDeps, OperatorSettings, build
from springtide.runtime.clock import SystemClock
from springtide.runtime.kubernetes.api import KubernetesApi, connected
from springtide.runtime.kubernetes.settings import KubernetesSettings
from springtide.scaler.core.ownership import Scalers
from springtide.scaler.core.ports import Leadership
from springtide.wire.leadership import Always
from tests.kubernetes.emulator import Emulator, EmulatorSettings, Image

CRDS = Path(__file__).parents[3] / "deploy" / "crds"
NAMESPACE = "openfaas-fn"
DEADLINE_S = 120.0
QUICK = OperatorSettings(operator_retry_most_s=1.0, kube_sync_s=5.0)
WITH_SCALER = Scalers(hpa=True, loop=True)
Json = dict[str, Any]


@dataclass(slots=True)
class Person:
    """Somebody with kubectl: each request goes by a field manager of its own."""

    url: str
    http: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(trust_env=False))

    async def edit(self, path: str, patch: Json, *, manager: str = "kubectl-edit", subresource: str = "") -> Json:
        """A merge patch of ``path``, such as ``apps/v1/deployments/echo``."""
        answer = await self.http.patch(
            self._target(path) + (f"/{subresource}" if subresource else ""),
            params={"fieldManager": manager, "fieldValidation": "Strict"},
            json=patch,
            headers={"Content-Type": "application/merge-patch+json"},
        )
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def delete(self, path: str) -> None:
        answer = await self.http.delete(self._target(path))
        assert answer.status_code in (200, 202), answer.text

    def _target(self, path: str) -> str:
        *group, resource, name = path.split("/")
        prefix = "apis" if len(group) > 1 else "api"
        return f"{self.url}/{prefix}/{'/'.join(group)}/namespaces/{NAMESPACE}/{resource}/{name}"


@dataclass(slots=True)
class Place:
    cluster: Emulator
    api: KubernetesApi
    operator: Operator
    person: Person

    async def until(self, resource: str, true: Callable[[Json], Any], name: str = "echo") -> Json:
        """An object of a resource as soon as ``true`` of it."""

        def found(objects: list[Json]) -> bool:
            return any(item["metadata"]["name"] == name and true(item) for item in objects)

        objects = await self.cluster.until(resource, found, namespace=NAMESPACE)
        return next(item for item in objects if item["metadata"]["name"] == name)

    async def until_gone(self, resource: str, name: str = "echo") -> None:
        await self.cluster.until(
            resource, lambda found: name not in [item["metadata"]["name"] for item in found], namespace=NAMESPACE
        )

    def object(self, resource: str, name: str = "echo") -> Json | None:
        return self.cluster.object(resource, NAMESPACE, name)


def condition(value: Json, kind: str) -> Json:
    found: list[Json] = (value.get("status") or {}).get("conditions") or []
    return next((item for item in found if item["type"] == kind), {})


def is_true(kind: str, *, generation: int = 1) -> Callable[[Json], bool]:
    """Once the operator says so of this generation or a later one."""
    return lambda value: (
        condition(value, kind).get("status") == "True" and value["status"]["observedGeneration"] >= generation
    )


def is_applied(*, generation: int = 1) -> Callable[[Json], bool]:
    """Once all of it is written; pods follow."""
    return lambda value: (
        (value.get("status") or {}).get("observedGeneration", 0) >= generation
        and condition(value, "Stalled")["status"] == "False"
        and condition(value, "Reconciling")["reason"] != "Retrying"
    )


def function(name: str = "echo", **spec: Any) -> Json:
    return {
        "apiVersion": "openfaas.com/v1",
        "kind": "Function",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"name": name, "image": "ghcr.io/example/echo:1", **spec},
    }


def shipped_definitions() -> list[Json]:
    return [dict(yaml.safe_load(file.read_text())) for file in sorted(CRDS.glob("*.yaml"))]


@asynccontextmanager
async def a_cluster(*, cpu_millis: float = 0.0, **settings: Any) -> AsyncIterator[tuple[Emulator, KubernetesApi]]:
    """Pods are objects only, and ready at once; each uses ``cpu_millis``."""
    with tempfile.TemporaryDirectory() as folder:
        emulator = Emulator(EmulatorSettings(default_image=Image(process=False, cpu_millis=cpu_millis), **settings))
        async with emulator as cluster:
            for definition in shipped_definitions():
                cluster.create(definition)
            config = cluster.write_kubeconfig(Path(folder) / "kubeconfig")
            async with connected(KubernetesSettings(kubeconfig=str(config))) as api:
                yield cluster, api


@asynccontextmanager
async def operating(*, scalers: Scalers = WITH_SCALER, **settings: Any) -> AsyncIterator[Place]:
    async with a_cluster(**settings) as (cluster, api):
        operator = an_operator(api, scalers=scalers)
        person = Person(cluster.url)
        await operator.start()
        try:
            yield Place(cluster, api, operator, person)
        finally:
            await operator.stop()
            await person.http.aclose()


def an_operator(
    api: KubernetesApi,
    *,
    leadership: Leadership | None = None,
    manifests: ManifestSettings | None = None,
    scalers: Scalers = WITH_SCALER,
) -> Operator:
    """The only copy there is, unless it is told by whom it is led."""
    deps = OperatorDeps(
        api=api,
        clock=SystemClock(),
        leadership=leadership or Always(),
        registry=CollectorRegistry(),
        manifests=manifests or ManifestSettings(),
        scalers=scalers,
        namespaces=[NAMESPACE],
        profiles_namespace="openfaas",
    )
    return build(QUICK, deps)
