"""What tests of the emulator share: a running one with an HTTP client, and manifests to send it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.kubernetes.emulator import Emulator, EmulatorSettings, Image

DEADLINE_S = 120.0
"""So that a test that would hang fails; no test waits for it."""

NAMESPACE = "openfaas-fn"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"

NO_PROCESS = Image(process=False)

Manifest = dict[str, Any]


class Cluster:
    """The emulator and a client of its HTTP side."""

    def __init__(self, emulator: Emulator, http: httpx.AsyncClient) -> None:
        self.emulator, self.http = emulator, http

    async def get(self, path: str, **query: str) -> httpx.Response:
        return await self.http.get(path, params=query)

    async def post(self, path: str, body: Manifest, **query: str) -> httpx.Response:
        return await self.http.post(path, json=body, params={"fieldValidation": "Strict", **query})

    async def put(self, path: str, body: Manifest, **query: str) -> httpx.Response:
        return await self.http.put(path, json=body, params={"fieldValidation": "Strict", **query})

    async def patch(self, path: str, body: Any, kind: str = MERGE, **query: str) -> httpx.Response:
        headers = {"Content-Type": kind}
        return await self.http.patch(path, content=json.dumps(body), headers=headers, params=query)

    async def apply(self, path: str, body: Manifest, manager: str, **query: str) -> httpx.Response:
        return await self.patch(path, body, APPLY, fieldManager=manager, **query)

    async def delete(self, path: str, body: Manifest | None = None, **query: str) -> httpx.Response:
        return await self.http.request("DELETE", path, json=body, params=query)

    @asynccontextmanager
    async def watch(self, path: str, **query: str) -> AsyncIterator[AsyncIterator[Manifest]]:
        """The events of a watch, one after another."""
        async with self.http.stream("GET", path, params={"watch": "true", **query}) as response:
            assert response.status_code == 200, await response.aread()
            yield (json.loads(line) async for line in response.aiter_lines())


@asynccontextmanager
async def emulated(*, images: Mapping[str, Image] | None = None, **settings: Any) -> AsyncIterator[Cluster]:
    """A fresh emulator."""
    emulator = Emulator(EmulatorSettings(**{"default_image": NO_PROCESS, **settings}), images=images)
    async with emulator, httpx.AsyncClient(base_url=emulator.url, timeout=DEADLINE_S) as http:
        yield Cluster(emulator, http)


def deployment(name: str = "hello", *, replicas: int = 1, image: str = "hello:1", **container: Any) -> Manifest:
    labels = {"faas_function": name}
    containers = [{"name": name, "image": image, "ports": [{"containerPort": 8080, "name": "http"}], **container}]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"terminationGracePeriodSeconds": 5, "containers": containers},
            },
        },
    }


def service(name: str = "hello") -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"selector": {"faas_function": name}, "ports": [{"port": 8080, "targetPort": "http", "name": "http"}]},
    }


def secret(name: str = "token", **data: str) -> Manifest:
    meta = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": data or {"token": "s3cret"}}


def at(manifest: Manifest, path: str, value: Any) -> Manifest:
    """A copy with one value set, at a path like ``spec.template.spec.containers.0.image``."""
    copy: Manifest = json.loads(json.dumps(manifest))
    *steps, last = path.split(".")
    place: Any = copy
    for step in steps:
        place = place[int(step)] if isinstance(place, list) else place.setdefault(step, {})
    place[int(last) if isinstance(place, list) else last] = value
    return copy


def available(deployments: list[Manifest]) -> bool:
    """All of them have what they want."""
    return bool(deployments) and all(
        one["status"].get("observedGeneration") == one["metadata"]["generation"]
        and one["status"].get("availableReplicas", 0) == one["spec"]["replicas"] == one["status"].get("replicas", 0)
        and one["status"].get("updatedReplicas", 0) == one["spec"]["replicas"]
        for one in deployments
    )


def handler(folder: Path, source: str) -> Image:
    """An image with this handler."""
    (folder / "handler.py").write_text(source)
    return Image(handler=folder)
