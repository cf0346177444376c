"""Commands about what was deployed before: versions, rollback."""

from __future__ import annotations

import click

from springtide.cli.commands.options import (
    function_argument,
    json_option,
    namespace_option,
    print_json,
    print_table,
    with_target,
)
from springtide.cli.target import Target


@click.command()
@function_argument()
@namespace_option
@json_option
@with_target
def versions(*, target: Target, name: str, namespace: str | None, as_json: bool) -> None:
    """List what a function runs and what it can go back to, newest first."""
    with target.client() as client:
        found = client.versions(name, namespace)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            version["version"],
            "yes" if version.get("current") else "",
            version.get("deployedAt", "").partition(".")[0],
            version.get("code", "")[:12] or "-",
            version.get("image", ""),
        )
        for version in found
    ]
    print_table(("VERSION", "RUNS", "DEPLOYED (UTC)", "CODE", "IMAGE"), rows)


@click.command()
@function_argument()
@click.option("--to", metavar="VERSION", help="The version to go back to  [default: the one before this]")
@namespace_option
@json_option
@with_target
def rollback(*, target: Target, name: str, to: str | None, namespace: str | None, as_json: bool) -> None:
    """Deploy an earlier version of a function again: its code, its requirements, its settings. No call is lost."""
    with target.client() as client:
        version = client.rollback(name, namespace, to)
    if as_json:
        print_json(version)
    else:
        click.echo(f"Rolled {name} back to version {version['version']}; see them with: springtide versions {name}")
