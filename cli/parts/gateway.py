"""The gateway as a process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import click
import structlog
from prometheus_client import CollectorRegistry

from springtide.cli.parts.authentication import AuthSettings
from springtide.cli.parts.foreground import serve
from springtide.cli.parts.settings_flags import Section, refuse, settings_options
from springtide.gateway import service
from springtide.gateway.settings import GatewaySettings
from springtide.gateway.workers import processors
from springtide.gateway.workers.fork_server import ForkServer
from springtide.gateway.workers.pool import PoolDeps, build
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.clock import SystemClock
from springtide.runtime.service import Service
from springtide.wire.jobs.callback_settings import CallbackSettings
from springtide.wire.jobs.settings import BrokerSettings, with_names_of_openfaas
from springtide.wire.vitals import vitals

log = structlog.get_logger(__name__)

SETTINGS, BROKER = Section(GatewaySettings), Section(BrokerSettings)
CALLBACKS, AUTH = Section(CallbackSettings), Section(AuthSettings)


@click.command()
@settings_options(SETTINGS, BROKER, CALLBACKS, AUTH)
@click.pass_obj
def gateway(environ: Mapping[str, str], /, **given: object) -> None:
    """Run the gateway: the public door to functions and to the system API."""
    environ = with_names_of_openfaas(environ)
    refuse(*(section.problems(environ, given) for section in (SETTINGS, BROKER, CALLBACKS, AUTH)))
    broker, callbacks = BROKER.read(environ, given), CALLBACKS.read(environ, given)
    settings = SETTINGS.read(environ, given, broker=broker, callbacks=callbacks)
    credentials = AUTH.read(environ, given).credentials()
    workers = settings.workers or processors.usable()
    if workers == 1:
        serve(_alone(settings, credentials))
    else:
        forks = ForkServer.forked() if sys.platform == "linux" else ForkServer()
        serve(_several(settings, PoolDeps(credentials, CollectorRegistry(), forks=forks), workers))


@asynccontextmanager
async def _alone(settings: GatewaySettings, credentials: Credentials | None) -> AsyncIterator[Sequence[Service]]:
    registry = CollectorRegistry()
    deps = service.GatewayDeps(credentials=credentials, registry=registry, clock=SystemClock())
    with _on_hang_up(_nothing_to_renew):
        yield [vitals(registry), service.build(settings, deps)]


@asynccontextmanager
async def _several(settings: GatewaySettings, deps: PoolDeps, workers: int) -> AsyncIterator[Sequence[Service]]:
    pool = build(settings, deps, workers)
    with _on_hang_up(pool.renew):
        yield [pool]


def _nothing_to_renew() -> None:
    log.warning("SIGHUP replaces workers, and this gateway has none: it goes on as it is; --workers 2 or more has them")


@contextmanager
def _on_hang_up(renew: Callable[[], None]) -> Iterator[None]:
    """SIGHUP renews, and does not end us; it does where it tells that the terminal we were started in is gone.

    The two look alike, but the kernel takes the terminal away before it says so. What ``nohup`` started outlives that.
    """
    loop, nohup, had_terminal = asyncio.get_running_loop(), _ignored(signal.SIGHUP), _has_terminal()

    def hang_up() -> None:
        nonlocal had_terminal
        if not had_terminal or _has_terminal():
            renew()
        elif nohup:
            had_terminal = False
            log.info("the terminal is gone; started by nohup, the gateway goes on")
        else:
            os.kill(os.getpid(), signal.SIGTERM)

    loop.add_signal_handler(signal.SIGHUP, hang_up)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


def _ignored(number: signal.Signals) -> bool:
    return signal.getsignal(number) is signal.SIG_IGN


def _has_terminal() -> bool:
    try:
        Path("/dev/tty").open("rb").close()
    except OSError:
        return False
    return True
