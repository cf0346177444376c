"""All controllers, and which of them a change concerns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tests.kubernetes.emulator.actor import Actor
from tests.kubernetes.emulator.controllers.autoscaler import Autoscaler
from tests.kubernetes.emulator.controllers.deployments import Deployments
from tests.kubernetes.emulator.controllers.endpoint_slices import SERVICE, EndpointSlices
from tests.kubernetes.emulator.controllers.garbage import Garbage
from tests.kubernetes.emulator.controllers.namespaces import Namespaces
from tests.kubernetes.emulator.controllers.old_events import EVERYTHING, OldEvents
from tests.kubernetes.emulator.controllers.replica_sets import ReplicaSets
from tests.kubernetes.emulator.controllers.worker import Worker
from tests.kubernetes.emulator.node.node import Node
from tests.kubernetes.emulator.objects import Object, controller_of, dig, labels_of, name_of, namespace_of
from tests.kubernetes.emulator.operations import Operations
from tests.kubernetes.emulator.resources import StoreKey
from tests.kubernetes.emulator.settings import EmulatorSettings
from tests.kubernetes.emulator.store import Change

NAME = "kube-controller-manager"
_DEPLOYMENTS, _SETS = StoreKey("apps", "deployments"), StoreKey("apps", "replicasets")
_PODS, _SERVICES = StoreKey("", "pods"), StoreKey("", "services")
_SLICES, _NAMESPACES = StoreKey("discovery.k8s.io", "endpointslices"), StoreKey("", "namespaces")
_SCALERS = StoreKey("autoscaling", "horizontalpodautoscalers")


class ControlPlane:
    """Hears every change from the moment it is made; acts between ``start`` and ``stop``."""

    def __init__(self, operations: Operations, settings: EmulatorSettings, node: Node) -> None:
        actor = Actor(operations, NAME)
        self._store, self._settings = operations.store, settings
        self._garbage_graph = Garbage(actor)
        self._deployments = Worker("deployments", Deployments(actor).sync)
        self._sets = Worker("replicasets", ReplicaSets(actor).sync)
        slices = EndpointSlices(Actor(operations, "endpointslice-controller"))
        self._slices = Worker("endpointslices", slices.sync, lambda: settings.endpoints_s)
        self._garbage = Worker("garbage", self._garbage_graph.sync)
        self._namespaces = Worker("namespaces", Namespaces(actor, operations).sync)
        scaler = Autoscaler(actor, operations, node, settings)
        self._scaler = Worker("autoscaler", scaler.sync)
        self._events = Worker("events", OldEvents(actor, settings).sync)
        self._services: dict[tuple[str, str, str], set[str]] = {}
        """Services by each label of their selectors; one that does not fit any more does no harm."""
        self._workers = [
            self._deployments, self._sets, self._slices, self._garbage, self._namespaces, self._scaler,
            self._events,
        ]  # fmt: skip
        self._hear: dict[StoreKey, Callable[[Change], None]] = {
            _DEPLOYMENTS: lambda change: self._deployments.poke(_key(change.object)),
            _SETS: self._set_changed,
            _PODS: self._pod_changed,
            _SERVICES: self._service_changed,
            _SLICES: self._slice_changed,
            _NAMESPACES: lambda change: self._namespaces.poke(_key(change.object)),
            _SCALERS: lambda change: self._scaler.poke(_key(change.object)),
        }

    def __repr__(self) -> str:
        return f"<ControlPlane {self._workers}>"

    async def start(self) -> None:
        self._store.listen(self._heard)
        for namespace in self._store.objects(_NAMESPACES):
            self._namespaces.poke(_key(namespace))
        self._events.poke(EVERYTHING)
        for worker in self._workers:
            await worker.start()

    async def stop(self) -> None:
        await asyncio.gather(*(worker.stop() for worker in self._workers))

    def pause(self) -> None:
        """Nobody acts on changes until ``resume``; none is forgotten."""
        for worker in self._workers:
            worker.pause()

    def resume(self) -> None:
        for worker in self._workers:
            worker.resume()

    def _heard(self, change: Change) -> None:
        for uid in self._garbage_graph.heard(change):
            self._garbage.poke(("", uid))
        hear = self._hear.get(change.key)
        if hear is not None:
            hear(change)

    def _set_changed(self, change: Change) -> None:
        self._sets.poke(_key(change.object))
        owner = controller_of(change.object)
        if owner is not None:
            self._deployments.poke((namespace_of(change.object), owner["name"]))

    def _pod_changed(self, change: Change) -> None:
        owner = controller_of(change.object)
        if owner is not None and owner["kind"] == "ReplicaSet":
            self._sets.poke((namespace_of(change.object), owner["name"]))
        if dig(change.object, "status", "podIP"):
            for label in labels_of(change.object).items():
                for name in self._services.get((namespace_of(change.object), *label), ()):
                    self._slices.poke((namespace_of(change.object), name))

    def _service_changed(self, change: Change) -> None:
        self._slices.poke(_key(change.object))
        place, name = _key(change.object)
        for label in dig(change.object, "spec", "selector", default={}).items():
            self._services.setdefault((place, *label), set()).add(name)

    def _slice_changed(self, change: Change) -> None:
        service = labels_of(change.object).get(SERVICE)
        if service:
            self._slices.poke((namespace_of(change.object), service))


def _key(thing: Object) -> tuple[str, str]:
    return namespace_of(thing), name_of(thing)
