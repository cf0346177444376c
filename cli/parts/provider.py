"""The provider of local processes, and its API, as one process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from springtide.cli.parts.authentication import AuthSettings
from springtide.cli.parts.machine_services import Built, ProviderContext, serve_provider
from springtide.cli.parts.settings_flags import Section, refuse, settings_options
from springtide.provider.api import ProviderApiSettings
from springtide.provider.process.service import ProcessDeps
from springtide.provider.process.service import build as build_process
from springtide.provider.process.settings import ProcessSettings

API, AUTH = Section(ProviderApiSettings), Section(AuthSettings)
PROCESS = Section(ProcessSettings, prefix="function")


@click.command()
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for functions, their secrets, counts and logs.",
)
@settings_options(API, AUTH, PROCESS)
@click.pass_obj
def provider(environ: Mapping[str, str], /, *, data_dir: Path, **given: object) -> None:
    """Run the provider: functions as processes of this machine, behind OpenFaaS's REST API."""
    plain = {"state_dir": data_dir.absolute()}
    refuse(API.problems(environ, given), AUTH.problems(environ, given), PROCESS.problems(environ, given, **plain))
    process = PROCESS.read(environ, given, **plain)

    def made(context: ProviderContext) -> Built:
        deps = ProcessDeps(context.clock, context.registry, context.decisions, dict(environ), context.scalers)
        return Built.alone(build_process(process, deps))

    serve_provider(API.read(environ, given), AUTH.read(environ, given), process.state_dir, made)
