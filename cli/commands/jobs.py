"""``springtide jobs``: asynchronous calls, one by one."""

from __future__ import annotations

from pathlib import Path

import click

from springtide.cli.commands.options import (
    duration_s,
    json_option,
    namespace_option,
    output_option,
    print_json,
    with_target,
)
from springtide.cli.gateway_client import FOLLOW_READ_S
from springtide.cli.job_body import print_answer, tell_cut, write_body
from springtide.cli.jobs_client import JobsClient
from springtide.cli.jobs_text import count, print_job, print_jobs, verdict
from springtide.cli.target import Target
from springtide.runtime.errors import BadInput
from springtide.wire.jobs.job import JobState

MAX_LISTED = 1000
CUT_SHORT = 3
"""The exit status where an answer is good, and not all of it was kept: 2 is that of a wrong command line."""

queue_option = click.option("--queue", help="Only those of this queue.")
function_option = click.option("--function", help="Only those of this function.")


@click.group()
def jobs() -> None:
    """List asynchronous calls, show one, wait for it, cancel it, or run it again."""


@jobs.command("list")
@queue_option
@function_option
@namespace_option
@click.option("--state", type=click.Choice([str(state) for state in JobState]), multiple=True, help="Only those.")
@click.option(
    "--limit", type=click.IntRange(1, MAX_LISTED), default=100, show_default=True, help="Most that are listed."
)
@json_option
@with_target
def list_(
    *,
    target: Target,
    queue: str | None,
    function: str | None,
    namespace: str | None,
    state: tuple[str, ...],
    limit: int,
    as_json: bool,
) -> None:
    """List what waits and runs, what is delayed, and what ended last."""
    query = said(queue=queue, function=function, namespace=namespace, state=",".join(state)) | {"limit": str(limit)}
    with target.client() as client:
        found, complete = JobsClient(client).jobs(query)
    if as_json:
        print_json(found)
        return
    print_jobs(found)
    if not complete:
        click.echo("There are more: see --limit, or name a queue, a function or a state.", err=True)


@jobs.command()
@click.argument("job_id", metavar="ID")
@output_option("the answer")
@json_option
@with_target
def show(*, target: Target, job_id: str, output: Path | None, as_json: bool) -> None:
    """Show all that is known of a call: its answer, how telling its caller goes, and where it is kept if it was given
    up. The id of a callback's dead letter shows the call whose callback it is."""
    with target.client() as client:
        jobs = JobsClient(client)
        job = jobs.story(job_id)
        answer = jobs.answer(job) if output is not None else None
    if as_json:
        print_json(job)
    elif answer is None:
        print_job(job)
    if answer is not None and output is not None:
        if not job.get("answer"):
            raise BadInput(f"{job_id} is {job['state']}, and has no answer that could be written to {output}")
        write_body(output, answer[0], whole=answer[1])


@jobs.command()
@click.argument("job_id", metavar="ID")
@click.option("--timeout", help="Give up waiting after this long; the call goes on.  [default: 24h]")
@output_option("the answer")
@json_option
@with_target
def wait(*, target: Target, job_id: str, timeout: str | None, output: Path | None, as_json: bool) -> None:
    """Wait until a call has ended and print its answer.

    Exits with 1 where that is not 2xx, or there is none, and with 3 where only its beginning was kept (max_result).
    """
    with target.client() as client:
        wait_for(JobsClient(client), job_id, patience_s(timeout), output=output, as_json=as_json)


@jobs.command()
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
@with_target
def cancel(*, target: Target, job_ids: tuple[str, ...]) -> None:
    """Cancel calls: those that wait are removed, those that run are ended."""
    with target.client() as client:
        for job_id in job_ids:
            job = JobsClient(client).cancel(job_id)
            tries = f" after {count(job['attempts'], 'attempt')}" if job["attempts"] else ""
            click.echo(f"{job['id']}: {job['state']}{tries}.")


@jobs.command()
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
@with_target
def retry(*, target: Target, job_ids: tuple[str, ...]) -> None:
    """Run calls again that were given up, under their ids, with attempts and age counted anew."""
    with target.client() as client:
        for job_id in job_ids:
            JobsClient(client).retry(job_id)
            click.echo(f"{job_id}: queued again.")


def said(**asked: str | None) -> dict[str, str]:
    """Of a query only what was said."""
    return {name: value for name, value in asked.items() if value}


def patience_s(timeout: str | None) -> float:
    """The gateway knows how long a function may take, and says so when that is over."""
    return duration_s(timeout, "--timeout") if timeout else FOLLOW_READ_S


def wait_for(
    client: JobsClient, job_id: str, timeout_s: float, *, output: Path | None = None, as_json: bool = False
) -> None:
    """Print the answer, or the whole as JSON; exit with 1 where that is not a good one, with 3 where it was cut."""
    job = client.ended(job_id, timeout_s)
    body, whole = client.answer(job)
    if as_json:
        print_json(job)
    if output is not None:
        write_body(output, body, whole=whole)
    else:
        headers = (job.get("answer") or {}).get("headers", {})
        if not as_json:
            print_answer(body, headers, command=f"springtide jobs wait {job_id} --output FILE, or > FILE")
        tell_cut(len(body), whole=whole)
    if problem := verdict(job):
        click.echo(f"springtide: {problem}", err=True)
        raise click.exceptions.Exit(1)
    if not whole:
        raise click.exceptions.Exit(CUT_SHORT)
