"""``springtide queue``: the queues of asynchronous calls as a whole."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import BinaryIO

import click

from springtide.cli.commands.options import json_option, print_json, print_table, with_target
from springtide.cli.jobs_client import JobsClient
from springtide.cli.jobs_text import age, count
from springtide.cli.queue_file import copied, parts, written
from springtide.cli.target import Target
from springtide.runtime.errors import BadInput

TELL_EVERY = 100


@click.group()
def queue() -> None:
    """List the queues of asynchronous calls, and move what is in them."""


@queue.command("list")
@json_option
@with_target
def list_(*, target: Target, as_json: bool) -> None:
    """List queues and functions with the calls that wait, run or are to be tried again."""
    with target.client() as client:
        found = JobsClient(client).queues()
    if as_json:
        print_json(found)
        return
    now, rows, colours = time.time(), [], []
    for each in found["queues"]:
        rows.append((each["name"], "", each["pending"], age(each["oldest_at"], now), each["dead"]))
        colours.append("red" if each["dead"] else None)
        rows += [("", function["function"], function["pending"], "", "") for function in each["functions"]]
        colours += [None] * len(each["functions"])
    print_table(("Queue", "Function", "Pending", "Oldest", "Dead"), rows, colours)
    click.echo(f"{found['delayed']} delayed, {count(found['callbacks'], 'callback')} to be sent.")


@queue.command()
@click.argument("name", metavar="QUEUE")
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    default="-",
    show_default=True,
    help="The file; - is standard output.",
)
@click.option("--force", is_flag=True, help="Replace the file where it is there already.")
@with_target
def export(*, target: Target, name: str, output: Path, force: bool) -> None:
    """Write a queue to a file: what waits, what is delayed, and the dead letters, with their bodies and ids.

    Nothing is taken away. Stop the queue workers before, or what they run meanwhile may be in the file, too.
    """
    with target.client() as client, written(output, replacing=force) as file:
        end = copied(JobsClient(client).export(name), file, told=_told)
    click.echo(f"Wrote {count(end.jobs, 'job')} and {count(end.dead, 'dead letter')}.", err=True)
    if end.unreadable:
        click.echo(f"springtide: {end.unreadable} could not be read, and are not in the file", err=True)
        raise click.exceptions.Exit(1)


@queue.command("import")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@with_target
def import_(*, target: Target, file: Path) -> None:
    """Bring a file of springtide queue export in; - is what is piped in.

    Jobs keep their ids, and go into the queue that they were in. One that is there already is left alone, so that an
    import that broke off is simply repeated.
    """
    try:
        with target.client() as client, sys.stdin.buffer if str(file) == "-" else file.open("rb") as lines:
            _take_in(JobsClient(client), lines)
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}") from error


def _take_in(client: JobsClient, lines: BinaryIO) -> None:
    """And say how far it came, whatever ends it."""
    jobs = dead = there = 0
    try:
        for part in parts(lines):
            try:
                taken = client.take_in(bytes(part.content))
            except BadInput as error:
                raise part.refused(error) from error
            jobs, dead, there = jobs + taken["jobs"], dead + taken["dead"], there + taken["there"]
            _told(jobs + dead + there)
    finally:
        click.echo(f"Brought in {count(jobs, 'job')} and {count(dead, 'dead letter')}; there already: {there}.")


def _told(number: int) -> None:
    """On a terminal, on a line of its own."""
    if number % TELL_EVERY == 0 and sys.stderr.isatty():
        click.echo(f"\r{number}\r", nl=False, err=True)
