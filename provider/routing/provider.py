"""RoutingProvider: every Protocol of ``provider.ports`` over one provider of processes and one of containers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import replace as but
from typing import cast

import structlog

from springtide.provider.ports import (
    DeployedVersion,
    LogLine,
    LogQuery,
    Namespace,
    Provider,
    ProviderInfo,
)
from springtide.provider.routing import endpoint_merge
from springtide.provider.runtime_label import Runtime, asked
from springtide.provider.spec import FunctionSpec, FunctionStatus, check_secret_name
from springtide.runtime.errors import AlreadyExists, BadInput, NotFound
from springtide.runtime.keyed_locks import KeyedLocks
from springtide.scaler.core.label_table import RUNTIME
from springtide.scaler.core.ownership import Scalers
from springtide.scaler.core.vocabulary import Decision, Function, FunctionRef, Scale
from springtide.wire.endpoint_stream import Event
from springtide.wire.processor_use import ProcessorUse

_log = structlog.get_logger()

Local = Callable[[FunctionSpec], bool]
"""Whether what a function asks for is on this machine, so that it can be a process."""


class RoutingProvider:
    """A function of both names, left by suites that ran with one side each, is the process; the container is not seen.

    A function never changes sides: where a deployment asks for the other one, it is refused. What is written to both
    sides is mended at the next start, should the first write be the last.
    """

    def __init__(self, processes: Provider, containers: Provider, local: Local) -> None:
        self.info = ProviderInfo("springtide-routing", "process,containers")
        self._processes, self._containers = processes, containers
        self._sides: Mapping[Runtime, Provider] = {Runtime.PROCESS: processes, Runtime.CONTAINER: containers}
        self._local = local
        self._deploying: KeyedLocks[FunctionRef] = KeyedLocks()
        """One deployment of a function after the other: two must not put it on two sides."""
        self._shared: KeyedLocks[str] = KeyedLocks()
        """By namespace: one change of what both sides have after the other."""

    def __repr__(self) -> str:
        return f"<RoutingProvider {self._processes!r} {self._containers!r}>"

    @property
    def scalers(self) -> Scalers:
        return self._processes.scalers

    # Which side.

    async def _runtime(self, ref: FunctionRef) -> Runtime:
        """What a function is. Raises NotFound."""
        for runtime, side in self._sides.items():
            with contextlib.suppress(NotFound):
                await side.read(ref)
                return runtime
        raise NotFound(f"no function {ref.name} in {ref.namespace}")

    async def _side(self, ref: FunctionRef) -> Provider:
        return self._sides[await self._runtime(ref)]

    async def _side_for(self, spec: FunctionSpec, there: Runtime | None) -> Provider:
        """Where a deployment goes. Raises BadInput where it asks for another side than the function is on."""
        wanted = asked(spec.labels)
        because = f"label {RUNTIME}={wanted}"
        if wanted is None:
            here = there is Runtime.PROCESS or self._local(spec)
            wanted = Runtime.PROCESS if here else Runtime.CONTAINER
            because = f"image {spec.image[:200]}, or the handler's folder, is on this machine"
        if there not in (None, wanted):
            raise BadInput(
                f"{spec.ref.name} is a {there}, and this deployment asks for a {wanted} ({because}); a function stays "
                f"what it is: label it {RUNTIME}={there}, or remove it first (springtide remove {spec.ref.name}) and "
                "deploy it anew"
            )
        return self._sides[wanted]

    async def settle(self) -> None:
        """Both sides have every namespace and every secret, whatever they had alone. Raises as their writes do."""
        await self._settle_namespaces()
        for namespace in await self._processes.namespaces():
            await self._settle_secrets(namespace.name)
        processes = {function.ref for function in await self._processes.list_functions()}
        for function in await self._containers.list_functions():
            if function.ref in processes:
                _log.error(
                    "a process and a container have one name; the process is called, and the container is not: remove "
                    "the function once, and the container takes its place",
                    function=str(function.ref),
                )

    # Catalog and scale.

    async def list_functions(self) -> Sequence[Function]:
        found: dict[FunctionRef, Function] = {}
        for side in (self._containers, self._processes):
            found |= {function.ref: function for function in await side.list_functions()}
        return [found[ref] for ref in sorted(found)]

    async def read(self, ref: FunctionRef) -> Function:
        return await (await self._side(ref)).read(ref)

    async def write(self, ref: FunctionRef, replicas: int, *, expect: str | None, decision: Decision | None) -> Scale:
        return await (await self._side(ref)).write(ref, replicas, expect=expect, decision=decision)

    async def keep_wake(self, ref: FunctionRef, replicas: int) -> None:
        await (await self._side(ref)).keep_wake(ref, replicas)

    async def keep_start(self, ref: FunctionRef, longest_s: float) -> None:
        await (await self._side(ref)).keep_start(ref, longest_s)

    # Functions come and go.

    async def deploy(self, spec: FunctionSpec) -> None:
        async with self._deploying.of(spec.ref):
            there: Runtime | None = None
            with contextlib.suppress(NotFound):
                there = await self._runtime(spec.ref)
            side = await self._side_for(spec, there)
            with _told_of_commands(spec):
                await side.deploy(spec)

    async def update(self, spec: FunctionSpec) -> None:
        async with self._deploying.of(spec.ref):
            side = await self._side_for(spec, await self._runtime(spec.ref))
            with _told_of_commands(spec):
                await side.update(spec)

    async def versions(self, ref: FunctionRef) -> Sequence[DeployedVersion]:
        return await (await self._side(ref)).versions(ref)

    async def rollback(self, ref: FunctionRef, to: str | None = None) -> DeployedVersion:
        async with self._deploying.of(ref):
            return await (await self._side(ref)).rollback(ref, to)

    async def delete(self, ref: FunctionRef) -> None:
        await (await self._side(ref)).delete(ref)

    async def status(self, ref: FunctionRef, *, usage: bool = False) -> FunctionStatus:
        runtime = await self._runtime(ref)
        return but(await self._sides[runtime].status(ref, usage=usage), runtime=runtime)

    async def statuses(self, namespace: str) -> Sequence[FunctionStatus]:
        found: dict[FunctionRef, FunctionStatus] = {}
        for runtime in (Runtime.CONTAINER, Runtime.PROCESS):
            listed = await self._sides[runtime].statuses(namespace)
            found |= {status.spec.ref: but(status, runtime=runtime) for status in listed}
        return [found[ref] for ref in sorted(found)]

    async def processor_use(self) -> Mapping[FunctionRef, ProcessorUse]:
        return {**await self._containers.processor_use(), **await self._processes.processor_use()}

    async def memory_use(self) -> Mapping[FunctionRef, float]:
        return {**await self._containers.memory_use(), **await self._processes.memory_use()}

    # Secrets.

    async def secret_names(self, namespace: str) -> Sequence[str]:
        return sorted({name for side in self._sides.values() for name in await side.secret_names(namespace)})

    async def read_secret(self, namespace: str, name: str) -> bytes:
        for side in self._sides.values():
            with contextlib.suppress(NotFound):
                return await side.read_secret(namespace, name)
        raise NotFound(f"no secret {name[:200]} in {namespace}")

    async def put_secret(self, namespace: str, name: str, value: bytes, *, replace: bool) -> None:
        check_secret_name(name)
        async with self._shared.of(namespace):
            there = name in await self.secret_names(namespace)
            if there and not replace:
                raise AlreadyExists(f"secret {name} exists already in {namespace}")
            if replace and not there:
                raise NotFound(f"no secret {name} in {namespace}")
            for side in self._sides.values():
                known = name in await side.secret_names(namespace)
                await side.put_secret(namespace, name, value, replace=known)

    async def delete_secret(self, namespace: str, name: str) -> None:
        async with self._shared.of(namespace):
            sides = [side for side in self._sides.values() if name in await side.secret_names(namespace)]
            if not sides:
                raise NotFound(f"no secret {name[:200]} in {namespace}")
            for side in sides:
                await side.delete_secret(namespace, name)

    async def _settle_secrets(self, namespace: str) -> None:
        """One that only one side has is given to the other."""
        names = {side: set(await side.secret_names(namespace)) for side in self._sides.values()}
        for side, own in names.items():
            for other, theirs in names.items():
                for name in sorted(own - theirs):
                    await other.put_secret(namespace, name, await side.read_secret(namespace, name), replace=False)
        for name in sorted(set.intersection(*names.values())):
            values = {await side.read_secret(namespace, name) for side in names}
            if len(values) > 1:
                _log.error(
                    "processes and containers have a secret of one name with two values: set it once more "
                    "(springtide secret update), and both have that",
                    secret=name,
                    namespace=namespace,
                )

    # Namespaces.

    async def namespaces(self) -> Sequence[Namespace]:
        found: dict[str, Namespace] = {}
        for side in (self._containers, self._processes):
            found |= {namespace.name: namespace for namespace in await side.namespaces()}
        return [found[name] for name in sorted(found)]

    async def put_namespace(self, namespace: Namespace, *, replace: bool) -> None:
        async with self._shared.of(namespace.name):
            await self._processes.put_namespace(namespace, replace=replace)
            known = namespace.name in {each.name for each in await self._containers.namespaces()}
            await self._containers.put_namespace(namespace, replace=known)

    async def delete_namespace(self, name: str) -> None:
        """The processes' last: while they have it, it is listed, and can be deleted once more."""
        async with self._shared.of(name):
            if name in {each.name for each in await self._containers.namespaces()}:
                await self._containers.delete_namespace(name)
            await self._processes.delete_namespace(name)

    async def _settle_namespaces(self) -> None:
        sides = list(self._sides.values())
        for side, other in (sides, sides[::-1]):
            known = {namespace.name for namespace in await other.namespaces()}
            for namespace in await side.namespaces():
                if namespace.name not in known:
                    # One that is only known by its functions has no mark yet.
                    marked = but(namespace, labels={"openfaas": "1", **namespace.labels})
                    await other.put_namespace(marked, replace=False)

    # Logs and endpoints.

    async def logs(self, query: LogQuery) -> AsyncGenerator[LogLine, None]:
        lines = cast("AsyncGenerator[LogLine, None]", (await self._side(query.ref)).logs(query))
        async with contextlib.aclosing(lines):
            async for line in lines:
                yield line

    def watch_endpoints(self) -> AsyncGenerator[Event, None]:
        return endpoint_merge.watch([self._processes, self._containers])


@contextlib.contextmanager
def _told_of_commands(spec: FunctionSpec) -> Iterator[None]:
    """Where functions are processes alone, an image beside a command may be any word: who is used to that is told."""
    try:
        yield
    except BadInput as error:
        about_the_image = str(error).startswith(f"image {spec.image}")
        if not about_the_image or not spec.env_process or asked(spec.labels) is not None:
            raise
        raise BadInput(
            f"{error}; to run its command as a process of this machine, write image any, or label it "
            f"{RUNTIME}={Runtime.PROCESS}"
        ) from error
