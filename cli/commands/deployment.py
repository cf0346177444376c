"""Commands that change what runs: deploy, remove, scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from springtide.cli import stack
from springtide.cli.commands.options import json_option, namespace_option, pairs, print_json, stack_option, with_target
from springtide.cli.target import Target
from springtide.cli.terminal_text import lines
from springtide.provider.spec import FunctionSpec, spec_to_json
from springtide.runtime.errors import BadInput

DEFAULT_STACKS = ("stack.yaml", "stack.yml")


@click.command()
@click.argument("name", required=False)
@stack_option
@click.option("--filter", "wildcard", help="Of a stack file, only functions whose names match, such as 'web-*'.")
@click.option("--regex", help="Of a stack file, only functions whose names match from their start.")
@click.option("--name", "name_option", help="The same as NAME, as faas-cli has it.")
@click.option("--image", help="Container image; where functions run as processes, any word.")
@click.option("--fprocess", help="The command that runs for each request.")
@click.option("--handler", type=click.Path(file_okay=False), help="Folder with a handler.py: runs from there.")
@click.option("--env", "-e", multiple=True, metavar="KEY=VALUE", help="Environment variable; wins over the file's.")
@click.option("--label", "-l", multiple=True, metavar="KEY=VALUE")
@click.option("--annotation", multiple=True, metavar="KEY=VALUE")
@click.option("--secret", multiple=True, metavar="SECRET", help="A secret the function may read.")
@click.option("--constraint", multiple=True, metavar="KEY=VALUE")
@click.option("--limit", multiple=True, metavar="KEY=QUANTITY", help="memory=128Mi or cpu=100m")
@click.option("--request", multiple=True, metavar="KEY=QUANTITY", help="memory=128Mi or cpu=100m")
@click.option("--readonly", is_flag=True, help="Make the root file system read-only.")
@namespace_option
@json_option
@with_target
def deploy(*, target: Target, as_json: bool, **options: Any) -> None:
    """Deploy one function by flags, or those of a stack file (stack.yaml here, unless -f says otherwise)."""
    name = options["name"] or options["name_option"]
    gateway: str | None = None
    specs: tuple[FunctionSpec, ...]
    if name and options["stack_file"] is None:
        specs = (_single(name, options),)
    else:
        gateway, specs = _of_stack({**options, "only": name}, target.environ)
    with target.client(gateway) as client:
        deployed = []
        for spec in specs:
            client.deploy(spec_to_json(spec))
            url = f"{client.url}/function/{spec.ref}"
            deployed.append({"name": spec.ref.name, "namespace": spec.ref.namespace, "url": url})
            if not as_json:
                click.echo(f"Deployed {spec.ref.name}. URL: {url}")
    if as_json:
        print_json(deployed)


@click.command()
@click.argument("names", nargs=-1)
@stack_option
@click.option("--filter", "wildcard", help="Of a stack file, only functions whose names match, such as 'web-*'.")
@click.option("--regex", help="Of a stack file, only functions whose names match from their start.")
@namespace_option
@with_target
def remove(*, target: Target, names: Sequence[str], **options: Any) -> None:
    """Remove functions by name, or those of a stack file. Calls under way finish first."""
    gateway, chosen = None, [(name, options["namespace"]) for name in names]
    if not chosen:
        gateway, specs = _of_stack({**options, "env": ()}, target.environ)
        chosen = [(spec.ref.name, spec.ref.namespace) for spec in specs]
    with target.client(gateway) as client:
        for name, namespace in chosen:
            client.remove(name, namespace)
            click.echo(f"Removed {name}.")


@click.command()
@click.argument("name")
@click.argument("replicas", type=click.IntRange(min=0))
@namespace_option
@with_target
def scale(*, target: Target, name: str, replicas: int, namespace: str | None) -> None:
    """Set how many replicas a function has; autoscaling goes on from there."""
    with target.client() as client:
        client.scale(name, namespace, replicas)
    click.echo(f"Scaled {name} to {replicas}.")


def _single(name: str, options: Mapping[str, Any]) -> FunctionSpec:
    value: dict[str, Any] = {
        "image": options["image"],
        "fprocess": options["fprocess"],
        "handler": options["handler"],
        "environment": pairs(options["env"], "--env"),
        "labels": pairs(options["label"], "--label"),
        "annotations": pairs(options["annotation"], "--annotation"),
        "secrets": list(options["secret"]),
        "constraints": list(options["constraint"]),
        "limits": pairs(options["limit"], "--limit"),
        "requests": pairs(options["request"], "--request"),
        "readonly_root_filesystem": "true" if options["readonly"] else "false",
    }
    return stack.single(name, value, stack.Overrides(environment={}, namespace=options["namespace"]))


def _of_stack(options: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[str | None, tuple[FunctionSpec, ...]]:
    """The gateway a stack file names, and its functions that were asked for; warnings go to standard error."""
    path = options["stack_file"] or next((Path(name) for name in DEFAULT_STACKS if Path(name).is_file()), None)
    if path is None:
        raise BadInput("name a function, or a stack file with -f; there is no stack.yaml in this folder")
    overrides = stack.Overrides(environment=pairs(options["env"], "--env"), namespace=options["namespace"])
    read = stack.read(path, environ, overrides)
    for warning in read.warnings:
        click.echo(f"springtide: {lines(warning)}", err=True)
    if only := options.get("only"):
        return read.gateway, (read.named(only).wanted(),)
    chosen = read.matching(wildcard=options["wildcard"], regex=options["regex"])
    return read.gateway, tuple(entry.wanted() for entry in chosen)
