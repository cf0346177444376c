"""The idler as a process."""

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
from springtide.idler.service import IdlerDeps, build
from springtide.idler.settings import IdlerSettings
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.clock import SystemClock
from springtide.runtime.kept_parts import Assembled
from springtide.runtime.kubernetes.settings import KubernetesSettings, LeaseSettings
from springtide.runtime.service import Service
from springtide.scaler.sources.gateway import GatewayActivity
from springtide.scaler.sources.prometheus import PrometheusActivity
from springtide.scaler.sources.schedules import ScheduledCalls
from springtide.wire.jobs.pending import PendingJobs
from springtide.wire.learned_sleep import SleepPlans
from springtide.wire.provider_client import ProviderClient
from springtide.wire.vitals import vitals

SETTINGS, AUTH = Section(IdlerSettings), Section(AuthSettings)
LEASE, KUBERNETES = Section(LeaseSettings), Section(KubernetesSettings)


@click.command()
@settings_options(SETTINGS, AUTH, LEASE, KUBERNETES)
@click.pass_obj
def idler(environ: Mapping[str, str], /, **given: object) -> None:
    """Run the idler: takes functions that nobody calls to zero."""
    serve(assembled(environ, given))


def assembled(environ: Mapping[str, str], given: Mapping[str, object]) -> Assembled:
    """``given`` are the command's flags. Raises SettingsError."""
    refuse(*(section.problems(environ, given) for section in (SETTINGS, AUTH, LEASE, KUBERNETES)))
    leading = led("idler", LEASE.read(environ, given), KUBERNETES.read(environ, given))
    return _assembled(SETTINGS.read(environ, given), AUTH.read(environ, given), leading)


@asynccontextmanager
async def _assembled(settings: IdlerSettings, auth: AuthSettings, leading: Led) -> AsyncIterator[Sequence[Service]]:
    activity = PrometheusActivity(
        settings.prometheus,
        deadline_s=settings.deadline_s,
        gateway_job=settings.gateway_job,
        credentials=Credentials.of_setting(settings.monitoring_secret_path),
    )
    gateways = GatewayActivity(settings.gateway_metrics_urls) if settings.gateway_metrics_urls else None
    async with AsyncExitStack() as stack:
        leadership, election = await stack.enter_async_context(leading)
        provider = ProviderClient(settings.provider_url, auth.credentials(), leadership=leadership)
        stack.push_async_callback(provider.aclose)
        stack.push_async_callback(activity.aclose)
        if gateways is not None:
            stack.push_async_callback(gateways.aclose)
        delayed = PendingJobs(settings.gateway_urls, auth.credentials()) if settings.gateway_urls else None
        if delayed is not None:
            stack.push_async_callback(delayed.aclose)
        sleep = SleepPlans(settings.gateway_urls, auth.credentials()) if settings.gateway_urls else None
        if sleep is not None:
            stack.push_async_callback(sleep.aclose)
        holds = HoldReporter(provider)
        deps = IdlerDeps(
            catalog=provider,
            target=provider,
            activity=activity,
            recheck=gateways,
            registry=CollectorRegistry(),
            recorder=holds,
            clock=SystemClock(),
            leadership=leadership,
            expected=ScheduledCalls(),
            delayed=delayed,
            sleep=sleep,
            memory=provider,
            worths=sleep,
        )
        yield [vitals(deps.registry), *election, holds, build(settings, deps)]
