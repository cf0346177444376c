"""The Protocols a provider is made of, and the values they pass.

Every method raises errors of ``runtime.errors`` only: NotFound (no such function, secret, namespace), AlreadyExists,
BadInput, Conflict, Unavailable.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

from springtide.provider.spec import FunctionSpec, FunctionStatus
from springtide.scaler.core.ownership import Scalers
from springtide.scaler.core.ports import FunctionCatalog, ScaleTarget
from springtide.scaler.core.vocabulary import FunctionRef, Instant
from springtide.wire.endpoint_stream import Event
from springtide.wire.processor_use import ProcessorUse


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which log lines: ``tail`` None means all kept, ``since`` an instant, ``instance`` one replica."""

    ref: FunctionRef
    tail: int | None = None
    since: Instant | None = None
    instance: str | None = None
    follow: bool = False


@dataclass(frozen=True, slots=True)
class LogLine:
    ref: FunctionRef
    instance: str
    at: Instant
    text: str


@dataclass(frozen=True, slots=True)
class Namespace:
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployedVersion:
    """One that a function runs, or can go back to. ``code`` is a hash of its code; empty where there is none."""

    name: str
    generation: int
    image: str
    deployed_at: Instant
    code: str = ""
    current: bool = False


@dataclass(frozen=True, slots=True)
class ProviderInfo:
    """Who answers: such as ``springtide-process`` and ``process``."""

    provider: str
    orchestration: str


class Deployer(Protocol):
    """Functions come and go. Each returns once the wish is durable; replicas follow."""

    async def deploy(self, spec: FunctionSpec) -> None:
        """Create or replace. BadInput when a secret it names is missing, NotFound for an unknown namespace."""

    async def update(self, spec: FunctionSpec) -> None:
        """Replace, rolling, without a lost call. NotFound when there is no such function."""

    async def delete(self, ref: FunctionRef) -> None:
        """Remove; calls in flight finish first."""


class VersionKeeper(Protocol):
    """Raises Unsupported, with what to do instead, where versions are kept by somebody else, or not at all."""

    async def versions(self, ref: FunctionRef) -> Sequence[DeployedVersion]:
        """Newest first, the current one in front. NotFound when there is no such function."""

    async def rollback(self, ref: FunctionRef, to: str | None = None) -> DeployedVersion:
        """Deploy an earlier version again, as an update; without a name the last one. Returns what is current then.

        BadInput when there is no such version, or what it needs is not there any more.
        """


class StatusReader(Protocol):
    async def status(self, ref: FunctionRef, *, usage: bool = False) -> FunctionStatus: ...

    async def statuses(self, namespace: str) -> Sequence[FunctionStatus]:
        """Sorted by name. NotFound for an unknown namespace."""


class WakeKeeper(Protocol):
    async def keep_wake(self, ref: FunctionRef, replicas: int) -> None:
        """Keep how many replicas the function's last wakes needed, over deployments of it and restarts of ours.

        Listings and the endpoint stream tell it. The scale and its version stay. BadInput below 1 or above the most.
        """

    async def keep_start(self, ref: FunctionRef, longest_s: float) -> None:
        """Keep how long the longest of the function's last starts from zero took, in the same way. To a tenth of a
        second. BadInput below 0 or above a day."""


class UsageReader(Protocol):
    async def processor_use(self) -> Mapping[FunctionRef, ProcessorUse]:
        """Of every function, measured when it is asked for: totals that only grow, or rates, or why it is not known.

        Raises Unavailable where nothing is known of any.
        """

    async def memory_use(self) -> Mapping[FunctionRef, float]:
        """Bytes of all replicas of a function together, of the functions all of whose replicas were measured."""


class SecretReader(Protocol):
    async def read_secret(self, namespace: str, name: str) -> bytes:
        """For what is checked with it in this process: no answer of the API may ever hold it, and no log.

        NotFound when there is none; a value that was replaced may be told for some seconds more.
        """


class SecretStore(Protocol):
    """Secrets by namespace and name; values go in and are never given back."""

    async def secret_names(self, namespace: str) -> Sequence[str]: ...

    async def put_secret(self, namespace: str, name: str, value: bytes, *, replace: bool) -> None:
        """``replace`` False: AlreadyExists when there; True: NotFound when not. Running replicas see the new value."""

    async def delete_secret(self, namespace: str, name: str) -> None: ...


class NamespaceStore(Protocol):
    async def namespaces(self) -> Sequence[Namespace]:
        """Sorted by name; the default one is always among them."""

    async def put_namespace(self, namespace: Namespace, *, replace: bool) -> None:
        """``replace`` False: AlreadyExists when there; True: NotFound when not."""

    async def delete_namespace(self, name: str) -> None:
        """Its functions and secrets go with it. BadInput for the default one."""


class LogSource(Protocol):
    def logs(self, query: LogQuery) -> AsyncIterator[LogLine]:
        """Lines oldest first; with ``follow`` new ones as they come, new replicas included, until closed."""


class EndpointSource(Protocol):
    def watch_endpoints(self) -> AsyncIterator[Event]:
        """A Snapshot, then each change, for ever. Heartbeats are the server's business, not the provider's."""


class Build(Protocol):
    """One build that was asked for and understood."""

    @property
    def image(self) -> str:
        """What it will be called."""

    async def run(self, tell: Callable[[str], None]) -> None:
        """Build it, telling each line of progress; then the image can be deployed. Raises SpringtideError.

        A failed or cancelled build changes nothing.
        """

    def discard(self) -> None:
        """Throw away what was unpacked; at the end of each build, whether it was run or not."""


class ImageBuilder(Protocol):
    """Makes images that functions can be deployed from."""

    @property
    def scratch(self) -> Path:
        """A folder for what is being received."""

    async def accept(self, archive: IO[bytes]) -> Build:
        """Unpack a build request, an uncompressed tar. Raises BadInput for one that is not as it must be."""


class Library(Protocol):
    """What people can begin with, in the forms that faas-cli reads: functions to deploy, templates to write them by."""

    async def store(self) -> dict[str, Any]: ...

    async def templates(self) -> list[dict[str, Any]]: ...


class Provider(
    FunctionCatalog,
    ScaleTarget,
    Deployer,
    VersionKeeper,
    StatusReader,
    WakeKeeper,
    UsageReader,
    SecretStore,
    SecretReader,
    NamespaceStore,
    LogSource,
    EndpointSource,
    Protocol,
):
    """Everything the REST API needs of a place where functions run."""

    @property
    def scalers(self) -> Scalers:
        """What moves replicas here: the owner of each function follows from it."""

    @property
    def info(self) -> ProviderInfo: ...
