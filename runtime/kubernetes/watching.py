"""A kind's objects kept in memory by one list and a watch: reading them costs the API server nothing.

    cache = Cache(api, DEPLOYMENTS, namespaces=["openfaas-fn"], indexes={"by-app": by_app})
    task = asyncio.create_task(cache.run())
    await cache.synced.wait()
    cache.get("echo", namespace="openfaas-fn")

A watch that ends or breaks goes on from the last version heard of; only one that is too old (410) makes it list again.
While the API server is away, the last state stays readable, and ``connected`` and ``age_s`` say so.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace

import structlog

from springtide.runtime.backoff import Backoff
from springtide.runtime.errors import SpringtideError
from springtide.runtime.kubernetes.api import KubernetesApi, WatchEvent, Where
from springtide.runtime.kubernetes.faults import Expired
from springtide.runtime.kubernetes.resources import Resource
from springtide.runtime.kubernetes.store import IndexBy, Json, Key, Store, Subscriber, key_of, slim
from springtide.runtime.outage import Outage

WATCH_S = 300.0
BACKOFF = Backoff(min_s=0.1, max_s=2.0, jitter=0.5)
"""Well under the five seconds within which we are to be back after an outage."""

GOOD_WATCH_S = 1.0

log = structlog.get_logger()


class Reflector:
    """Keeps one namespace, or all of them, in a store up to date."""

    def __init__(self, api: KubernetesApi, resource: Resource, where: Where, *, store: Store, watch_s: float) -> None:
        self._api, self._resource, self._where, self._store = api, resource, where, store
        self._watch_s = watch_s
        self._version: str | None = None
        self._heard_at: float | None = None
        self._opened_at: float | None = None
        self._outage = Outage("not watching", resource=str(resource), namespace=where.namespace or "*")
        self.synced = asyncio.Event()
        self.connected = False
        self.lists = 0
        self.watches = 0

    def __repr__(self) -> str:
        state = "connected" if self.connected else "synced once" if self.synced.is_set() else "never synced"
        return f"<Reflector {self._resource} {self._where.namespace or '*'} {state} {self.lists} lists>"

    @property
    def heard_at(self) -> float | None:
        """When the API server last said anything, by the loop's clock."""
        return self._heard_at

    async def run(self) -> None:
        """For ever. An API server that fails is asked again, at intervals that grow to two seconds."""
        failures = 0
        while True:
            version = self._version
            try:
                self._opened_at = None
                if version is None:
                    await self._list()
                await self._follow()
            except Expired as error:
                log.info("watch too old, listing again", resource=str(self._resource), why=str(error))
                self._version = None
            except SpringtideError as error:
                self._outage.failed(str(error))
            finally:
                self.connected = False
            # A watch that brought news, or lasted, was a good one; one that ends at once must not make us spin.
            progress = self._version not in (None, version) or self._lasted_s() > GOOD_WATCH_S
            failures = 0 if progress else failures + 1
            await asyncio.sleep(BACKOFF.delay_s(failures))

    async def _list(self) -> None:
        self.lists += 1
        seen: list[Key] = []
        version = ""
        async for page in self._api.pages(self._resource, self._where):
            for value in page.items:
                seen.append(key_of(value))
                self._store.observe(value)
            version = page.resource_version
        for value in self._store.missing(seen, namespace=self._where.namespace, version=version):
            self._store.gone(value, at=version)
        self._version = version
        self._hear()
        self.synced.set()

    async def _follow(self) -> None:
        assert self._version is not None
        self.watches += 1
        # Spread, so that the watches of many processes started together are not renewed together.
        timeout_s = self._watch_s * random.uniform(0.8, 1.0)
        watching = self._api.watch(self._resource, self._where, resource_version=self._version, timeout_s=timeout_s)
        async with watching as events:
            self.connected = True
            self._opened_at = asyncio.get_running_loop().time()
            self._outage.over()
            self._hear()
            async for event in events:
                self._hear()
                self._take(event)

    def _take(self, event: WatchEvent) -> None:
        version = str(event.object["metadata"].get("resourceVersion", ""))
        if event.kind == "DELETED":
            self._store.gone(event.object, at=version)
        elif event.kind in ("ADDED", "MODIFIED"):
            self._store.observe(event.object)
        self._version = version or self._version

    def _lasted_s(self) -> float:
        """How long the last watch was open."""
        return 0.0 if self._opened_at is None else asyncio.get_running_loop().time() - self._opened_at

    def _hear(self) -> None:
        self._heard_at = asyncio.get_running_loop().time()


class Cache:
    """A store with the reflectors that fill it: one for each namespace, or one for all."""

    def __init__(
        self,
        api: KubernetesApi,
        resource: Resource,
        *,
        namespaces: Sequence[str] | None = None,
        selecting: Where | None = None,
        trim: Callable[[Json], Json] = slim,
        indexes: Mapping[str, IndexBy] | None = None,
        watch_s: float = WATCH_S,
    ) -> None:
        """``namespaces`` None is all of them, or a kind that has none; ``selecting`` brings selectors."""
        self.resource = resource
        self.store = Store(trim=trim, indexes=indexes)
        self.synced = asyncio.Event()
        selecting = selecting or Where()
        self._reflectors = [
            Reflector(api, resource, replace(selecting, namespace=namespace), store=self.store, watch_s=watch_s)
            for namespace in (namespaces if namespaces is not None else [None])
        ]

    def __repr__(self) -> str:
        return f"<Cache {self.resource} {self.store!r} {self._reflectors!r}>"

    async def run(self) -> None:
        """For ever. ``synced`` is set once everything there is has been seen."""
        async with asyncio.TaskGroup() as group:
            for reflector in self._reflectors:
                group.create_task(reflector.run(), name=repr(reflector))
            for reflector in self._reflectors:
                await reflector.synced.wait()
            self.synced.set()

    @property
    def connected(self) -> bool:
        """Every watch is open, so what is read is at most moments old."""
        return all(reflector.connected for reflector in self._reflectors)

    @property
    def age_s(self) -> float:
        """Since the API server last said anything about the namespace it was silent on longest; bookmarks come about
        once a minute. Infinite before the first list."""
        heard = [reflector.heard_at for reflector in self._reflectors]
        known = [at for at in heard if at is not None]
        if len(known) < len(heard):
            return float("inf")
        return asyncio.get_running_loop().time() - min(known) if known else 0.0

    @property
    def lists(self) -> int:
        """How often it had to list. When nothing changes this stays as it is."""
        return sum(reflector.lists for reflector in self._reflectors)

    # Reading, and telling it what we did ourselves: see Store.

    def get(self, name: str, *, namespace: str = "") -> Json | None:
        return self.store.get(name, namespace=namespace)

    def by(self, index: str, key: Hashable) -> list[Json]:
        return self.store.by(index, key)

    def __iter__(self) -> Iterator[Json]:
        return iter(self.store)

    def __len__(self) -> int:
        return len(self.store)

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        return self.store.subscribe(subscriber)

    def observe(self, value: Json) -> bool:
        """The answer to a write of ours, so that who reads next sees it."""
        return self.store.observe(value)

    def gone(self, value: Json) -> bool:
        """We deleted it and the API server said that it is gone."""
        return self.store.gone(value, at=None)
