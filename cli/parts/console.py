"""The console as a process."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import click

from springtide.cli.parts.authentication import AuthSettings
from springtide.cli.parts.foreground import serve
from springtide.cli.parts.settings_flags import Section, refuse, settings_options
from springtide.cli.state import StateFolder
from springtide.console.service import ConsoleDeps, build
from springtide.console.settings import ConsoleSettings
from springtide.runtime.kept_parts import Assembled
from springtide.runtime.service import Service
from springtide.wire.vitals import vitals

SETTINGS, AUTH = Section(ConsoleSettings), Section(AuthSettings)
COMMAND = (sys.executable, "-P", "-m", "springtide.cli")


@click.command()
@settings_options(SETTINGS, AUTH)
@click.pass_obj
def console(environ: Mapping[str, str], /, **given: object) -> None:
    """Run the console: the pages behind the gateway's /ui/."""
    serve(assembled(environ, given))


def assembled(environ: Mapping[str, str], given: Mapping[str, object]) -> Assembled:
    """``given`` are the command's flags. Raises SettingsError."""
    refuse(SETTINGS.problems(environ, given), AUTH.problems(environ, given))
    return _assembled(SETTINGS.read(environ, given), AUTH.read(environ, given))


@asynccontextmanager
async def _assembled(settings: ConsoleSettings, auth: AuthSettings) -> AsyncIterator[Sequence[Service]]:
    state = StateFolder(Path(settings.state_dir)) if settings.state_dir else None
    set_aside = state.set_aside if state is not None else tuple
    deps = ConsoleDeps(
        credentials=auth.credentials(),
        replay=(*COMMAND, "replay"),
        advise=(*COMMAND, "advise"),
        set_aside=set_aside,
    )
    yield [vitals(deps.registry), build(settings, deps)]
