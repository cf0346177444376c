"""Waking functions ahead of calls that are known to come: services of the part that sends schedules' ticks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from springtide.cli.parts.hold_reporter import HoldReporter
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.service import Service
from springtide.scaler.core.ports import Clock, Leadership
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.scaler.function_table import FunctionTable
from springtide.scaler.sources.schedules import ScheduledCalls
from springtide.triggers.delayed_jobs import DelayedJobs
from springtide.triggers.prewarm_settings import PrewarmSettings
from springtide.triggers.prewarming import PrewarmDeps, Prewarming
from springtide.triggers.sleep.learning import Learning
from springtide.wire.jobs.pending import PendingJobs
from springtide.wire.provider_client import ProviderClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What it shares with the part that it is in; seconds."""

    provider: ProviderClient
    functions: FunctionTable
    gateway_url: str
    credentials: Credentials | None
    learning: Learning | None
    paused: Callable[[FunctionRef], bool]
    registry: CollectorRegistry
    clock: Clock
    leadership: Leadership


def prewarming(settings: PrewarmSettings, around: Surroundings, stack: AsyncExitStack) -> Sequence[Service]:
    """Not yet started; what they use is closed with ``stack``."""
    provider, learning = around.provider, around.learning
    jobs = PendingJobs([around.gateway_url], around.credentials)
    stack.push_async_callback(jobs.aclose)
    holds = HoldReporter(provider)
    deps = PrewarmDeps(
        functions=around.functions,
        expected=[ScheduledCalls()],
        jobs=DelayedJobs(jobs, interval_s=settings.prewarm_jobs_interval_s),
        forecasts=learning.forecasts if learning is not None else None,
        target=provider,
        keeper=provider,
        past=provider,
        registry=around.registry,
        recorder=holds,
        clock=around.clock,
        leadership=around.leadership,
        paused=around.paused,
    )
    waking = Prewarming(settings, deps)
    if learning is None:
        return [holds, waking]
    learning.listen(waking.news)
    # What it heard last is kept once nobody is woken any more.
    return [holds, learning, waking]
