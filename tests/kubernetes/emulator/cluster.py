"""The emulator as a whole: a store, the API over it, the controllers and the node."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.kubernetes.emulator import schemas
from tests.kubernetes.emulator.access import AccessRules
from tests.kubernetes.emulator.admission import PodAdmission
from tests.kubernetes.emulator.controllers.plane import ControlPlane
from tests.kubernetes.emulator.custom.serving import serve_definitions
from tests.kubernetes.emulator.discovery import Discovery
from tests.kubernetes.emulator.faults import Faults
from tests.kubernetes.emulator.node.node import Node
from tests.kubernetes.emulator.objects import Object, namespace_of
from tests.kubernetes.emulator.operations import Operations
from tests.kubernetes.emulator.options import WriteOptions
from tests.kubernetes.emulator.request_log import RequestLog
from tests.kubernetes.emulator.requests import Handling
from tests.kubernetes.emulator.resources import Resources
from tests.kubernetes.emulator.server import Server
from tests.kubernetes.emulator.settings import EmulatorSettings, Image
from tests.kubernetes.emulator.store import Change, Store

PATIENCE_S = 20.0
"""How long ``until`` waits for something that should come at once."""
SYSTEM_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


class Emulator:
    """Used as an async context manager; README.md lists its knobs."""

    def __init__(self, settings: EmulatorSettings | None = None, *, images: Mapping[str, Image] | None = None) -> None:
        self.settings = settings or EmulatorSettings()
        self.images: dict[str, Image] = dict(images or {})
        self.store = Store(self.settings.history)
        self.resources = Resources()
        published = schemas.shared(self.settings.version)
        self._operations = Operations(self.store, self.resources, published, self.settings)
        self.access, self.requests = AccessRules(), RequestLog()
        self.faults = Faults(self._cut_streams)
        self._handling = Handling(
            self._operations,
            Discovery(self.resources, published),
            access=self.access,
            faults=self.faults,
            log=self.requests,
            settings=self.settings,
        )
        self._server = Server(self._handling, self.settings)
        self.node = Node(self._operations, self.settings, self.images)
        self.controllers = ControlPlane(self._operations, self.settings, self.node)
        self._operations.writes.admission.append(PodAdmission(self.store, self.faults))
        serve_definitions(self.store, self.resources)

    def __repr__(self) -> str:
        return f"<Emulator {self.url} {self.store!r}>"

    async def __aenter__(self) -> Emulator:
        for name in (*SYSTEM_NAMESPACES, *self.settings.namespaces):
            self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        await self.node.start()
        await self.controllers.start()
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop()
        await self.controllers.stop()
        await self.node.stop()

    @property
    def url(self) -> str:
        return f"http://{self.settings.host}:{self._server.port}"

    @property
    def warnings(self) -> list[str]:
        """Every warning that an answer carried."""
        return self._handling.warnings

    @property
    def streams(self) -> int:
        """Watches and followed logs that are open now."""
        return self._server.streams

    def write_kubeconfig(self, path: Path, *, token: str = "", namespace: str = "default") -> Path:
        """For ``kubectl --kubeconfig`` and for clients."""
        user = {"token": token} if token else {}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "emulator", "cluster": {"server": self.url}}],
            "users": [{"name": "test", "user": user}],
            "contexts": [
                {"name": "emulator", "context": {"cluster": "emulator", "user": "test", "namespace": namespace}}
            ],
            "current-context": "emulator",
        }
        path.write_text(json.dumps(config))
        return path

    async def go_away(self) -> None:
        """Nobody reaches the server any more; pods and controllers run on."""
        await self._server.stop()

    async def come_back(self) -> None:
        await self._server.start()

    def compact(self) -> None:
        self.store.compact()

    def create(self, manifest: Object) -> Object:
        """Store an object as a strict client's request would. Raises ApiError."""
        resource = self.resources.of_kind(manifest["apiVersion"], manifest["kind"])
        if resource is None:
            raise KeyError(f"no kind {manifest['kind']} in {manifest['apiVersion']}")
        place = (namespace_of(manifest) or "default") if resource.namespaced else ""
        return self._operations.writes.create(resource, place, manifest, WriteOptions(manager="test"))

    def objects(self, resource: str, namespace: str = "") -> list[Object]:
        """By plural name, as ``deployments`` or ``functions.openfaas.com``."""
        return self.store.objects(self.resources.named(resource).key, namespace)

    def object(self, resource: str, namespace: str, name: str) -> Object | None:
        return self.store.get(self.resources.named(resource).key, namespace, name)

    async def until(
        self, resource: str, true: Callable[[list[Object]], Any], *, namespace: str = "", within_s: float = PATIENCE_S
    ) -> list[Object]:
        """The objects of a resource as soon as ``true`` of them. Raises TimeoutError."""
        changed = asyncio.Event()

        def heard(_change: Change) -> None:
            changed.set()

        with contextlib.ExitStack() as stack:
            stack.callback(self.store.listen(heard))
            async with asyncio.timeout(within_s):
                while not true(found := self.objects(resource, namespace)):
                    changed.clear()
                    await changed.wait()
        return found

    def _cut_streams(self) -> int:
        return self._server.cut_streams()
