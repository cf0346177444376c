"""The idler as a process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import click
from prometheus_client import CollectorRegistry

from idler.service import IdlerDeps, build
from idler.settings import IdlerSettings
from runtime.clock import SystemClock
from runtime.service import Service
from scaler.provider_client import ProviderClient
from scaler.sources.gateway import GatewayActivity
from scaler.sources.prometheus import PrometheusActivity
from suite.parts.authentication import AuthSettings
from suite.parts.foreground import serve
from suite.parts.hold_reporter import HoldReporter
from suite.parts.settings_flags import Section, refuse, settings_options

SETTINGS, AUTH = Section(IdlerSettings), Section(AuthSettings)


@click.command()
@settings_options(SETTINGS, AUTH)
@click.pass_obj
def idler(environ: Mapping[str, str], /, **given: object) -> None:
    """Run the idler: takes functions that nobody calls to zero."""
    refuse(SETTINGS.problems(environ, given), AUTH.problems(environ, given))
    serve(_assembled(SETTINGS.read(environ, given), AUTH.read(environ, given)))


@asynccontextmanager
async def _assembled(settings: IdlerSettings, auth: AuthSettings) -> AsyncIterator[Sequence[Service]]:
    provider = ProviderClient(settings.provider_url, auth.credentials())
    activity = PrometheusActivity(settings.prometheus, deadline_s=settings.deadline_s, gateway_job=settings.gateway_job)
    gateways = GatewayActivity(settings.gateway_metrics_urls) if settings.gateway_metrics_urls else None
    holds = HoldReporter(provider)
    deps = IdlerDeps(
        catalog=provider,
        target=provider,
        activity=activity,
        recheck=gateways,
        registry=CollectorRegistry(),
        recorder=holds,
        clock=SystemClock(),
    )
    try:
        yield [holds, build(settings, deps)]
    finally:
        if gateways is not None:
            await gateways.aclose()
        await activity.aclose()
        await provider.aclose()
