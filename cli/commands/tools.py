"""The command that finds, or fetches, the programs of others that the suite works with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import click

from springtide.cli import browser, nats_server
from springtide.cli.commands.options import json_option, print_json, tools_dir_option, tools_folder
from springtide.cli.nats_server import NatsServer
from springtide.cli.tools import Missing, fetch, find


@click.command()
@click.option("--fetch", "fetching", is_flag=True, help="Unpack Debian's packages into the folder if need be.")
@click.option("--with", "also", type=click.Choice(["chromium"]), multiple=True, help="Also what the tests need.")
@tools_dir_option
@json_option
@click.pass_obj
def tools(
    environ: Mapping[str, str],
    /,
    *,
    fetching: bool,
    also: tuple[str, ...],
    tools_dir: Path | None,
    as_json: bool,
) -> None:
    """Show where Prometheus, promtool, Alertmanager, amtool and nats-server are.

    With --fetch, not finding them is no failure: the suite runs without its alert path.
    """
    folder, path = tools_folder(tools_dir, environ), environ.get("PATH", "")
    found = fetch(folder, path, progress=_progress) if fetching else find(folder, path)
    where: dict[str, str] = {}
    missing = []
    if isinstance(found, Missing):
        missing.append(found.why)
    else:
        where = {name: str(program) for name, program in asdict(found).items()}
    where |= _broker(path)
    if also:
        chromium = browser.fetch(folder, path, progress=_progress) if fetching else browser.find(folder, path)
        if isinstance(chromium, Missing):
            missing.append(chromium.why)
        else:
            where["chromium"] = str(chromium)
    for why in missing:
        click.secho(f"springtide: {why}", fg="yellow", err=True)
    if missing:
        raise click.exceptions.Exit(0 if fetching else 1)
    if as_json:
        print_json(where)
    elif not fetching:
        for name, program in where.items():
            click.echo(f"{name.ljust(14)}{program}")


def _broker(path: str) -> dict[str, str]:
    """Its absence is no failure: everything but asynchronous calls works without."""
    found = nats_server.find(path)
    if isinstance(found, NatsServer):
        return {nats_server.PROGRAM: str(found.program)}
    click.secho(f"springtide: {found.why}", fg="yellow", err=True)
    return {}


def _progress(step: str) -> None:
    click.echo(f"springtide: {step} …", err=True)
