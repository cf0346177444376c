"""The provider of local processes as a Service."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from springtide.provider.process.provider import ProcessProvider
from springtide.provider.process.settings import ProcessSettings
from springtide.scaler.core.ports import Clock, Recorder


@dataclass(frozen=True, slots=True)
class ProcessDeps:
    """``recorder`` hears of counts that a deployment sets; those written are recorded by whoever asks for them."""

    clock: Clock
    registry: CollectorRegistry
    recorder: Recorder | None = None


def build(settings: ProcessSettings, deps: ProcessDeps) -> ProcessProvider:
    return ProcessProvider(settings, clock=deps.clock, registry=deps.registry, recorder=deps.recorder)
