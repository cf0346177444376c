"""The body of a call or of its answer for people: text as text, JSON set out on a terminal, and else how much it is."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Mapping, Sequence
from email.message import Message
from pathlib import Path

import click

from springtide.cli.gateway_client import Json
from springtide.cli.queue_file import written
from springtide.cli.terminal_text import lines, one_line
from springtide.runtime import bounded_json
from springtide.wire.jobs.status_json import body_of

Headers = Mapping[str, Sequence[str]]


def print_body(name: str, holder: Json, headers: Headers, *, command: str) -> None:
    """``holder`` is what ``status_json`` tells of it, ``command`` writes it into a file."""
    body, kind = body_of(holder), content_type(headers)
    text = shown(body, kind, pretty=sys.stdout.isatty() and not holder["truncated"])
    rest = ", its beginning" if holder["truncated"] else ""
    print_field(name, f"{holder['size']} bytes{rest}" + (f", {_named(kind)}: {command}" if text is None else ""))
    if text:
        click.echo(lines(text))


def print_answer(body: bytes, headers: Headers, *, command: str) -> None:
    """Byte for byte into a file or another program; onto a terminal as text, or how to have it."""
    sys.stdout.flush()
    if not sys.stdout.isatty():
        sys.stdout.buffer.write(body)
    elif (text := shown(body, content_type(headers), pretty=True)) is not None:
        sys.stdout.buffer.write(lines(text).encode())
    else:
        click.echo(f"springtide: {len(body)} bytes, {_named(content_type(headers))}: {command}", err=True)
    sys.stdout.buffer.flush()


def write_body(path: Path, body: bytes, *, whole: bool) -> None:
    with written(path) as file:
        file.write(body)
    tell_cut(len(body), whole=whole)


def tell_cut(received: int, *, whole: bool) -> None:
    if not whole:
        what = f"this is the beginning of it, {received} bytes: the rest was not kept (the queue worker's max_result)"
        click.echo(f"springtide: {what}", err=True)


def shown(body: bytes, kind: Message, *, pretty: bool) -> str | None:
    """``body`` as text; None: it is none. With ``pretty`` JSON has a line for each member."""
    try:
        text = body.decode(kind.get_content_charset("utf-8"))
    except (ValueError, LookupError):  # a charset may be anything
        return None
    if "\0" in text:
        return None
    if pretty and kind.get_content_subtype().rpartition("+")[2] == "json":
        with contextlib.suppress(ValueError):
            return json.dumps(bounded_json.loads(text), indent=2, ensure_ascii=False)
    return text


def content_type(headers: Headers) -> Message:
    message = Message()
    message["Content-Type"] = next(
        (value for name, values in headers.items() if name.lower() == "content-type" for value in values),
        "text/plain",
    )
    return message


def print_field(name: str, value: object) -> None:
    click.echo(f"{click.style(one_line(name).capitalize().ljust(14), bold=True)} {one_line(value)}")


def _named(kind: Message) -> str:
    return f"no text ({kind.get_content_type()})"
