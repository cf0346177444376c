"""The console as a process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import click

from console.service import ConsoleDeps, build
from console.settings import ConsoleSettings
from runtime.service import Service
from scaler.vitals import vitals
from suite.parts.authentication import AuthSettings
from suite.parts.foreground import serve
from suite.parts.settings_flags import Section, refuse, settings_options

SETTINGS, AUTH = Section(ConsoleSettings), Section(AuthSettings)


@click.command()
@settings_options(SETTINGS, AUTH)
@click.pass_obj
def console(environ: Mapping[str, str], /, **given: object) -> None:
    """Run the console: the pages behind the gateway's /ui/."""
    refuse(SETTINGS.problems(environ, given), AUTH.problems(environ, given))
    serve(_assembled(SETTINGS.read(environ, given), AUTH.read(environ, given)))


@asynccontextmanager
async def _assembled(settings: ConsoleSettings, auth: AuthSettings) -> AsyncIterator[Sequence[Service]]:
    deps = ConsoleDeps(credentials=auth.credentials())
    yield [vitals(deps.registry), build(settings, deps)]
