"""The alert receiver as a process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import click
from prometheus_client import CollectorRegistry

from springtide.alert_receiver.service import AlertReceiverDeps, build
from springtide.alert_receiver.settings import AlertReceiverSettings
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
from springtide.scaler.sources.active_alerts import KnownAlerts
from springtide.scaler.sources.prometheus import PrometheusActivity
from springtide.wire.provider_client import ProviderClient
from springtide.wire.vitals import vitals

SETTINGS, AUTH = Section(AlertReceiverSettings), Section(AuthSettings)
LEASE, KUBERNETES = Section(LeaseSettings), Section(KubernetesSettings)


@click.command()
@settings_options(SETTINGS, AUTH, LEASE, KUBERNETES)
@click.pass_obj
def alert_receiver(environ: Mapping[str, str], /, **given: object) -> None:
    """Run the alert receiver: turns Alertmanager's deliveries into steps."""
    serve(assembled(environ, given))


def assembled(environ: Mapping[str, str], given: Mapping[str, object]) -> Assembled:
    """``given`` are the command's flags. Raises SettingsError."""
    refuse(*(section.problems(environ, given) for section in (SETTINGS, AUTH, LEASE, KUBERNETES)))
    leading = led("alert-receiver", LEASE.read(environ, given), KUBERNETES.read(environ, given))
    return _assembled(SETTINGS.read(environ, given), AUTH.read(environ, given), leading)


@asynccontextmanager
async def _assembled(
    settings: AlertReceiverSettings, auth: AuthSettings, leading: Led
) -> AsyncIterator[Sequence[Service]]:
    credentials, activity, alerts = auth.credentials(), None, None
    shown = Credentials.of_setting(settings.monitoring_secret_path)
    async with AsyncExitStack() as stack:
        leadership, election = await stack.enter_async_context(leading)
        provider = ProviderClient(settings.provider_url, credentials, leadership=leadership)
        stack.push_async_callback(provider.aclose)
        holds = HoldReporter(provider)
        if settings.prometheus_url:
            activity = PrometheusActivity(
                settings.prometheus_url,
                deadline_s=settings.deadline_s,
                gateway_job=settings.gateway_job,
                credentials=shown,
            )
            stack.push_async_callback(activity.aclose)
        if settings.alertmanager_url:
            alerts = KnownAlerts(
                settings.alertmanager_url,
                prometheus_url=settings.prometheus_url,
                deadline_s=settings.deadline_s,
                default_namespace=settings.default_namespace,
                credentials=shown,
            )
            stack.push_async_callback(alerts.aclose)
        deps = AlertReceiverDeps(
            target=provider,
            credentials=credentials,
            registry=CollectorRegistry(),
            recorder=holds,
            clock=SystemClock(),
            activity=activity,
            leadership=leadership,
            past=provider,
            alerts=alerts,
        )
        yield [vitals(deps.registry), *election, holds, build(settings, deps)]
