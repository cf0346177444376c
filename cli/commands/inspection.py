"""Commands that show what runs: list, describe, logs."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from springtide.cli.commands.faas_cli_options import GoFlagCommand
from springtide.cli.commands.options import (
    function_argument,
    json_option,
    namespace_option,
    print_json,
    print_table,
    with_target,
)
from springtide.cli.gateway_client import Json, ref_of
from springtide.cli.sleep_status import SleepStatus, statuses
from springtide.cli.target import Target
from springtide.cli.terminal_text import lines, one_line
from springtide.provider.spec import rfc3339
from springtide.runtime.durations import parse_duration_s
from springtide.runtime.errors import BadInput
from springtide.scaler.core import explain, label_names
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE, FunctionRef
from springtide.wire.events import topics
from springtide.wire.provider_client import owner_of
from springtide.wire.schedules.annotations import schedules_of

MAX_KEPT_SHOWN = 5


@click.command("list", cls=GoFlagCommand)
@click.option("--verbose", "-v", is_flag=True, help="With each function's image, and who scales it.")
@click.option("--quiet", "-q", is_flag=True, help="Names only, one a line.")
@click.option(
    "--sort",
    type=click.Choice(("name", "invocations")),
    default="name",
    show_default=True,
    help="By what the list is sorted.",
)
@namespace_option
@json_option
@with_target
def list_(*, target: Target, namespace: str | None, as_json: bool, verbose: bool, quiet: bool, sort: str) -> None:
    """List functions with their calls and replicas, and when those sleep whose sleep is learned, if there are any.

    Problems are told on standard error.
    """
    with target.client() as client:
        functions = client.functions(namespace)
        now = time.time()
        sleep = statuses(client, {ref_of(item): item for item in functions}, now) if not quiet else {}
    if sort == "invocations":
        functions.sort(key=lambda item: -(item.get("invocationCount") or 0))
    if as_json:
        print_json([item | _sleep_json(sleep.get(ref_of(item))) for item in functions])
        return
    if quiet:
        click.echo("".join(f"{one_line(item.get('name'))}\n" for item in functions), nl=False)
        return
    rows, differ = [], any(item.get("runtime") for item in functions)
    for item in functions:
        learned = sleep.get(ref_of(item))
        rows.append(
            (item.get("name"), f"{item.get('invocationCount') or 0:.0f}", item.get("replicas") or 0, _ready(item))
            + ((item.get("runtime"),) if differ else ())
            + ((learned.said(now) if learned is not None else "",) if sleep else ())
            + ((explain.badge(owner_of(item)), item.get("image")) if verbose else ())
        )
    also = (*(("Runtime",) if differ else ()), *(("Sleeps",) if sleep else ()))
    head = ("Function", "Invocations", "Replicas", "Ready", *also)
    print_table(head + (("Owner", "Image") if verbose else ()), rows)
    for item in functions:
        for problem in filter(None, (item.get("problem"), *_wrong_schedules(item), *_wrong_topics(item))):
            click.echo(one_line(f"{item.get('name')}: {problem}"), err=True)
    if target.local(target.gateway()) is not None and (kept := target.state.set_aside()):
        more = f" and {len(kept) - MAX_KEPT_SHOWN} more" if len(kept) > MAX_KEPT_SHOWN else ""
        names = ", ".join(str(path) for path in kept[:MAX_KEPT_SHOWN]) + more
        click.echo(one_line(f"set aside as damaged, or in the way: {names}; look at it, then remove it"), err=True)


@click.command()
@function_argument()
@namespace_option
@json_option
@with_target
def describe(*, target: Target, name: str, namespace: str | None, as_json: bool) -> None:
    """Show everything about one function."""
    with target.client() as client:
        function = client.function(name, namespace)
        listed = client.functions(function.get("namespace") or namespace)
    counts = [item.get("invocationCount") for item in listed if item.get("name") == name]
    function["invocationCount"] = (counts or [0])[0] or 0
    if as_json:
        print_json(function)
        return
    url = f"{client.url}/function/{name}" + (f".{function['namespace']}" if function.get("namespace") else "")
    for key, value in _description(function, url):
        click.echo(f"{click.style(one_line(key).ljust(18), bold=True)} {one_line(value)}")


@click.command()
@function_argument()
@click.option("--follow", "-f", is_flag=True, help="Go on with new lines until interrupted.")
@click.option("--tail", type=click.IntRange(min=1), help="Only the last lines.")
@click.option("--since", help="Only lines since: 5m ago, or an RFC 3339 time.")
@click.option("--instance", help="Only one replica's lines.")
@namespace_option
@json_option
@with_target
def logs(*, target: Target, name: str, namespace: str | None, as_json: bool, **options: Any) -> None:
    """Print what a function wrote, oldest first."""
    query = {"follow": "true" if options["follow"] else "false"}
    if options["tail"]:
        query["tail"] = str(options["tail"])
    if options["since"]:
        query["since"] = _instant(options["since"])
    if options["instance"]:
        query["instance"] = options["instance"]
    with target.client() as client:
        for message in client.logs(name, namespace, query):
            click.echo(_log_line(message, as_json=as_json))


def _sleep_json(status: SleepStatus | None) -> Json:
    return {"sleep": status.json()} if status is not None else {}


def _description(function: Json, url: str) -> list[tuple[str, object]]:
    """What ``describe`` prints, in order; what is unset is left out."""
    ready, replicas = _ready(function), function.get("replicas") or 0
    owner = owner_of(function)
    status = "Ready" if ready else "Asleep" if not replicas else "Not ready"
    usage = function.get("usage") or {}
    shown: list[tuple[str, object]] = [
        ("Name", function.get("name")),
        ("Namespace", function.get("namespace")),
        ("Status", status),
        ("Problem", function.get("problem")),
        ("Runtime", function.get("runtime")),
        ("Replicas", replicas),
        ("Ready", ready),
        ("Scaled by", explain.who(owner)),
        ("Invocations", f"{function['invocationCount']:.0f}"),
        ("Image", function.get("image")),
        ("Function process", function.get("envProcess")),
        ("URL", url),
        ("Call limit", function.get("callLimit")),
        ("Created", function.get("createdAt")),
        ("CPU", f"{usage['cpu']:.0f}m" if usage.get("cpu") is not None else None),
        ("Memory", f"{usage['totalMemoryBytes'] / 1e6:.1f} MB" if usage.get("totalMemoryBytes") else None),
    ]
    for title in ("envVars", "labels", "annotations", "limits", "requests"):
        shown += [
            (title if number == 0 else "", f"{key}={one_line(value)}")
            for number, (key, value) in enumerate(sorted((function.get(title) or {}).items()))
        ]
    labels = function.get("labels") or {}
    shown += [("Misspelt label", told) for told in label_names.problems_of(labels)]
    shown += [("Wrong schedule", told) for told in _wrong_schedules(function)]
    shown += [("Wrong topic", told) for told in _wrong_topics(function)]
    shown += [("No effect", told) for told in label_names.without_effect(labels, owner)]
    shown += [(title, ", ".join(function.get(title) or [])) for title in ("secrets", "constraints")]
    return [(title, value) for title, value in shown if value not in (None, "")]


def _wrong_schedules(function: Json) -> tuple[str, ...]:
    """Of one that was deployed before they were refused, or by somebody else's provider."""
    ref = FunctionRef(str(function.get("namespace") or DEFAULT_NAMESPACE), str(function.get("name")))
    return schedules_of(ref, function.get("annotations") or {})[1]


def _wrong_topics(function: Json) -> tuple[str, ...]:
    return topics.problems_of(function.get("annotations") or {})


def _ready(function: Json) -> int:
    return int(function.get("availableReplicas") or 0)


def _instant(text: str) -> str:
    """An RFC 3339 time from one, or from how long ago."""
    try:
        return rfc3339((datetime.now(UTC) - timedelta(seconds=parse_duration_s(text))).timestamp())
    except ValueError:
        pass
    try:
        return rfc3339(datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError) as error:
        raise BadInput(f"--since {text!r}: write a duration (5m) or a time (2026-01-31T12:00:00Z)") from error


def _log_line(message: Json, *, as_json: bool) -> str:
    if as_json:
        return json.dumps(message)
    where = one_line(f"{message.get('timestamp', '')} {message.get('instance', '')}")
    return f"{where} {lines(str(message.get('text', '')).rstrip())}"
