"""The inventories of all namespaces that hold functions, which come and go with their namespaces."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping

from springtide.provider.kubernetes.inventory import Inventory
from springtide.provider.kubernetes.views import DeploymentView, PodView, SliceView
from springtide.runtime.errors import NotFound
from springtide.runtime.kubernetes.api import KubernetesApi
from springtide.scaler.core.vocabulary import FunctionRef

Listener = Callable[[FunctionRef], None]


class Cluster:
    """What is known of every function, in one place."""

    def __init__(self, api: KubernetesApi, *, services: bool) -> None:
        self._api, self._services = api, services
        self._inventories: dict[str, Inventory] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        self._failed = asyncio.Event()
        self._waiting: dict[FunctionRef, list[asyncio.Event]] = defaultdict(list)
        self.listener: Listener | None = None

    def __repr__(self) -> str:
        return f"<Cluster {list(self._inventories.values())!r}>"

    def __iter__(self) -> Iterator[Inventory]:
        return iter(list(self._inventories.values()))

    def use(self, namespaces: Iterable[str]) -> None:
        """Follow these, and no others any more."""
        wanted = set(namespaces)
        for name in [name for name in self._inventories if name not in wanted]:
            self._leave(self._inventories.pop(name))
        for name in sorted(wanted - self._inventories.keys()):
            inventory = Inventory(self._api, name, services=self._services, changed=self.tell)
            self._inventories[name] = inventory
            inventory.start()
            inventory.task.add_done_callback(self.ended)

    async def wait_synced(self, deadline_s: float) -> None:
        """Raises Unavailable when the first lists of one do not come in time."""
        await asyncio.gather(*(inventory.wait_synced(deadline_s) for inventory in self))

    async def stop(self) -> None:
        """Says nothing to the listener: the functions are not gone, we are."""
        self.listener = None
        self.use(())
        await asyncio.gather(*self._leaving, return_exceptions=True)

    async def wait(self) -> None:
        """Raises what ended a cache that should never end."""
        await self._failed.wait()
        assert self._failure is not None
        raise self._failure

    # Reading.

    def of(self, namespace: str) -> Inventory:
        try:
            return self._inventories[namespace]
        except KeyError:
            raise NotFound(f"no namespace {namespace}") from None

    def function(self, ref: FunctionRef) -> DeploymentView | None:
        inventory = self._inventories.get(ref.namespace)
        return None if inventory is None else inventory.function(ref.name)

    def pods(self, ref: FunctionRef) -> Mapping[str, PodView]:
        inventory = self._inventories.get(ref.namespace)
        return {} if inventory is None else inventory.pods(ref.name)

    def slices(self, ref: FunctionRef) -> Iterable[SliceView]:
        inventory = self._inventories.get(ref.namespace)
        return () if inventory is None else inventory.slices(ref.name)

    def cluster_address(self, ref: FunctionRef) -> str:
        inventory = self._inventories.get(ref.namespace)
        return "" if inventory is None else inventory.cluster_address(ref.name)

    async def changed(self, ref: FunctionRef) -> None:
        """Return once something about the function changed."""
        event = asyncio.Event()
        self._waiting[ref].append(event)
        try:
            await event.wait()
        finally:
            if ref in self._waiting and event in self._waiting[ref]:
                self._waiting[ref].remove(event)

    # Inside.

    def tell(self, ref: FunctionRef) -> None:
        """Something about the function changed."""
        for event in self._waiting.pop(ref, ()):
            event.set()
        if self.listener is not None:
            self.listener(ref)

    def _leave(self, inventory: Inventory) -> None:
        refs = [function.ref for function in inventory.functions()]
        task = asyncio.create_task(inventory.stop(), name=f"leave {inventory.namespace}")
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
        for ref in refs:
            self.tell(ref)

    def ended(self, task: asyncio.Task[None]) -> None:
        """A task that should go on for ever is over."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = error
            self._failed.set()
