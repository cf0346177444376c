"""Commands that change what runs: deploy, remove, scale."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from springtide.cli import stack, stack_source
from springtide.cli.build_context import BuildSource
from springtide.cli.commands import watching
from springtide.cli.commands.faas_cli_options import GoFlagCommand, ignored_options, tell_ignored
from springtide.cli.commands.many import Task, Verb, do_all
from springtide.cli.commands.options import (
    NAMESPACE_VARIABLE,
    duration_s,
    function_argument,
    json_option,
    namespace_option,
    pairs,
    payload_secret_option,
    stack_option,
    with_target,
)
from springtide.cli.gateway_client import DEPLOY_READ_S, GatewayClient
from springtide.cli.remote_build import RemoteBuilder
from springtide.cli.stack import Entry, Overrides
from springtide.cli.target import Target
from springtide.cli.terminal_text import lines
from springtide.provider.process import requirements
from springtide.provider.spec import FunctionSpec, spec_to_json
from springtide.runtime.errors import BadInput, NotFound
from springtide.scaler.core import label_names

DEFAULT_STACKS = ("stack.yaml", "stack.yml")
OF_ONE_FUNCTION = ("image", "fprocess", "handler", "lang")
MAX_TIMEOUT_S = 24 * 3600.0

filter_option = click.option(
    "--filter", "wildcard", help="Of a stack file, only functions whose names match, such as 'web-*'."
)
regex_option = click.option(
    "--regex", help="Of a stack file, only functions in whose names it is found, such as '^web-'."
)
envsubst_option = click.option(
    "--envsubst/--no-envsubst", default=True, help="Fill in ${VAR} in a stack file.  [default: envsubst]"
)


@click.command(cls=GoFlagCommand)
@click.argument("name", required=False)
@stack_option
@filter_option
@regex_option
@envsubst_option
@click.option("--name", "name_option", help="The same as NAME, as faas-cli has it.")
@click.option("--image", help="Container image; where functions run as processes, any word.")
@click.option("--fprocess", help="The command that runs for each request.")
@click.option("--handler", type=click.Path(file_okay=False), help="Folder with a handler.py: runs from there.")
@click.option("--lang", help="The template that the handler was written for, such as python3-http.")
@click.option("--env", "-e", multiple=True, metavar="KEY=VALUE", help="Environment variable; wins over the file's.")
@click.option("--label", "-l", multiple=True, metavar="KEY=VALUE", help="A label; may be repeated.")
@click.option("--annotation", multiple=True, metavar="KEY=VALUE", help="An annotation; may be repeated.")
@click.option("--secret", multiple=True, metavar="SECRET", help="A secret the function may read.")
@click.option("--constraint", multiple=True, metavar="KEY=VALUE", help="Label that a node must have, on Kubernetes.")
@click.option("--limit", multiple=True, metavar="KEY=QUANTITY", help="memory=128Mi or cpu=100m")
@click.option("--request", multiple=True, metavar="KEY=QUANTITY", help="memory=128Mi or cpu=100m")
@click.option("--memory-limit", hidden=True)
@click.option("--cpu-limit", hidden=True)
@click.option("--memory-request", hidden=True)
@click.option("--cpu-request", hidden=True)
@click.option("--readonly", is_flag=True, help="Make the root file system read-only.")
@click.option("--update/--no-update", default=None, help="Change functions that are there already.  [default: update]")
@click.option("--replace", is_flag=True, help="Remove functions that are there already, and make them anew.")
@click.option("--timeout", help="Give up on a function after this long.  [default: the gateway's deploy_timeout]")
@click.option("--token", "-k", hidden=True)
@click.option("--build", is_flag=True, help="Build each first, and deploy the image: for a gateway elsewhere.")
@click.option("--watch", is_flag=True, help="Go on, and deploy again whenever a handler's folder changes.")
@payload_secret_option
@namespace_option
@json_option
@ignored_options
@with_target
def deploy(*, target: Target, as_json: bool, **options: Any) -> int:
    """Deploy one function by flags, or those of a stack file (stack.yaml here, unless -f says otherwise).

    One that is refused leaves the others to be deployed; the exit status is 1 then.
    """
    name = _function_name(options["name"] or options["name_option"], "deploy")
    _check(options, as_json=as_json)
    tell_ignored(options)
    gateway: str | None = None
    if name and options["stack_file"] is None:
        entries: tuple[Entry, ...] = (_single(name, options, target.environ),)
    else:
        gateway, entries = chosen_entries(
            {**options, "only": name}, target.environ, _overrides(options, target.environ)
        )
    with target.client(gateway) as client:
        put = _put(client, options)
        if options["build"]:
            put = _built_first(RemoteBuilder.of(target, client, options["payload_secret"], quiet=as_json), put)

        def deploy_all(entries: Sequence[Entry]) -> int:
            tasks = [Task(entry.ref.name, entry.ref.namespace, _deploys(client, entry, put)) for entry in entries]
            return do_all(tasks, Verb("deployed", "url"), as_json=as_json)

        if not options["watch"]:
            return deploy_all(entries)
        folders = watching.handler_folders(entries)
        watching.deploy_on_changes(
            folders, lambda names: deploy_all([entry for entry in entries if entry.ref.name in names])
        )
        return 0


def _deploys(client: GatewayClient, entry: Entry, put: Callable[[FunctionSpec], None]) -> Callable[[], str]:
    def work() -> str:
        put(entry.wanted())
        return f"{client.url}/function/{entry.ref}"

    return work


def _put(client: GatewayClient, options: Mapping[str, Any]) -> Callable[[FunctionSpec], None]:
    timeout_s = _timeout_s(options["timeout"])

    def put(spec: FunctionSpec) -> None:
        _tell_requirements(spec)
        if options["replace"]:
            with contextlib.suppress(NotFound):  # a namespace that is missing is told by what comes next
                client.remove(spec.ref.name, spec.ref.namespace)
        if options["update"] is False and not options["replace"]:
            warnings = client.create(spec_to_json(spec), timeout_s=timeout_s)
        else:
            warnings = client.deploy(spec_to_json(spec), timeout_s=timeout_s)
        for warning in warnings:
            click.echo(f"springtide: {lines(f'{spec.ref.name}: {warning}')}", err=True)

    return put


def _tell_requirements(spec: FunctionSpec) -> None:
    """To somebody who waits: what a deployment may have to install first."""
    folder = Path(spec.annotations.get(label_names.HANDLER, "/nonexistent"))
    if not (folder.is_dir() and sys.stderr.isatty()):
        return
    with contextlib.suppress(BadInput):  # The provider says so, too.
        wanted = requirements.wanted_by(folder)
        if not wanted.nothing:
            what = f"installing {wanted.shown}, where that is not there yet"
            click.secho(lines(f"{spec.ref.name}: {what}"), dim=True, err=True)


def _built_first(builder: RemoteBuilder, put: Callable[[FunctionSpec], None]) -> Callable[[FunctionSpec], None]:
    def build_and_put(spec: FunctionSpec) -> None:
        source = BuildSource.of(spec)
        if source is not None:
            builder.build(source)
            spec = source.deployed(spec)
        put(spec)

    return build_and_put


@click.command(cls=GoFlagCommand)
@function_argument("names", nargs=-1)
@stack_option
@filter_option
@regex_option
@envsubst_option
@namespace_option
@json_option
@with_target
def remove(*, target: Target, names: Sequence[str], as_json: bool, **options: Any) -> int:
    """Remove functions by name, or those of a stack file. Calls under way finish first.

    One that cannot be removed leaves the others to be; the exit status is 1 then.
    """
    namespace = options["namespace"] or target.environ.get(NAMESPACE_VARIABLE)
    chosen = [(_function_name(name, "remove"), namespace) for name in dict.fromkeys(names)]
    gateway = None
    if not chosen or options["stack_file"] is not None:
        gateway, entries = chosen_entries(options, target.environ, _namespaces(options, target.environ))
        there = {entry.ref.name: entry.ref.namespace for entry in entries}
        if missing := [name for name, _ in chosen if name not in there]:
            raise BadInput(f"no function {missing[0]} in the stack file; there are {', '.join(there)}")
        chosen = [(name, there[name]) for name, _ in chosen] or list(there.items())
    with target.client(gateway) as client:
        tasks = [Task(name, namespace, _removes(client, name, namespace)) for name, namespace in chosen]
        return do_all(tasks, Verb("removed"), as_json=as_json)


def _removes(client: GatewayClient, name: str, namespace: str | None) -> Callable[[], str]:
    def work() -> str:
        client.remove(name, namespace)
        return ""

    return work


@click.command()
@function_argument()
@click.argument("replicas", type=click.IntRange(min=0))
@namespace_option
@with_target
def scale(*, target: Target, name: str, replicas: int, namespace: str | None) -> None:
    """Set how many replicas a function has; its owner goes on from there, and a warning says so."""
    with target.client() as client:
        warnings = client.scale(name, namespace, replicas)
    click.echo(f"Scaled {name} to {replicas}.")
    for warning in warnings:
        click.echo(f"springtide: {lines(f'{name}: {warning}')}", err=True)


def _function_name(name: str | None, command: str) -> Any:
    """``name``, unless it is a stack file's."""
    if name is None:
        return None
    if name.lower().endswith((".yml", ".yaml")) or stack_source.is_address(name) or name == stack_source.STANDARD_INPUT:
        raise BadInput(f"{name} names no function; did you mean -f {name}? Write: springtide {command} -f {name}")
    return name


def _check(options: Mapping[str, Any], *, as_json: bool) -> None:
    if options["update"] and options["replace"]:
        raise BadInput("--update and --replace exclude each other; give one")
    if options["watch"] and as_json:
        raise BadInput("--watch and --json exclude each other: what is watched never ends")
    if options["token"] is not None:
        raise BadInput("--token: not known here; log in with: springtide login")


def _timeout_s(text: str | None) -> float:
    if text is None:
        return DEPLOY_READ_S
    seconds = duration_s(text, "--timeout")
    if not 0 < seconds <= MAX_TIMEOUT_S:
        raise BadInput(f"--timeout {text}: write more than 0, and at most {MAX_TIMEOUT_S / 3600:.0f}h")
    return seconds


def _single(name: str, options: Mapping[str, Any], environ: Mapping[str, str]) -> Entry:
    value: dict[str, Any] = {
        "image": options["image"],
        "fprocess": options["fprocess"],
        "handler": options["handler"],
        "lang": options["lang"],
        "environment": pairs(options["env"], "--env"),
        "labels": pairs(options["label"], "--label"),
        "annotations": pairs(options["annotation"], "--annotation"),
        "secrets": list(options["secret"]),
        "constraints": list(options["constraint"]),
        "limits": _amounts("limit", options),
        "requests": _amounts("request", options),
        "readonly_root_filesystem": "true" if options["readonly"] else "false",
    }
    entry = stack.single(name, value, _namespaces(options, environ))
    _warn(entry.warnings)
    return entry


def _amounts(kind: str, options: Mapping[str, Any]) -> dict[str, str]:
    """``--limit memory=…``, and faas-cli's ``--memory-limit …``."""
    named = {resource: options[f"{resource}_{kind}"] for resource in ("memory", "cpu")}
    return {key: amount for key, amount in named.items() if amount} | pairs(options[kind], f"--{kind}")


def _namespaces(options: Mapping[str, Any], environ: Mapping[str, str]) -> Overrides:
    return Overrides(namespace=options["namespace"], default_namespace=environ.get(NAMESPACE_VARIABLE))


def _overrides(options: Mapping[str, Any], environ: Mapping[str, str]) -> Overrides:
    """What the flags say of all functions of a file. Raises BadInput for those that are of one function."""
    if of_one := [f"--{name}" for name in OF_ONE_FUNCTION if options[name] is not None]:
        verb = "is" if len(of_one) == 1 else "are"
        raise BadInput(
            f"{', '.join(of_one)} {verb} of one function, and here is a stack file: write it there, or leave out -f "
            "and name the function: springtide deploy NAME …"
        )
    return replace(
        _namespaces(options, environ),
        environment=pairs(options["env"], "--env"),
        labels=pairs(options["label"], "--label"),
        annotations=pairs(options["annotation"], "--annotation"),
        limits=_amounts("limit", options),
        requests=_amounts("request", options),
        secrets=tuple(options["secret"]),
        constraints=tuple(options["constraint"]),
        read_only=options["readonly"],
    )


def chosen_entries(
    options: Mapping[str, Any], environ: Mapping[str, str], overrides: Overrides
) -> tuple[str | None, tuple[Entry, ...]]:
    """The gateway a stack file names, and its functions that were asked for; warnings go to standard error."""
    where = options["stack_file"] or next((Path(name) for name in DEFAULT_STACKS if Path(name).is_file()), None)
    if where is None:
        raise BadInput("name a function, or a stack file with -f; there is no stack.yaml in this folder")
    read = stack.read_each(stack_source.read(where), environ if options["envsubst"] else None, overrides)
    _warn(read.warnings)
    if only := options.get("only"):
        return read.gateway, (read.named(only),)
    return read.gateway, read.matching(wildcard=options["wildcard"], regex=options["regex"])


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        click.echo(f"springtide: {lines(warning)}", err=True)
