"""``springtide queue``: the queues of asynchronous calls as a whole."""

from __future__ import annotations

import time

import click

from springtide.cli.commands.options import json_option, print_json, print_table, with_target
from springtide.cli.jobs_client import JobsClient
from springtide.cli.jobs_text import age
from springtide.cli.target import Target


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
    click.echo(f"{found['delayed']} delayed, {found['callbacks']} callbacks to be sent.")
