"""Commands about secrets: files that functions read, whose values never come back."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from springtide.cli.commands.options import json_option, namespace_option, print_json, print_table, with_target
from springtide.cli.target import Target
from springtide.runtime.errors import AlreadyExists, BadInput

F = TypeVar("F", bound=Callable[..., Any])

MAX_SECRET_BYTES = 1 << 20
"""What a request to the provider may have, and what Kubernetes keeps."""


@click.group()
def secret() -> None:
    """Create, update, list and remove secrets."""


def _with_value(command: F) -> F:
    """Adds the options from which ``_value`` takes a secret's value."""
    for option in (
        click.option("--trim/--no-trim", default=True, help="Drop white space around the value.  [default: trim]"),
        click.option("--from-file", type=click.Path(dir_okay=False, path_type=Path), help="The file with the value."),
        click.option("--from-literal", help="The value itself; it shows in the shell's history."),
    ):
        command = option(command)
    return command


@secret.command()
@click.argument("name")
@_with_value
@click.option("--replace", is_flag=True, help="Give it the new value where it is there already.")
@namespace_option
@with_target
def create(*, target: Target, name: str, namespace: str | None, replace: bool, **source: Any) -> None:
    """Make a secret from a file, from a literal, or from what is piped in."""
    value = _value(**source)
    with target.client() as client:
        try:
            client.put_secret(name, namespace, value, replace=False)
        except AlreadyExists:
            if not replace:
                raise
            client.put_secret(name, namespace, value, replace=True)
    click.echo(f"Created secret {name}.")


@secret.command()
@click.argument("name")
@_with_value
@namespace_option
@with_target
def update(*, target: Target, name: str, namespace: str | None, **source: Any) -> None:
    """Give a secret a new value.

    Running functions that read its file anew see it: at once where they are processes, on Kubernetes within a minute
    or two, when the kubelet next looks.
    """
    value = _value(**source)
    with target.client() as client:
        client.put_secret(name, namespace, value, replace=True)
    click.echo(f"Updated secret {name}.")


@secret.command("list")
@namespace_option
@json_option
@with_target
def list_(*, target: Target, namespace: str | None, as_json: bool) -> None:
    """List the names of secrets."""
    with target.client() as client:
        secrets = client.secrets(namespace)
    if as_json:
        print_json(secrets)
    else:
        print_table(("Name", "Namespace"), [(item.get("name"), item.get("namespace") or "") for item in secrets])


@secret.command()
@click.argument("name")
@namespace_option
@with_target
def remove(*, target: Target, name: str, namespace: str | None) -> None:
    """Remove a secret."""
    with target.client() as client:
        client.remove_secret(name, namespace)
    click.echo(f"Removed secret {name}.")


def _value(*, from_literal: str | None, from_file: Path | None, trim: bool) -> bytes:
    if from_literal is not None and from_file is not None:
        raise BadInput("--from-literal and --from-file exclude each other; give one")
    if from_literal is not None:
        value = from_literal.encode()
    elif from_file is not None:
        try:
            with from_file.open("rb") as file:
                value = file.read(MAX_SECRET_BYTES + 1)
        except OSError as error:
            raise BadInput(f"{from_file}: {error.strerror}") from error
    elif sys.stdin.isatty():
        raise BadInput("give the value with --from-file or --from-literal, or pipe it in")
    else:
        value = sys.stdin.buffer.read(MAX_SECRET_BYTES + 1)
    if len(value) > MAX_SECRET_BYTES:
        raise BadInput(f"the value has more than {MAX_SECRET_BYTES} bytes; a secret holds less")
    value = value.strip() if trim else value
    if not value:
        raise BadInput("the value is empty; a secret holds at least one byte")
    return value
