"""The provider of containers on this machine, and its API, as one process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from springtide.cli.parts.authentication import AuthSettings
from springtide.cli.parts.machine_services import Built, ProviderContext, serve_provider
from springtide.cli.parts.settings_flags import Section, refuse, settings_options
from springtide.provider.api import ProviderApiSettings
from springtide.provider.containers.service import ContainerDeps, build
from springtide.provider.containers.settings import ContainerSettings
from springtide.provider.process.settings import ProcessSettings

API, AUTH = Section(ProviderApiSettings), Section(AuthSettings)
MACHINE, CONTAINERS = Section(ProcessSettings, prefix="function"), Section(ContainerSettings, prefix="container")


@click.command()
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for functions, their secrets, counts and logs.",
)
@settings_options(API, AUTH, MACHINE, CONTAINERS)
@click.pass_obj
def container_provider(environ: Mapping[str, str], /, *, data_dir: Path, **given: object) -> None:
    """Run the provider: functions as containers of Docker or Podman on this machine, behind OpenFaaS's REST API."""
    plain = {"state_dir": data_dir.absolute()}
    refuse(
        *(section.problems(environ, given) for section in (API, AUTH, CONTAINERS)),
        MACHINE.problems(environ, given, **plain),
    )
    machine, containers = MACHINE.read(environ, given, **plain), CONTAINERS.read(environ, given)

    def made(context: ProviderContext) -> Built:
        deps = ContainerDeps(context.clock, context.registry, context.decisions, dict(environ), context.scalers)
        return Built.alone(build(containers, machine, deps))

    serve_provider(API.read(environ, given), AUTH.read(environ, given), machine.state_dir, made)
