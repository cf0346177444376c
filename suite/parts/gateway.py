"""The gateway as a process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import click
from prometheus_client import CollectorRegistry

from gateway.service import GatewayDeps, build
from gateway.settings import GatewaySettings
from runtime.clock import SystemClock
from runtime.service import Service
from suite.parts.authentication import AuthSettings
from suite.parts.foreground import serve
from suite.parts.settings_flags import Section, refuse, settings_options

SETTINGS, AUTH = Section(GatewaySettings), Section(AuthSettings)


@click.command()
@settings_options(SETTINGS, AUTH)
@click.pass_obj
def gateway(environ: Mapping[str, str], /, **given: object) -> None:
    """Run the gateway: the public door to functions and to the system API."""
    refuse(SETTINGS.problems(environ, given), AUTH.problems(environ, given))
    serve(_assembled(SETTINGS.read(environ, given), AUTH.read(environ, given)))


@asynccontextmanager
async def _assembled(settings: GatewaySettings, auth: AuthSettings) -> AsyncIterator[Sequence[Service]]:
    deps = GatewayDeps(credentials=auth.credentials(), registry=CollectorRegistry(), clock=SystemClock())
    yield [build(settings, deps)]
