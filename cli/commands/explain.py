"""``springtide explain``: the story of one function's replicas and what triggers it, in sentences."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime

import click

from springtide.cli import live_status
from springtide.cli.commands.options import (
    function_argument,
    json_option,
    namespace_option,
    print_json,
    with_target,
)
from springtide.cli.explanation import Explanation, Standing, explain
from springtide.cli.gateway_client import GatewayClient, Json
from springtide.cli.runtimes import ON_THIS_MACHINE
from springtide.cli.schedules_client import BESIDE_S, SchedulesClient
from springtide.cli.sleep_status import silences
from springtide.cli.target import Target
from springtide.cli.terminal_text import one_line
from springtide.cli.trigger_explanation import MAX_EVENTS, Asked, Missing, Triggered, explain_triggers
from springtide.runtime.errors import NotFound, SpringtideError, Unsupported
from springtide.scaler.core.explain import ago
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE, Decision, FunctionRef, Writer
from springtide.wire import decision_log
from springtide.wire.endpoint_stream import longest_start_of
from springtide.wire.provider_client import created_at_of, learned_wake_of, owner_of


@click.command("explain")
@function_argument()
@namespace_option
@click.option("--last", default=20, show_default=True, type=click.IntRange(min=1), help="Changes to tell.")
@json_option
@with_target
def explain_(*, target: Target, name: str, namespace: str | None, last: int, as_json: bool) -> None:
    """Tell why a function has the replicas it has, what would change that, and what triggers it.

    NAME may have its namespace behind a dot, as decisions and metrics write it.
    """
    if namespace is None and "." in name:
        ref = FunctionRef.parse(name)
        name, namespace = ref.name, ref.namespace
    with target.client() as client:
        decisions, note = _decisions(client, name, namespace)
        triggered = None
        try:
            function = client.function(name, namespace)
            standing = _standing(target, client, function)
            triggered = _triggered(client, function, standing, Missing(note) if note else decisions)
        except NotFound:
            if not decisions:
                raise
            standing = None
    now = time.time()
    told = explain(standing, decisions, now)
    if as_json:
        print_json(_json(name, standing, told) | ({} if triggered is None else {"triggers": triggered.json}))
        return
    click.secho(one_line(name), bold=True)
    _print(told, triggered.lines if triggered is not None else (), now, last)
    if note:
        click.echo(f"  {one_line(note)}.")


def _json(name: str, standing: Standing | None, told: Explanation) -> Json:
    counts = {} if standing is None else {"replicas": standing.desired, "ready": standing.ready}
    story = [decision_log.to_json(decision) for decision in told.story]
    return {"function": name, **counts, "now": told.now, "next": told.next, "held": told.held, "story": story}


def _standing(target: Target, client: GatewayClient, function: Json) -> Standing:
    labels, local = function.get("labels") or {}, target.local(client.url)
    name = str(function.get("name"))
    ref = FunctionRef.parse(f"{name}.{function.get('namespace') or DEFAULT_NAMESPACE}")
    owner = owner_of(function)
    return Standing(
        name=name,
        namespace=ref.namespace,
        desired=int(function.get("replicas") or 0),
        ready=int(function.get("availableReplicas") or 0),
        labels=labels,
        annotations=function.get("annotations") or {},
        owner=owner,
        learned_wake=learned_wake_of(function),
        longest_start_s=longest_start_of(function),
        created_at=created_at_of(function),
        problem=function.get("problem"),
        runtime=function.get("runtime"),
        calls=live_status.calls([f"{local.metrics}/metrics"], ref) if local else None,
        has_hpa=owner is not Writer.HPA or client.orchestration() not in ON_THIS_MACHINE,
        sleep=silences(client, [ref]).get(ref),
        away=live_status.away(local, target.state.credentials()) if local else frozenset(),
    )


def _decisions(client: GatewayClient, name: str, namespace: str | None) -> tuple[list[Decision], str | None]:
    """What is on record, and why nothing is."""
    try:
        return client.decisions(name, namespace), None
    except NotFound as error:
        return [], str(error)


def _triggered(
    client: GatewayClient, function: Json, standing: Standing, decisions: Sequence[Decision] | Missing
) -> Triggered:
    ref = FunctionRef(standing.namespace, standing.name)
    params = {"function": str(ref), "limit": str(MAX_EVENTS)}
    asked = Asked(
        schedules=_asked(lambda: SchedulesClient(client).of(ref, number=3)),
        events=_asked(lambda: dict(client.json("GET", "/system/events", params=params, timeout=BESIDE_S))),
        decisions=decisions,
    )
    return explain_triggers(ref, standing.annotations, function.get("secrets") or [], asked, time.time())


def _asked(ask: Callable[[], Json]) -> Json | Missing:
    try:
        return ask()
    except (Unsupported, NotFound) as error:  # a gateway of somebody else's has no such path
        return Missing(str(error), off=True)
    except SpringtideError as error:
        return Missing(str(error))


def _print(told: Explanation, triggered: Sequence[str], now: float, last: int) -> None:
    sections = (
        ("Now", told.now),
        ("What would change it", told.next),
        ("What holds it", told.held),
        ("What triggers it", triggered),
    )
    for title, lines in sections:
        if lines:
            click.secho(f"\n{title}", bold=True)
            for line in lines:
                click.echo(f"  {one_line(line)}")
    click.secho("\nWhat happened", bold=True)
    if not told.story:
        click.echo("  No change of its replicas is on record.")
    if len(told.story) > last:
        earlier = len(told.story) - last
        click.echo(
            f"  ({earlier} earlier {'change' if earlier == 1 else 'changes'}; --last {len(told.story)} tells all)"
        )
    for decision in told.story[-last:]:
        click.echo(_line(decision, now))


def _line(decision: Decision, now: float) -> str:
    at = datetime.fromtimestamp(decision.at).astimezone().strftime("%H:%M:%S")
    count = click.style(
        f"{decision.before} → {decision.after}".rjust(8),
        fg="green" if decision.after > decision.before else "cyan",
        bold=True,
    )
    return f"  {at} {ago(now - decision.at).rjust(9)} {count}  {decision.reason.ljust(14)} {one_line(decision.detail)}"
