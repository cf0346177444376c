"""What the processes of all providers of one machine are: the provider, and its API in front of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from springtide.cli.parts.authentication import AuthSettings
from springtide.cli.parts.foreground import serve
from springtide.provider.api import ProviderApiDeps, ProviderApiSettings, build
from springtide.provider.machine.provider import MachineProvider
from springtide.provider.ports import ImageBuilder, Library, Provider
from springtide.runtime.clock import SystemClock
from springtide.runtime.service import Service
from springtide.scaler.core.ownership import Scalers
from springtide.wire.decision_journal import FileJournal
from springtide.wire.decision_log import DecisionLog
from springtide.wire.vitals import vitals


@dataclass(frozen=True, slots=True)
class ProviderContext:
    """What a provider is built on."""

    clock: SystemClock
    registry: CollectorRegistry
    decisions: DecisionLog
    scalers: Scalers


@dataclass(frozen=True, slots=True)
class Built:
    """A provider, and the service that it is or belongs to."""

    service: Service
    provider: Provider
    builder: ImageBuilder | None
    library: Library | None

    @classmethod
    def alone(cls, provider: MachineProvider[Any]) -> Built:
        return cls(provider, provider, provider.builder, provider.library)


def serve_provider(
    api: ProviderApiSettings, auth: AuthSettings, state_dir: Path, made: Callable[[ProviderContext], Built]
) -> None:
    """Run it until asked to stop. Raises as ``made`` does, and what made a service fail."""
    serve(_assembled(api, auth, state_dir, made))


@asynccontextmanager
async def _assembled(
    api: ProviderApiSettings, auth: AuthSettings, state_dir: Path, made: Callable[[ProviderContext], Built]
) -> AsyncIterator[Sequence[Service]]:
    registry, clock = CollectorRegistry(), SystemClock()
    decisions = DecisionLog(journal=FileJournal(state_dir / "decisions.ndjson"))
    built = made(ProviderContext(clock, registry, decisions, api.scalers(hpa=False)))
    deps = ProviderApiDeps(
        provider=built.provider,
        credentials=auth.credentials(),
        builder=built.builder,
        library=built.library,
        registry=registry,
        clock=clock,
        decisions=decisions,
    )
    yield [vitals(registry), built.service, build(api, deps)]
