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
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.clock import SystemClock
from springtide.runtime.errors import BadInput
from springtide.runtime.kept_parts import Assembled
from springtide.runtime.kubernetes.settings import KubernetesSettings, LeaseSettings
from springtide.runtime.service import Service
from springtide.triggers.cron.file_store import FileStore
from springtide.triggers.cron.gateway import HttpTickGateway
from springtide.triggers.cron.kept import Store
from springtide.triggers.cron.service import CronDeps, build
from springtide.triggers.cron.settings import CronSettings
from springtide.triggers.prewarm_settings import PrewarmSettings
from springtide.wire.gateway_connections import GatewayConnections
from springtide.wire.jobs.nats_package import nats_needed
from springtide.wire.jobs.settings import BrokerSettings, with_names_of_openfaas
from springtide.wire.provider_client import ProviderClient
from springtide.wire.vitals import vitals

SETTINGS, BROKER, AUTH = Section(CronSettings), Section(BrokerSettings), Section(AuthSettings)
LEASE, KUBERNETES, PREWARM = Section(LeaseSettings), Section(KubernetesSettings), Section(PrewarmSettings)


@click.command()
@settings_options(SETTINGS, PREWARM, BROKER, AUTH, LEASE, KUBERNETES)
@click.pass_obj
def cron(environ: Mapping[str, str], /, **given: object) -> None:
    """Run the cron part: calls functions by their annotations `topic: cron-function` and `schedule`."""
    serve(assembled(environ, given))


def assembled(environ: Mapping[str, str], given: Mapping[str, object]) -> Assembled:
    """``given`` are the command's flags. Raises SettingsError and BadInput."""
    environ = with_names_of_openfaas(environ)
    refuse(*(section.problems(environ, given) for section in (SETTINGS, PREWARM, BROKER, AUTH, LEASE, KUBERNETES)))
    settings = SETTINGS.read(environ, given, broker=BROKER.read(environ, given))
    if not settings.state_dir and not settings.broker.nats_url:
        raise BadInput(
            "up to when ticks were sent has to be kept somewhere: set --state-dir to a folder, or --nats-url to the "
            "queue's NATS server, as nats://127.0.0.1:4222"
        )
    leading = led("cron", LEASE.read(environ, given), KUBERNETES.read(environ, given))
    return _assembled(settings, PREWARM.read(environ, given), AUTH.read(environ, given).credentials(), leading)


@asynccontextmanager
async def _assembled(
    settings: CronSettings, ahead: PrewarmSettings, credentials: Credentials | None, leading: Led
) -> AsyncIterator[Sequence[Service]]:
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        leadership, election = await stack.enter_async_context(leading)
        provider = ProviderClient(settings.provider_url, credentials)
        stack.push_async_callback(provider.aclose)
        endpoints = endpoints_of(
            provider,
            settings.provider_url,
            clock=clock,
            poll_interval_s=settings.rebuild_interval_s,
            stack=stack,
        )
        connections = GatewayConnections(httpx.URL(settings.gateway_url))
        stack.push_async_callback(connections.aclose)
        gateway = HttpTickGateway(
            connections,
            credentials=credentials,
            content_type=settings.content_type,
            timeout_s=settings.upstream_timeout_s,
        )
        deps = CronDeps(
            endpoints=endpoints,
            gateway=gateway,
            store=_store(settings, clock, stack),
            clock=clock,
            registry=CollectorRegistry(),
            credentials=credentials,
            leadership=leadership,
        )
        part = build(settings, deps)
        around = Surroundings(
            provider_url=settings.provider_url,
            gateway_url=settings.gateway_url,
            credentials=credentials,
            poll_interval_s=settings.rebuild_interval_s,
            paused=part.leading.paused,
            registry=deps.registry,
            clock=clock,
            leadership=leadership,
        )
        yield [vitals(deps.registry), *election, part, *prewarming(ahead, around, stack)]


def _store(settings: CronSettings, clock: SystemClock, stack: AsyncExitStack) -> Store:
    if settings.state_dir:
        return FileStore(Path(settings.state_dir), clock.wall)
    with nats_needed("what is kept of schedules needs"):
        from springtide.triggers.cron.nats_store import NatsStore  # noqa: PLC0415 - an extra
        from springtide.wire.jobs.nats.broker import Broker  # noqa: PLC0415
    broker = Broker(settings.broker, name="springtide cron")
    stack.push_async_callback(broker.aclose)
    return NatsStore(broker)
