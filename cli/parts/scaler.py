"""The scaler, which runs the control loop, as a process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import click
from prometheus_client import CollectorRegistry

from springtide.cli.parts.authentication import AuthSettings
from springtide.cli.parts.foreground import serve
from springtide.cli.parts.hold_reporter import HoldReporter
from springtide.cli.parts.leadership import Led, led
from springtide.cli.parts.settings_flags import Section, refuse, settings_options
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.clock import SystemClock
from springtide.runtime.kept_parts import Assembled
from springtide.runtime.kubernetes.settings import KubernetesSettings, LeaseSettings
from springtide.runtime.service import Service
from springtide.scaler.function_table import FunctionTable
from springtide.scaler.learned_wakes import LearnedWakes
from springtide.scaler.service import ControlLoopDeps, build
from springtide.scaler.settings import ScalerSettings
from springtide.scaler.sources.gateway_load import GatewayLoad
from springtide.scaler.sources.levels import Levels
from springtide.scaler.sources.processor_time import ProcessorTime
from springtide.scaler.sources.queries import Queries
from springtide.scaler.sources.queue import QueuedJobs
from springtide.wire.jobs.pending import PendingJobs
from springtide.wire.provider_client import ProviderClient
from springtide.wire.vitals import vitals

SETTINGS, AUTH = Section(ScalerSettings), Section(AuthSettings)
LEASE, KUBERNETES = Section(LeaseSettings), Section(KubernetesSettings)


@click.command()
@settings_options(SETTINGS, AUTH, LEASE, KUBERNETES)
@click.pass_obj
def scaler(environ: Mapping[str, str], /, **given: object) -> None:
    """Run the scaler: gives functions that name a load the replicas it needs."""
    serve(assembled(environ, given))


def assembled(environ: Mapping[str, str], given: Mapping[str, object]) -> Assembled:
    """``given`` are the command's flags. Raises SettingsError."""
    refuse(*(section.problems(environ, given) for section in (SETTINGS, AUTH, LEASE, KUBERNETES)))
    leading = led("scaler", LEASE.read(environ, given), KUBERNETES.read(environ, given))
    return _assembled(SETTINGS.read(environ, given), AUTH.read(environ, given), leading)


@asynccontextmanager
async def _assembled(settings: ScalerSettings, auth: AuthSettings, leading: Led) -> AsyncIterator[Sequence[Service]]:
    clock, credentials = SystemClock(), auth.credentials()
    async with AsyncExitStack() as stack:
        leadership, election = await stack.enter_async_context(leading)
        provider = ProviderClient(settings.provider_url, credentials, leadership=leadership)
        stack.push_async_callback(provider.aclose)
        calls = GatewayLoad(settings.gateway_urls, credentials, clock=clock)
        stack.push_async_callback(calls.aclose)
        queries = Queries.at(
            settings.prometheus_url,
            credentials=Credentials.of_setting(settings.monitoring_secret_path),
            deadline_s=settings.deadline_s,
        )
        queues = PendingJobs(settings.gateway_urls, credentials)
        stack.push_async_callback(queues.aclose)
        levels = Levels(ProcessorTime(provider), queries, QueuedJobs(queues))
        stack.push_async_callback(levels.aclose)
        wakes = LearnedWakes(provider, clock=clock)
        stack.push_async_callback(wakes.aclose)
        holds = HoldReporter(provider)
        deps = ControlLoopDeps(
            functions=FunctionTable(provider, clock=clock),
            calls=calls,
            levels=levels,
            target=provider,
            registry=CollectorRegistry(),
            recorder=holds,
            clock=clock,
            leadership=leadership,
            wakes=wakes,
        )
        yield [vitals(deps.registry), *election, holds, build(settings, deps)]
