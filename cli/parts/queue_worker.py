"""The queue worker, which runs asynchronous calls, as a process."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import click
import httpx
from prometheus_client import CollectorRegistry

from springtide.cli.parts.authentication import AuthSettings
from springtide.cli.parts.foreground import serve
from springtide.cli.parts.settings_flags import Section, refuse, settings_options
from springtide.queue_worker.callback_http import HttpTeller, checked_transport
from springtide.queue_worker.gateway_calls import GatewayCalls
from springtide.queue_worker.service import QueueWorkerDeps, build
from springtide.queue_worker.settings import QueueWorkerSettings, callback_rules, with_names_of_openfaas_worker
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.build_version import Version
from springtide.runtime.clock import SystemClock
from springtide.runtime.errors import BadInput
from springtide.runtime.files import read_whole
from springtide.runtime.kept_parts import Assembled
from springtide.runtime.service import Service
from springtide.wire.gateway_connections import GatewayConnections
from springtide.wire.jobs.callback_settings import CallbackSettings
from springtide.wire.jobs.nats_package import nats_needed
from springtide.wire.jobs.settings import BrokerSettings
from springtide.wire.provider_client import ProviderClient
from springtide.wire.vitals import vitals

SETTINGS, BROKER = Section(QueueWorkerSettings), Section(BrokerSettings)
CALLBACKS, AUTH = Section(CallbackSettings), Section(AuthSettings)


@click.command("queue-worker")
@settings_options(SETTINGS, BROKER, CALLBACKS, AUTH)
@click.pass_obj
def queue_worker(environ: Mapping[str, str], /, **given: object) -> None:
    """Run the queue worker: takes asynchronous calls from their queue and makes them."""
    serve(assembled(environ, given))


def assembled(environ: Mapping[str, str], given: Mapping[str, object]) -> Assembled:
    """``given`` are the command's flags. Raises SettingsError."""
    environ = with_names_of_openfaas_worker(environ)
    refuse(*(section.problems(environ, given) for section in (SETTINGS, BROKER, CALLBACKS, AUTH)))
    broker, callbacks = BROKER.read(environ, given), CALLBACKS.read(environ, given)
    settings = SETTINGS.read(environ, given, broker=broker, callbacks=callbacks)
    if not settings.broker.nats_url:
        raise BadInput("a queue worker needs a NATS server with JetStream: set --nats-url, as nats://127.0.0.1:4222")
    return _assembled(settings, AUTH.read(environ, given).credentials())


@asynccontextmanager
async def _assembled(
    settings: QueueWorkerSettings, credentials: Credentials | None
) -> AsyncIterator[Sequence[Service]]:
    with nats_needed("the queue worker needs"):
        from springtide.wire.jobs.nats.broker import Broker  # noqa: PLC0415 - an extra
        from springtide.wire.jobs.nats.hearing import NatsCopyChannel  # noqa: PLC0415
        from springtide.wire.jobs.nats.inspection import NatsBrokerView  # noqa: PLC0415
        from springtide.wire.jobs.nats.source import NatsJobSource  # noqa: PLC0415
    rules = callback_rules(settings)
    async with AsyncExitStack() as stack:
        broker = Broker(settings.broker, name="springtide queue-worker")
        stack.push_async_callback(broker.aclose)
        provider = ProviderClient(settings.provider_url, credentials)
        stack.push_async_callback(provider.aclose)
        connections = GatewayConnections(httpx.URL(settings.gateway_url))
        stack.push_async_callback(connections.aclose)
        callbacks = await stack.enter_async_context(checked_transport(rules))
        deps = QueueWorkerDeps(
            source=NatsJobSource(broker, settings.queue, ack_wait_s=settings.ack_wait_s, idle_s=settings.idle_lane_s),
            copies=NatsCopyChannel(broker.connection, settings.queue),
            broker=NatsBrokerView(
                broker.connection, broker.requests.unstored, monitoring_url=settings.nats_monitoring_url
            ),
            endpoints=provider,
            caller=GatewayCalls(connections, max_result=settings.max_result, timeout_s=settings.upstream_timeout_s),
            teller=HttpTeller(
                callbacks,
                rules,
                secret=_secret(settings.callback_secret_path),
                gateway_url=settings.gateway_url,
            ),
            clock=SystemClock(),
            chance=random.random,
            registry=CollectorRegistry(),
            version=Version.installed().release,
        )
        yield [vitals(deps.registry), build(settings, deps)]


def _secret(path: str) -> bytes:
    """Raises BadInput."""
    if not path:
        return b""
    try:
        secret = read_whole(Path(path)).strip()
    except OSError as error:
        raise BadInput(f"callback_secret_path: {path}: {error.strerror}") from error
    if not secret:
        raise BadInput(f"callback_secret_path: {path} is empty")
    return secret
