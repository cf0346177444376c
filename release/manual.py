"""Pages of the manual (``man springtide-invoke``), made of what the commands say of themselves.

Of our own, because click-man writes text as it is: a line that begins with a full stop is a command to roff, and a
hyphen no minus sign that could be copied. It knows no groups that import their commands as they are used, either.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from datetime import UTC, datetime

import click

SECTION = 1
_UNWRAPPED = "\b"
"""click's own sign, alone on a line: the paragraph's lines stay as they are."""


def pages(command: click.Command, name: str, *, version: str, date_s: int) -> dict[str, str]:
    """File name to text: of the command and of all below it, those that click hides excepted."""
    date = datetime.fromtimestamp(date_s, UTC).strftime("%Y-%m-%d")
    found = _contexts(_context(command, name))
    return {f"{_title(context)}.{SECTION}": _page(context, version, date) for context in found}


def _contexts(context: click.Context) -> Iterator[click.Context]:
    yield context
    for name, command in _below(context):
        yield from _contexts(_context(command, name, context))


def _context(command: click.Command, name: str, parent: click.Context | None = None) -> click.Context:
    return click.Context(command, info_name=name, parent=parent, **command.context_settings)


def _below(context: click.Context) -> list[tuple[str, click.Command]]:
    group = context.command
    if not isinstance(group, click.Group):
        return []
    named = [(name, group.get_command(context, name)) for name in group.list_commands(context)]
    return [(name, command) for name, command in named if command is not None and not command.hidden]


def _title(context: click.Context) -> str:
    return context.command_path.replace(" ", "-")


def _page(context: click.Context, version: str, date: str) -> str:
    command, title = context.command, _title(context)
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [
        f'.TH "{escaped(title.upper())}" "{SECTION}" "{date}" "springtide {escaped(version)}" "Springtide"',
        ".SH NAME",
        rf"{escaped(title)} \- {escaped(_summary(command))}",
        ".SH SYNOPSIS",
        rf"\fB{escaped(context.command_path)}\fR {escaped(usage)}",
        ".SH DESCRIPTION",
        *_description(command.help or ""),
        *_options(context),
        *_commands(context),
    ]
    if context.parent is not None:
        lines += [".SH SEE ALSO", _reference(_title(context.parent))]
    return "\n".join(lines) + "\n"


def _summary(command: click.Command) -> str:
    return command.get_short_help_str(limit=1000).rstrip(".")


def _description(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(inspect.cleandoc(text).partition("\f")[0].split("\n\n")):
        if number:
            yield ".PP"
        lines = paragraph.splitlines()
        if lines and lines[0].strip() == _UNWRAPPED:
            yield from (".nf", *map(escaped, lines[1:]), ".fi")
        else:
            yield escaped(" ".join(line.strip() for line in lines))


def _options(context: click.Context) -> Iterator[str]:
    options = [one for one in context.command.get_params(context) if isinstance(one, click.Option)]
    if records := [record for option in options if (record := option.get_help_record(context))]:
        yield ".SH OPTIONS"
    for flags, text in records:
        yield from (".TP", rf"\fB{escaped(flags)}\fR", escaped(" ".join(text.split())))


def _commands(context: click.Context) -> Iterator[str]:
    below = _below(context)
    if below:
        yield ".SH COMMANDS"
    for name, command in below:
        yield from (".TP", _reference(f"{_title(context)}-{name}"), escaped(_summary(command) + "."))


def _reference(title: str) -> str:
    return rf"\fB{escaped(title)}\fR({SECTION})"


def escaped(text: str) -> str:
    """As roff prints it: no character of it is a command, and hyphens can be copied."""
    safe = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{safe}" if safe.startswith((".", "'")) else safe
