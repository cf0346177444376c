"""A network for the functions of each namespace, from which nothing of the host's loopback can be reached."""

from __future__ import annotations

import contextlib

from springtide.provider.containers.container_labels import network_labels, selector
from springtide.provider.containers.engine.client import Engine
from springtide.provider.containers.function_container import network_name
from springtide.runtime.errors import AlreadyExists, SpringtideError
from springtide.runtime.keyed_locks import KeyedLocks


class Networks:
    def __init__(self, engine: Engine, suite: str) -> None:
        self._engine, self._suite = engine, suite
        self._there: set[str] = set()
        self._locks: KeyedLocks[str] = KeyedLocks()

    async def ensure(self, namespace: str) -> None:
        """It is there. Raises Unavailable."""
        name = network_name(namespace, self._suite)
        async with self._locks.of(name):
            if name in self._there:
                return
            self._there.update(await self._engine.networks(selector(self._suite)))
            if name not in self._there:
                with contextlib.suppress(AlreadyExists):
                    await self._engine.create_network(name, network_labels(namespace, self._suite))
                self._there.add(name)

    def forget(self) -> None:
        """Somebody may have removed them: the next start looks."""
        self._there.clear()

    async def collect(self, used: set[str]) -> None:
        """Remove those of namespaces without functions; one that still holds a container stays for the next time."""
        kept = {network_name(namespace, self._suite) for namespace in used}
        for name in await self._engine.networks(selector(self._suite)):
            async with self._locks.of(name):
                if name not in kept:
                    self._there.discard(name)
                    with contextlib.suppress(SpringtideError):
                        await self._engine.remove_network(name)
