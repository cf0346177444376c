"""``springtide schedule``: when functions are called by the clock, and whether."""

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
from springtide.cli.gateway_client import Json
from springtide.cli.local_time import local_time
from springtide.cli.schedules_client import SchedulesClient
from springtide.cli.target import Target
from springtide.cli.terminal_text import one_line
from springtide.wire.schedules.expression import MAX_NEXT

BAD = ("failed", "refused", "missed")


@click.group()
def schedule() -> None:
    """List the schedules of functions, when they are due, and what became of the last ticks; pause, resume, run."""


@schedule.command("list")
@namespace_option
@json_option
@with_target
def list_(*, target: Target, namespace: str | None, as_json: bool) -> None:
    """List schedules with their next and last ticks. Problems are told on standard error."""
    with target.client() as client:
        found = SchedulesClient(client).all(namespace=namespace)
    if as_json:
        print_json(found)
        return
    rows = [
        (_name(one), one["schedule"], _next(one), _last(one), one["overlap"] if one["overlap"] != "allow" else "")
        for one in found["schedules"]
    ]
    colours = ["red" if one["runs"] and one["runs"][0]["outcome"] in BAD else None for one in found["schedules"]]
    print_table(("Function", "Schedule", "Next", "Last", "Overlap"), rows, colours)
    if not found["queue"]:
        click.echo("There is no queue: functions are called at once, and no tick is repeated.", err=True)
    for problem in found["problems"]:
        click.echo(one_line(f"{problem['function']}: {problem['problem']}"), err=True)


@schedule.command("next")
@function_argument(metavar="FUNCTION")
@click.option("--count", type=click.IntRange(1, MAX_NEXT), default=5, show_default=True, help="How many.")
@namespace_option
@json_option
@with_target
def next_(*, target: Target, name: str, count: int, namespace: str | None, as_json: bool) -> None:
    """Show when a function is called next."""
    with target.client() as client:
        found = SchedulesClient(client).all(namespace=namespace, function=name, number=count)
    if as_json:
        print_json(found)
        return
    due = sorted((at, one["schedule"]) for one in found["schedules"] for at in one["next"])[:count]
    for at, text in due:
        click.echo(f"{local_time(at)}  {one_line(text)}")
    if any(one["paused"] for one in found["schedules"]):
        click.echo(f"It is paused: springtide schedule resume {one_line(name)}", err=True)
    for problem in found["problems"]:
        click.echo(one_line(problem["problem"]), err=True)


@schedule.command()
@function_argument(metavar="FUNCTION")
@click.option("--schedule", "text", help="As this one of its schedules.  [default: the first]")
@namespace_option
@json_option
@with_target
def run(*, target: Target, name: str, text: str | None, namespace: str | None, as_json: bool) -> None:
    """Call a function now, as its schedule does; its ticks stay as they are."""
    with target.client() as client:
        told = SchedulesClient(client).act(name, "run", namespace=namespace, schedule=text)
    if as_json:
        print_json(told)
    elif told.get("status") == 202:
        click.echo(f"Queued: {told['job']}; springtide jobs show {told['job']}")
    else:
        click.echo(f"{told['status'] or 'no answer'}: {one_line(told['answer'])}")


@schedule.command()
@function_argument("names", metavar="FUNCTION...", nargs=-1, required=True)
@namespace_option
@with_target
def pause(*, target: Target, names: tuple[str, ...], namespace: str | None) -> None:
    """Call functions by their schedules no more, until they are resumed."""
    with target.client() as client:
        for name in names:
            SchedulesClient(client).act(name, "pause", namespace=namespace)
            click.echo(f"{one_line(name)}: paused.")


@schedule.command()
@function_argument("names", metavar="FUNCTION...", nargs=-1, required=True)
@namespace_option
@with_target
def resume(*, target: Target, names: tuple[str, ...], namespace: str | None) -> None:
    """Call functions by their schedules again, from now on; what was due meanwhile is over."""
    with target.client() as client:
        for name in names:
            SchedulesClient(client).act(name, "resume", namespace=namespace)
            click.echo(f"{one_line(name)}: resumed.")


def _name(one: Json) -> str:
    return f"{one['function']}.{one['namespace']}"


def _next(one: Json) -> str:
    if one["paused"]:
        return "paused"
    return local_time(one["next"][0]) if one["next"] else "never"


def _last(one: Json) -> str:
    if not one["runs"]:
        return "none yet"
    last = one["runs"][0]
    note = f" ({last['note']})" if last.get("note") else ""
    return f"{local_time(last['due'])} {last['outcome']}{note}"
