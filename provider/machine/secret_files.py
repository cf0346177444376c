"""Secrets by namespace and name: kept in the state folder, and copied to where each function's replicas read them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from springtide.provider.machine.ports import Recorded
from springtide.provider.machine.records import FunctionRecord
from springtide.provider.machine.state_files import StateFiles
from springtide.provider.spec import check_secret_name, missing_secrets
from springtide.runtime.errors import AlreadyExists, NotFound
from springtide.runtime.files import read_whole
from springtide.runtime.keyed_locks import KeyedLocks


class SecretFiles:
    """One change of a namespace's secrets at a time, so that no copy is older than its original.

    ``check`` is called under that lock and raises when the namespace is not there.
    """

    def __init__(
        self, files: StateFiles, deployments: Callable[[], Iterable[Recorded]], check: Callable[[str], None]
    ) -> None:
        self._files, self._deployments, self._check = files, deployments, check
        self._locks: KeyedLocks[str] = KeyedLocks()

    def names(self, namespace: str) -> Sequence[str]:
        self._check(namespace)
        folder = self._files.secrets(namespace)
        return sorted(file.name for file in folder.glob("[!.]*")) if folder.is_dir() else []

    async def read(self, namespace: str, name: str) -> bytes:
        check_secret_name(name)
        self._check(namespace)
        try:
            return await asyncio.to_thread(read_whole, self._files.secrets(namespace) / name)
        except OSError:
            raise NotFound(f"no secret {name} in {namespace}") from None

    async def mount(self, record: FunctionRecord) -> None:
        """Give a new generation its secrets. Raises BadInput naming every one that is missing."""
        async with self._locks.of(record.ref.namespace):
            self._check(record.ref.namespace)
            if missing := self._files.missing_secrets(record):
                raise missing_secrets(missing, record.ref.namespace)
            await self._files.make_mount(record)

    async def put(self, namespace: str, name: str, value: bytes, *, replace: bool) -> None:
        check_secret_name(name)
        async with self._locks.of(namespace):
            there = name in self.names(namespace)
            if there and not replace:
                raise AlreadyExists(f"secret {name} exists already in {namespace}")
            if replace and not there:
                raise NotFound(f"no secret {name} in {namespace}")
            original = self._files.secrets(namespace) / name
            await self._files.write_secret([original, *self._copies(namespace, name)], value)

    async def delete(self, namespace: str, name: str) -> None:
        """Replicas that have it lose the file, as they do on Kubernetes."""
        async with self._locks.of(namespace):
            if name not in self.names(namespace):
                raise NotFound(f"no secret {name} in {namespace}")
            original = self._files.secrets(namespace) / name
            await self._files.remove_files([original, *self._copies(namespace, name)])

    async def forget(self, namespace: str) -> None:
        """With a namespace go its secrets."""
        async with self._locks.of(namespace):
            await self._files.forget_namespace(namespace)

    def _copies(self, namespace: str, name: str) -> list[Path]:
        """Where replicas have it, older generations included, and where it is missing since it was deleted."""
        wanted = [
            self._files.mount(deployment.record) / name
            for deployment in self._deployments()
            if deployment.record.ref.namespace == namespace and name in deployment.record.spec.secrets
        ]
        return sorted({*self._files.copies(namespace, name), *wanted})
