"""A cluster in memory that can be made to fail, to hang and to be written by others, at any read or write."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence

from springtide.provider.memory.provider import MemoryProvider
from springtide.provider.ports import Namespace
from springtide.provider.spec import FunctionSpec
from springtide.scaler.core.ownership import Scalers
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import Decision, Function, FunctionRef, Reason, Scale

Hook = Callable[[], Awaitable[None]]


class Cluster:
    """FunctionCatalog and ScaleTarget over MemoryProvider. ``writes`` holds what was really written, in order.

    A hook put in ``on_list``, ``on_read[ref]`` or ``on_write[ref]`` runs first, and may raise.
    """

    def __init__(self, clock: Clock | None = None, *, scalers: Scalers | None = None) -> None:
        self.provider = MemoryProvider(clock, scalers=scalers)
        self.writes: list[tuple[FunctionRef, int]] = []
        self.decisions: list[Decision] = []
        self.reads: dict[FunctionRef, int] = defaultdict(int)
        self.on_list: Hook | None = None
        self.on_read: dict[FunctionRef, Hook] = {}
        self.on_write: dict[FunctionRef, Hook] = {}

    async def deploy(self, ref: FunctionRef, *, replicas: int = 1, **labels: str) -> None:
        """``zero="true"`` becomes the label ``com.openfaas.scale.zero``."""
        full = {f"com.openfaas.scale.{key.replace('_', '-')}": value for key, value in labels.items()}
        await self.relabel(ref, full)
        await self.scale(ref, replicas)

    async def relabel(self, ref: FunctionRef, labels: dict[str, str]) -> None:
        """Deploys the function if it is not there yet."""
        if ref.namespace not in {known.name for known in await self.provider.namespaces()}:
            await self.add_namespace(ref.namespace)
        await self.provider.deploy(FunctionSpec(ref=ref, image="none", labels=labels))

    async def add_namespace(self, name: str) -> None:
        await self.provider.put_namespace(Namespace(name, {"openfaas": "1"}), replace=False)

    async def scale(self, ref: FunctionRef, replicas: int) -> None:
        """By a person, not seen in ``writes``."""
        await self.provider.write(ref, replicas, expect=None, decision=None)

    async def count(self, ref: FunctionRef) -> int:
        return (await self.provider.read(ref)).scale.desired

    async def list_functions(self) -> Sequence[Function]:
        if self.on_list is not None:
            await self.on_list()
        return await self.provider.list_functions()

    async def read(self, ref: FunctionRef) -> Function:
        self.reads[ref] += 1
        if ref in self.on_read:
            await self.on_read[ref]()
        return await self.provider.read(ref)

    async def write(self, ref: FunctionRef, replicas: int, *, expect: str | None, decision: Decision | None) -> Scale:
        if ref in self.on_write:
            await self.on_write[ref]()
        scale = await self.provider.write(ref, replicas, expect=expect, decision=decision)
        self.writes.append((ref, replicas))
        if decision is not None:
            self.decisions.append(decision)
        return scale


class Decisions:
    """A Recorder that keeps everything."""

    def __init__(self) -> None:
        self.all: list[Decision] = []
        self._told = asyncio.Event()

    def record(self, decision: Decision) -> None:
        self.all.append(decision)
        self._told.set()

    async def until(self, reason: Reason) -> None:
        """Return once there is a decision with ``reason``."""
        while reason not in self.reasons():
            self._told.clear()
            await self._told.wait()

    def reasons(self, ref: FunctionRef | None = None) -> list[str]:
        return [decision.reason.value for decision in self.all if ref in (None, decision.ref)]

    def counts(self, ref: FunctionRef | None = None) -> list[tuple[int, int]]:
        """Before and after of each change."""
        return [(d.before, d.after) for d in self.all if d.changes and ref in (None, d.ref)]
