"""``springtide dead``: asynchronous calls that were given up."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import httpx

from springtide.cli.commands.jobs import function_option, queue_option, said
from springtide.cli.commands.options import json_option, namespace_option, output_option, print_json, with_target
from springtide.cli.job_body import write_body
from springtide.cli.jobs_client import JobsClient
from springtide.cli.jobs_text import count, print_job, print_letters
from springtide.cli.target import Target
from springtide.cli.terminal_text import one_line
from springtide.runtime.errors import BadInput, NotFound, SpringtideError
from springtide.wire.jobs.status_json import body_of

MAX_LISTED = 100_000
TELL_EVERY = 100

all_option = click.option(
    "--all", "every", is_flag=True, help="All there are, of --queue and --function where these are given."
)


@click.group()
def dead() -> None:
    """List calls that were given up, show one, run them again, or throw them away."""


@dead.command("list")
@queue_option
@function_option
@namespace_option
@click.option(
    "--limit", type=click.IntRange(1, MAX_LISTED), default=100, show_default=True, help="Most that are listed."
)
@json_option
@with_target
def list_(
    *, target: Target, queue: str | None, function: str | None, namespace: str | None, limit: int, as_json: bool
) -> None:
    """List dead letters, oldest first."""
    with target.client() as client:
        letters = JobsClient(client).letters(said(queue=queue, function=function, namespace=namespace))
        found = list(itertools.islice(letters, limit + 1))
    if as_json:
        print_json(found[:limit])
        return
    print_letters(found[:limit])
    if len(found) > limit:
        click.echo("There are more: see --limit, or name a queue or a function.", err=True)


@dead.command()
@click.argument("letter_id", metavar="ID")
@output_option("the body that was sent")
@json_option
@with_target
def show(*, target: Target, letter_id: str, output: Path | None, as_json: bool) -> None:
    """Show a call that was given up: what was asked, why it was given up, and the last answer."""
    with target.client() as client:
        letter = JobsClient(client).letter(letter_id)
    if as_json:
        print_json(letter)
    elif output is None:
        print_job(letter)
    if output is not None:
        write_body(output, body_of(letter), whole=not letter["truncated"])


@dead.command()
@click.argument("ids", metavar="[ID...]", nargs=-1)
@all_option
@queue_option
@function_option
@namespace_option
@with_target
def retry(*, target: Target, ids: tuple[str, ...], every: bool, **chosen: str | None) -> None:
    """Queue calls again, under their ids, with attempts and age counted anew."""
    with target.client() as client:
        jobs = JobsClient(client)
        _each(_chosen(jobs, ids, every=every, query=said(**chosen)), jobs.retry, "queued again")


@dead.command()
@click.argument("ids", metavar="[ID...]", nargs=-1)
@all_option
@queue_option
@function_option
@namespace_option
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@with_target
def purge(*, target: Target, ids: tuple[str, ...], every: bool, yes: bool, **chosen: str | None) -> None:
    """Throw dead letters away for good, with their bodies."""
    with target.client() as client:
        jobs = JobsClient(client)
        wanted = _chosen(jobs, ids, every=every, query=said(**chosen))
        if wanted and not yes:
            if not sys.stdin.isatty():
                raise BadInput(f"{count(len(wanted), 'dead letter')} would be gone for good; say --yes")
            if not click.confirm(f"Throw {count(len(wanted), 'dead letter')} away for good?"):
                click.echo("Nothing was thrown away.", err=True)
                raise click.exceptions.Exit(1)
        _each(wanted, jobs.purge, "thrown away")


def _chosen(jobs: JobsClient, ids: Sequence[str], *, every: bool, query: dict[str, str]) -> list[str]:
    if bool(ids) == every:
        raise BadInput("give the ids, as springtide dead list prints them, or --all")
    return [letter["id"] for letter in jobs.letters(query)] if every else list(ids)


def _each(ids: Sequence[str], act: Callable[[str], httpx.Response], done: str) -> None:
    """One that is not there is told, and the others go on."""
    missing = 0
    for number, letter_id in enumerate(ids, start=1):
        try:
            act(letter_id)
        except NotFound as error:
            missing += 1
            click.echo(f"springtide: {one_line(error)}", err=True)
        except SpringtideError:
            click.echo(f"{number - 1 - missing} {done}; then:", err=True)
            raise
        if number % TELL_EVERY == 0 and sys.stderr.isatty():
            click.echo(f"\r{number} of {len(ids)}", nl=number == len(ids), err=True)
    click.echo(f"{len(ids) - missing} {done}.")
    if missing:
        raise click.exceptions.Exit(1)
