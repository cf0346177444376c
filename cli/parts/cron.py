"""The cron part, which calls functions by their schedules, as a process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import click
import httpx
from prometheus_client import CollectorRegistry

from springtide.cli.parts.authentication import AuthSettings
from springtide.cli.parts.endpoints import endpoints_of
from springtide.cli.parts.foreground import serve
from springtide.cli.parts.leadership import Led, led
from springtide.cli.parts.prewarming import Surroundings, prewarming
from springtide.cli.parts.settings_flags import Section, refuse, settings_options
from springtide.gateway.endpoint_source import EndpointSource
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.clock import SystemClock
from springtide.runtime.errors import BadInput
from springtide.runtime.kept_parts import Assembled
from springtide.runtime.kubernetes.settings import KubernetesSettings, LeaseSettings
from springtide.runtime.service import Service
from springtide.scaler.function_table import FunctionTable
from springtide.scaler.sources.busy_periods import GatewayPeriods
from springtide.triggers.cron.file_store import FileStore
from springtide.triggers.cron.gateway import HttpTickGateway
from springtide.triggers.cron.kept import Store
from springtide.triggers.cron.service import CronDeps, build
from springtide.triggers.cron.settings import CronSettings
from springtide.triggers.prewarm_settings import PrewarmSettings
from springtide.triggers.sleep import file_store as sleep_files
from springtide.triggers.sleep import kept as sleep_kept
from springtide.triggers.sleep.api import SleepApi
from springtide.triggers.sleep.learning import Learning, LearningDeps
from springtide.triggers.sleep.settings import SleepSettings
from springtide.wire.gateway_connections import GatewayConnections
from springtide.wire.jobs.nats_package import nats_needed
from springtide.wire.jobs.settings import BrokerSettings, with_names_of_openfaas
from springtide.wire.provider_client import ProviderClient
from springtide.wire.vitals import vitals

SETTINGS, BROKER, AUTH = Section(CronSettings), Section(BrokerSettings), Section(AuthSettings)
LEASE, KUBERNETES = Section(LeaseSettings), Section(KubernetesSettings)
PREWARM, SLEEP = Section(PrewarmSettings), Section(SleepSettings)
SECTIONS = (SETTINGS, PREWARM, SLEEP, BROKER, AUTH, LEASE, KUBERNETES)


@click.command()
@settings_options(*SECTIONS)
@click.pass_obj
def cron(environ: Mapping[str, str], /, **given: object) -> None:
    """Run the cron part: calls functions by their annotations `topic: cron-function` and `schedule`."""
    serve(assembled(environ, given))


def assembled(environ: Mapping[str, str], given: Mapping[str, object]) -> Assembled:
    """``given`` are the command's flags. Raises SettingsError and BadInput."""
    environ = with_names_of_openfaas(environ)
    refuse(*(section.problems(environ, given) for section in SECTIONS))
    settings = SETTINGS.read(environ, given, broker=BROKER.read(environ, given))
    if not settings.state_dir and not settings.broker.nats_url:
        raise BadInput(
            "up to when ticks were sent has to be kept somewhere: set --state-dir to a folder, or --nats-url to the "
            "queue's NATS server, as nats://127.0.0.1:4222"
        )
    leading = led("cron", LEASE.read(environ, given), KUBERNETES.read(environ, given))
    ahead, sleep = PREWARM.read(environ, given), SLEEP.read(environ, given)
    return _assembled(settings, ahead, sleep, AUTH.read(environ, given).credentials(), leading)


@asynccontextmanager
async def _assembled(
    settings: CronSettings,
    ahead: PrewarmSettings,
    sleep: SleepSettings,
    credentials: Credentials | None,
    leading: Led,
) -> AsyncIterator[Sequence[Service]]:
    clock, registry = SystemClock(), CollectorRegistry()
    async with AsyncExitStack() as stack:
        leadership, election = await stack.enter_async_context(leading)

        def following(provider: ProviderClient) -> EndpointSource:
            stack.push_async_callback(provider.aclose)
            poll_s = settings.rebuild_interval_s
            return endpoints_of(provider, settings.provider_url, clock=clock, poll_interval_s=poll_s, stack=stack)

        connections = GatewayConnections(httpx.URL(settings.gateway_url))
        stack.push_async_callback(connections.aclose)
        gateway = HttpTickGateway(
            connections,
            credentials=credentials,
            content_type=settings.content_type,
            timeout_s=settings.upstream_timeout_s,
        )
        # It names the term in each write.
        provider = ProviderClient(settings.provider_url, credentials, leadership=leadership)
        functions = FunctionTable(following(provider), clock=clock)
        store, sleep_store = _stores(settings, clock, stack)
        learning = None
        if sleep.gateway_metrics_urls:
            periods = GatewayPeriods(sleep.gateway_metrics_urls)
            stack.push_async_callback(periods.aclose)
            learning = Learning(
                sleep,
                LearningDeps(
                    periods=periods,
                    functions=functions,
                    store=sleep_store,
                    clock=clock,
                    registry=registry,
                    leadership=leadership,
                ),
            )
        deps = CronDeps(
            endpoints=following(ProviderClient(settings.provider_url, credentials)),
            gateway=gateway,
            store=store,
            clock=clock,
            registry=registry,
            credentials=credentials,
            leadership=leadership,
            sleep=SleepApi(learning, clock) if learning is not None else None,
        )
        part = build(settings, deps)
        around = Surroundings(
            provider=provider,
            functions=functions,
            gateway_url=settings.gateway_url,
            credentials=credentials,
            learning=learning,
            paused=part.leading.paused,
            registry=registry,
            clock=clock,
            leadership=leadership,
        )
        yield [vitals(registry), *election, part, *prewarming(ahead, around, stack)]


def _stores(settings: CronSettings, clock: SystemClock, stack: AsyncExitStack) -> tuple[Store, sleep_kept.Store]:
    """For what is kept of schedules, and for what functions' pauses have taught."""
    if settings.state_dir:
        folder = Path(settings.state_dir)
        return FileStore(folder, clock.wall), sleep_files.FileStore(folder)
    with nats_needed("what is kept of schedules needs"):
        from springtide.triggers.cron.nats_store import NatsStore  # noqa: PLC0415 - an extra
        from springtide.triggers.sleep import nats_store as sleep_nats  # noqa: PLC0415
        from springtide.wire.jobs.nats.broker import Broker  # noqa: PLC0415
    broker = Broker(settings.broker, name="springtide cron")
    stack.push_async_callback(broker.aclose)
    return NatsStore(broker), sleep_nats.NatsStore(broker)
