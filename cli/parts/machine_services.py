"""What the processes of both providers of one machine are: the provider, and its API in front of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from springtide.cli.parts.authentication import AuthSettings
from springtide.provider.api import ProviderApiDeps, ProviderApiSettings, build
from springtide.provider.machine.provider import MachineProvider
from springtide.runtime.clock import SystemClock
from springtide.runtime.service import Service
from springtide.scaler.core.ownership import Scalers
from springtide.wire.decision_journal import FileJournal
from springtide.wire.decision_log import DecisionLog
from springtide.wire.vitals import vitals


@dataclass(frozen=True, slots=True)
class Ground:
    """What a provider is built on."""

    clock: SystemClock
    registry: CollectorRegistry
    decisions: DecisionLog
    scalers: Scalers


def services(
    api: ProviderApiSettings, auth: AuthSettings, state_dir: Path, made: Callable[[Ground], MachineProvider[Any]]
) -> Sequence[Service]:
    registry, clock = CollectorRegistry(), SystemClock()
    decisions = DecisionLog(journal=FileJournal(state_dir / "decisions.ndjson"))
    provider = made(Ground(clock, registry, decisions, api.scalers(hpa=False)))
    deps = ProviderApiDeps(
        provider=provider,
        credentials=auth.credentials(),
        builder=provider.builder,
        library=provider.library,
        registry=registry,
        clock=clock,
        decisions=decisions,
    )
    return [vitals(registry), provider, build(api, deps)]
