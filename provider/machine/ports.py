"""What the provider of one machine asks of whoever runs replicas there.

``Program`` is what every replica of one version of a function has in common, in whatever form a fleet starts it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from springtide.provider.endpoint_feed import EndpointFeed
from springtide.provider.machine.records import FunctionRecord, FunctionVersion, Pinned
from springtide.provider.spec import FunctionSpec, Usage
from springtide.scaler.core.vocabulary import FunctionRef, Instant, Scale
from springtide.wire.processor_use import ProcessorUse

Program = TypeVar("Program")
Prepared_co = TypeVar("Prepared_co", covariant=True)


class Recorded(Protocol):
    """Something of a function whose wish is known."""

    @property
    def record(self) -> FunctionRecord: ...


class Measurable(Protocol):
    @property
    def instance(self) -> str: ...

    @property
    def pid(self) -> int:
        """0 while there is none."""


class Deployment(Recorded, Protocol[Program]):
    """Everything of one function that runs."""

    @property
    def program(self) -> Program | None:
        """None when what it needs is not there any more."""

    @property
    def replicas(self) -> Mapping[str, Measurable]: ...

    @property
    def retired(self) -> bool:
        """Deleted, with replicas that still drain."""

    @property
    def scale(self) -> Scale: ...

    @property
    def explained_problem(self) -> str | None: ...

    def change(self, record: FunctionRecord, program: Program | None) -> None:
        """This is what is wanted now; replicas follow."""


class Fleet(Protocol[Program]):
    """All deployments. ``deployments`` is by function; ``all`` has those, too, that still drain."""

    @property
    def feed(self) -> EndpointFeed: ...

    @property
    def deployments(self) -> Mapping[FunctionRef, Deployment[Program]]: ...

    def all(self) -> Sequence[Deployment[Program]]: ...

    async def unrecorded(self, known: Collection[FunctionRecord]) -> Iterable[FunctionRecord]:
        """What runs, or sleeps, though no record is kept of it."""

    async def start(self, records: Sequence[FunctionRecord]) -> None:
        """Take over what runs already, start the rest. Raises Unavailable."""

    async def stop(self) -> None: ...

    async def wait(self) -> None:
        """Raises when one of its own tasks failed."""

    def add(self, record: FunctionRecord, program: Program) -> None: ...

    def remove(self, ref: FunctionRef) -> None:
        """Gone for callers at once; its replicas drain."""

    def usage_of(self, ref: FunctionRef) -> Usage | None:
        """Of the last measurement; None when there was none yet."""

    async def processor_use(self) -> Mapping[FunctionRef, ProcessorUse]: ...

    def memory_use(self) -> Mapping[FunctionRef, float]:
        """Bytes, of the functions all of whose replicas were measured."""


class Preparation(Protocol[Prepared_co]):
    """Makes of a spec what can be started, before anything that runs is touched."""

    async def open(self, now: Instant) -> None: ...

    async def close(self) -> None: ...

    async def prepare(self, spec: FunctionSpec) -> tuple[Pinned, Prepared_co]:
        """Raises BadInput for anything that cannot run."""

    async def restore(self, version: FunctionVersion) -> tuple[Pinned, Prepared_co]:
        """Of a version that ran before. Raises BadInput when what it needs is not there any more."""
