"""The command that calls a function."""

from __future__ import annotations

import codecs
import sys
from typing import Any, BinaryIO

import click
import httpx

from springtide.cli.commands.jobs import patience_s, wait_for
from springtide.cli.commands.options import function_argument, namespace_option, pairs, with_target
from springtide.cli.jobs_client import JobsClient
from springtide.cli.target import Target
from springtide.cli.terminal_text import lines, one_line
from springtide.runtime.errors import BadInput


@click.command()
@function_argument()
@click.option("--data", "-d", help="The body.  [default: what is piped in]")
@click.option("--method", "-m", default="POST", show_default=True, help="Method of the call.")
@click.option("--header", "-H", multiple=True, metavar="'NAME: VALUE'", help="A header; may be repeated.")
@click.option("--query", multiple=True, metavar="KEY=VALUE", help="A parameter; may be repeated.")
@click.option("--content-type", default="text/plain", show_default=True, help="Type of the body.")
@click.option("--timeout", help="Give up after this long without an answer.  [default: when the gateway does]")
@click.option("--async", "-a", "later", is_flag=True, help="Have it run later; prints the call's id.")
@click.option("--wait", is_flag=True, help="With --async: wait for the answer and print it.")
@namespace_option
@with_target
def invoke(*, target: Target, name: str, data: str | None, namespace: str | None, **options: Any) -> None:
    """Call a function and print its answer as it comes; a status that is not 2xx goes to standard error.

    With --async the call is accepted once it is on the queue's disk, and runs when there is room: see springtide jobs.
    With --wait the exit status is that of springtide jobs wait.
    """
    piped = b"" if data is not None or sys.stdin.isatty() else sys.stdin.buffer.read()
    body = piped if data is None else data.encode()
    if options["wait"] and not options["later"]:
        raise BadInput("--wait is for --async; a call without it is always waited for")
    call: dict[str, Any] = {
        "method": options["method"].upper(),
        "query": tuple(pairs(options["query"], "--query").items()),
        "headers": (("Content-Type", options["content_type"]), *map(_header, options["header"])),
        "body": body,
    }
    called, timeout = f"{name}.{namespace}" if namespace else name, options["timeout"]
    if options["later"]:
        _invoke_later(target, called, call, timeout=timeout, wait=options["wait"])
        return
    with target.client(timeout_s=patience_s(timeout)) as client, client.invoke(called, **call) as response:
        _print(response, sys.stdout.buffer)
    if not response.is_success:
        click.echo(f"springtide: {name} answered {response.status_code} {one_line(response.reason_phrase)}", err=True)
        raise click.exceptions.Exit(1)


def _invoke_later(target: Target, name: str, call: dict[str, Any], *, timeout: str | None, wait: bool) -> None:
    limit_s = patience_s(timeout)
    with target.client() as client:
        jobs = JobsClient(client)
        job_id = jobs.begin(name, **call)
        click.echo(job_id, err=wait)
        if wait:
            wait_for(jobs, job_id, limit_s)


def _print(response: httpx.Response, output: BinaryIO) -> None:
    """The answer as it comes: byte for byte into a file or another program, as text onto a terminal."""
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace") if sys.stdout.isatty() else None
    for chunk in response.iter_bytes():
        output.write(lines(decoder.decode(chunk)).encode() if decoder else chunk)
        output.flush()
    if decoder:
        output.write(decoder.decode(b"", final=True).encode())


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        name, colon, value = text.partition("=")
    if not colon or not name.strip():
        raise BadInput(f"--header {text!r}: write 'Name: value'")
    return name.strip(), value.strip()
