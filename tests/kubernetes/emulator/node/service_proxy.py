"""Cluster addresses of services: each connection goes to one ready endpoint, as kube-proxy does it."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable

from tests.kubernetes.emulator.controllers.endpoint_slices import SERVICE
from tests.kubernetes.emulator.objects import Object, dig, name_of, namespace_of
from tests.kubernetes.emulator.resources import StoreKey
from tests.kubernetes.emulator.store import Change, Kind, Store

SERVICES, SLICES = StoreKey("", "services"), StoreKey("discovery.k8s.io", "endpointslices")
_READ_BYTES = 65_536

Place = tuple[str, str]


class ServiceProxy:
    """Listens at every service's address, where the machine has it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._listeners: dict[Place, list[asyncio.Server]] = {}
        self._connections: set[asyncio.Task[None]] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._stack = contextlib.ExitStack()

    def __repr__(self) -> str:
        return f"<ServiceProxy {len(self._listeners)} services, {len(self._connections)} connections>"

    async def start(self) -> None:
        self._stack.callback(self._store.listen(self._heard))
        for service in self._store.objects(SERVICES):
            await self._open(service)

    async def stop(self) -> None:
        self._stack.close()
        tasks = [*self._opening, *self._connections]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for place in list(self._listeners):
            self._close(place)

    def _heard(self, change: Change) -> None:
        if change.key != SERVICES:
            return
        self._close((namespace_of(change.object), name_of(change.object)))
        if change.kind is not Kind.DELETED:
            task = asyncio.create_task(self._open(change.object))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self, service: Object) -> None:
        address, place = dig(service, "spec", "clusterIP"), (namespace_of(service), name_of(service))
        if address in (None, "None"):
            return
        for port in dig(service, "spec", "ports", default=[]):
            name = port.get("name", "")
            with contextlib.suppress(OSError):  # No address of a cluster exists outside a pod network.
                listener = await asyncio.start_server(self._forward_to(place, name), address, port["port"])
                self._listeners.setdefault(place, []).append(listener)

    def _close(self, place: Place) -> None:
        for listener in self._listeners.pop(place, ()):
            listener.close()

    def _forward_to(self, place: Place, port_name: str) -> Callable[..., Awaitable[None]]:
        async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._connections.add(task)
            try:
                await self._forward(place, port_name, reader, writer)
            finally:
                self._connections.discard(task)
                writer.transport.abort()

        return accepted

    async def _forward(
        self, place: Place, port_name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        endpoints = self._ready(place, port_name)
        if not endpoints:
            return
        try:
            pod_reader, pod_writer = await asyncio.open_connection(*random.choice(endpoints))
        except OSError:
            return
        try:
            await asyncio.gather(_pump(reader, pod_writer), _pump(pod_reader, writer))
        except OSError:
            pass  # Either side has left.
        finally:
            pod_writer.transport.abort()

    def _ready(self, place: Place, port_name: str) -> list[tuple[str, int]]:
        namespace, name = place
        return [
            (endpoint["addresses"][0], port["port"])
            for one in self._store.labelled(SLICES, namespace, SERVICE, name)
            for port in one.get("ports", ())
            if port["name"] == port_name
            for endpoint in one.get("endpoints", ())
            if dig(endpoint, "conditions", "ready")
        ]


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_READ_BYTES):
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()
