"""Functions as real operating-system processes of this machine.

    provider ── wire ──► host ── fork ──► replica: watchdog ──► the function
    (wishes, decisions)  (processes, pipes)        (HTTP)

``provider`` keeps the wishes on disk and drives ``deployment``s towards them; ``host`` is a process of its own that
forks replicas and outlives a provider's crash; ``watchdog`` is the HTTP server inside a replica. Linux is where all of
it works; elsewhere replicas run without the kernel's safety nets. Replica counts are never decided here.
"""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from springtide.provider.process.provider import ProcessProvider
from springtide.provider.process.settings import ProcessSettings
from springtide.scaler.core.ports import Clock, Recorder

__all__ = ["ProcessDeps", "ProcessProvider", "ProcessSettings", "build"]


@dataclass(frozen=True, slots=True)
class ProcessDeps:
    """``recorder`` hears of counts that a deployment sets; those written are recorded by whoever asks for them."""

    clock: Clock
    registry: CollectorRegistry
    recorder: Recorder | None = None


def build(settings: ProcessSettings, deps: ProcessDeps) -> ProcessProvider:
    return ProcessProvider(settings, clock=deps.clock, registry=deps.registry, recorder=deps.recorder)
