"""Commands about functions that are there to be deployed by name, and the templates to write others by."""

from __future__ import annotations

import platform
from typing import Any

import click

from springtide.cli import stack_source
from springtide.cli.commands.options import json_option, namespace_option, pairs, print_json, print_table, with_target
from springtide.cli.gateway_client import Json
from springtide.cli.target import Target
from springtide.runtime import bounded_json
from springtide.runtime.errors import BadInput, NotFound, Unavailable

_ARCHITECTURES = {"aarch64": "arm64", "arm64": "arm64", "armv7l": "armhf", "armv6l": "armhf"}

url_option = click.option("--url", help="Another store's address.  [env: OPENFAAS_STORE; default: the gateway's own]")


@click.group()
def store() -> None:
    """List, show and deploy the functions of the store."""


@store.command("list")
@url_option
@json_option
@with_target
def list_(*, target: Target, url: str | None, as_json: bool) -> None:
    """List the functions there are."""
    functions = _functions(target, url)
    if as_json:
        print_json(functions)
    else:
        rows = [(each.get("name", ""), each.get("title", ""), each.get("description", "")) for each in functions]
        print_table(("Name", "Title", "About"), rows)


@store.command()
@click.argument("name")
@url_option
@with_target
def inspect(*, target: Target, name: str, url: str | None) -> None:
    """Print all that the store says of one function, as JSON."""
    print_json(_named(_functions(target, url), name))


@store.command()
@click.argument("name")
@click.option("--name", "function", help="What to call it.  [default: its name in the store]")
@click.option("--env", "-e", multiple=True, metavar="KEY=VALUE", help="Environment variable; wins over the store's.")
@click.option("--label", "-l", multiple=True, metavar="KEY=VALUE", help="A label; may be repeated.")
@click.option("--annotation", multiple=True, metavar="KEY=VALUE", help="An annotation; may be repeated.")
@url_option
@namespace_option
@with_target
def deploy(*, target: Target, name: str, function: str | None, url: str | None, **options: Any) -> None:
    """Deploy a function of the store."""
    found = _named(_functions(target, url), name)
    images = found.get("images")
    architecture = _ARCHITECTURES.get(platform.machine(), "x86_64")
    image = images.get(architecture) if isinstance(images, dict) else None
    if not image:
        raise BadInput(f"{name}: the store has no image of it for {architecture}")
    deployment = {
        "service": function or name,
        "image": image,
        "envProcess": found.get("fprocess") or "",
        "envVars": {**(found.get("environment") or {}), **pairs(options["env"], "--env")},
        "labels": {**(found.get("labels") or {}), **pairs(options["label"], "--label")},
        "annotations": {**(found.get("annotations") or {}), **pairs(options["annotation"], "--annotation")},
        "readOnlyRootFilesystem": bool(found.get("readOnlyRootFilesystem")),
    }
    if options["namespace"]:
        deployment["namespace"] = options["namespace"]
    with target.client() as client:
        client.deploy(deployment)
        click.echo(f"Deployed {deployment['service']}. URL: {client.url}/function/{deployment['service']}")


@click.group()
def template() -> None:
    """Templates that functions can be written by."""


@template.command("list")
@json_option
@with_target
def list_templates(*, target: Target, as_json: bool) -> None:
    """List the templates that run on the gateway, and the repository that faas-cli can pull them from."""
    with target.client() as client:
        found = client.templates()
    if as_json:
        print_json(found)
        return
    print_table(("Template", "About"), [(each.get("template", ""), each.get("description", "")) for each in found])
    if sources := {str(each.get("source")) for each in found}:
        click.echo(f"\nfaas-cli template pull {sources.pop()}")


def _functions(target: Target, url: str | None) -> list[Json]:
    """Another store is asked without credentials."""
    address = url or target.environ.get("OPENFAAS_STORE")
    if address:
        if not stack_source.is_address(address):
            raise BadInput(f"store {address[:200]!r}: write an address that begins with http:// or https://")
        try:
            value = bounded_json.loads(stack_source.read(address).text)
        except ValueError as error:
            raise Unavailable(f"{address}: not a store of functions: {error}") from error
    else:
        with target.client() as client:
            address, value = client.url, client.store()
    functions = value.get("functions") if isinstance(value, dict) else None
    if not isinstance(functions, list) or not all(isinstance(function, dict) for function in functions):
        raise Unavailable(f"{address}: not a store of functions")
    return functions


def _named(functions: list[Json], name: str) -> Json:
    for function in functions:
        if function.get("name") == name:
            return function
    raise NotFound(f"no function {name} in the store; springtide store list shows them")
