"""The provider of processes and containers on this machine, and its API, as one process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from springtide.cli.parts.authentication import AuthSettings
from springtide.cli.parts.machine_services import Built, ProviderContext, serve_provider
from springtide.cli.parts.settings_flags import Section, refuse, settings_options
from springtide.provider.api import ProviderApiSettings
from springtide.provider.containers.settings import ContainerSettings
from springtide.provider.process.settings import ProcessSettings
from springtide.provider.routing.service import RoutingDeps, build

API, AUTH = Section(ProviderApiSettings), Section(AuthSettings)
MACHINE, CONTAINERS = Section(ProcessSettings, prefix="function"), Section(ContainerSettings, prefix="container")


@click.command()
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for functions that are processes, their secrets, counts and logs, and for decisions.",
)
@click.option(
    "--container-data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Another one for functions that are containers, and theirs.",
)
@settings_options(API, AUTH, MACHINE, CONTAINERS)
@click.pass_obj
def routing_provider(
    environ: Mapping[str, str], /, *, data_dir: Path, container_data_dir: Path, **given: object
) -> None:
    """Run the provider: functions as processes and as containers of this machine, behind OpenFaaS's REST API."""
    plain = {"state_dir": data_dir.absolute()}
    refuse(
        *(section.problems(environ, given) for section in (API, AUTH, CONTAINERS)),
        MACHINE.problems(environ, given, **plain),
    )
    machine, containers = MACHINE.read(environ, given, **plain), CONTAINERS.read(environ, given)

    def made(context: ProviderContext) -> Built:
        deps = RoutingDeps(context.clock, context.registry, context.decisions, dict(environ), context.scalers)
        sides = build(machine, container_data_dir.absolute(), containers, deps)
        return Built(sides, sides.provider, sides.builder, sides.library)

    serve_provider(API.read(environ, given), AUTH.read(environ, given), machine.state_dir, made)
