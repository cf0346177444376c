"""The provider of local processes as a Service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from springtide.provider.process.pinning import Pinning
from springtide.provider.process.provider import ProcessProvider
from springtide.provider.process.settings import ProcessSettings
from springtide.scaler.core.ownership import Scalers
from springtide.scaler.core.ports import Clock, Recorder


@dataclass(frozen=True, slots=True)
class ProcessDeps:
    """``recorder`` hears of counts that a deployment sets; those written are recorded by whoever asks for them.

    ``operator`` is the environment in which the provider runs: what it says of uv and pip counts when requirements are
    installed, and nothing of it reaches a function.
    """

    clock: Clock
    registry: CollectorRegistry
    recorder: Recorder | None = None
    operator: Mapping[str, str] = field(default_factory=dict)
    scalers: Scalers = field(default_factory=Scalers)


def build(settings: ProcessSettings, deps: ProcessDeps) -> ProcessProvider:
    pinning = Pinning(settings, deps.operator)
    return ProcessProvider(
        settings,
        clock=deps.clock,
        pinning=pinning,
        registry=deps.registry,
        recorder=deps.recorder,
        scalers=deps.scalers,
    )
