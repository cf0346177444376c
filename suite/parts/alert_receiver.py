"""The alert receiver as a process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import click
from prometheus_client import CollectorRegistry

from alert_receiver.service import AlertReceiverDeps, build
from alert_receiver.settings import AlertReceiverSettings
from runtime.clock import SystemClock
from runtime.service import Service
from scaler.provider_client import ProviderClient
from scaler.sources.prometheus import PrometheusActivity
from suite.parts.authentication import AuthSettings
from suite.parts.foreground import serve
from suite.parts.hold_reporter import HoldReporter
from suite.parts.settings_flags import Section, refuse, settings_options

SETTINGS, AUTH = Section(AlertReceiverSettings), Section(AuthSettings)


@click.command()
@settings_options(SETTINGS, AUTH)
@click.pass_obj
def alert_receiver(environ: Mapping[str, str], /, **given: object) -> None:
    """Run the alert receiver: turns Alertmanager's deliveries into steps."""
    refuse(SETTINGS.problems(environ, given), AUTH.problems(environ, given))
    serve(_assembled(SETTINGS.read(environ, given), AUTH.read(environ, given)))


@asynccontextmanager
async def _assembled(settings: AlertReceiverSettings, auth: AuthSettings) -> AsyncIterator[Sequence[Service]]:
    credentials = auth.credentials()
    provider = ProviderClient(settings.provider_url, credentials)
    holds = HoldReporter(provider)
    activity = None
    if settings.prometheus_url:
        activity = PrometheusActivity(
            settings.prometheus_url, deadline_s=settings.deadline_s, gateway_job=settings.gateway_job
        )
    deps = AlertReceiverDeps(
        target=provider,
        credentials=credentials,
        registry=CollectorRegistry(),
        recorder=holds,
        clock=SystemClock(),
        activity=activity,
    )
    try:
        yield [holds, build(settings, deps)]
    finally:
        if activity is not None:
            await activity.aclose()
        await provider.aclose()
