"""The command line, from click: every command with its arguments and options. Settings have a page of their own."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator, Sequence

import click

from reference.markdown import anchor, block, code, page, table, text
from reference.settings import commands_with_settings
from springtide.cli.command_line import ALIASES, springtide
from springtide.runtime.settings import declared

MANY = 20
"""Commands that have an option; from there on it is told once for all of them."""
TITLE_OF_MANY = "Options that many commands have"


def command_line() -> str:
    root = click.Context(springtide, info_name="springtide")
    every = list(contexts(root))
    counted = Counter(row for context in every for row in _options(context))
    common = [row for row, number in counted.items() if number >= MANY]
    aliases = ", ".join(f"{code(alias)} for {code(name)}" for alias, name in ALIASES.items())
    return page(
        "Command line",
        f"Every command tells this with `--help`. Other names that are understood: {aliases}. Exit status 0: it did "
        "what was asked; 1: it did not, and says why; 2: it did not understand the words; 130: it was interrupted; "
        "141: nobody reads what it prints.",
        *(part for context in every for part in _section(context, common)),
        f"## {TITLE_OF_MANY}",
        table(("option", "meaning"), (tuple(map(_cell, row)) for row in common)),
    )


def contexts(context: click.Context) -> Iterator[click.Context]:
    """That of a command, and those of all below it."""
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            if command is not None and not command.hidden:
                yield from contexts(click.Context(command, info_name=name, parent=context))


def _section(context: click.Context, common: Sequence[tuple[str, str]]) -> Iterator[str]:
    command, path = context.command, context.command_path
    yield f"## {path}" if context.parent is None or context.parent.parent is None else f"### {path}"
    yield block("text", " ".join((path, *command.collect_usage_pieces(context))))
    yield _help(command)
    if isinstance(command, click.Group):
        names = command.list_commands(context)
        yield ", ".join(f"[{name}](#{anchor(f'{path} {name}')})" for name in names) + "."
    rows = list(_options(context))
    if own := [tuple(map(_cell, row)) for row in rows if row not in common]:
        yield table(("option", "meaning"), own)
    if shared := [code(_long(row[0])) for row in rows if row in common]:
        yield f"{'And' if own else 'It has'} {', '.join(shared)}, [as many commands do](#{anchor(TITLE_OF_MANY)})."
    if _of_settings(context):
        yield f"And a flag for each of its [settings](settings.md#{anchor(context.info_name or '')})."


def _options(context: click.Context) -> Iterator[tuple[str, str]]:
    """Each with what it is for. Those of settings have a page of their own."""
    settings = _of_settings(context)
    for parameter in context.command.get_params(context):
        if isinstance(parameter, click.Option) and parameter.name not in settings:
            record = parameter.get_help_record(context)
            if record is not None:
                yield record


def _long(flags: str) -> str:
    return next(word.rstrip(",") for word in flags.split() if word.startswith("--"))


def _cell(words: str) -> str:
    return code(words) if words.startswith("-") else text(words)


def _of_settings(context: click.Context) -> set[str | None]:
    """Names of the parameters that are settings."""
    return {
        section.parameter(item)
        for command in commands_with_settings()
        if command.click is context.command
        for section in command.sections
        for item in declared(section.cls)
    }


def _help(command: click.Command) -> str:
    """Paragraphs as they are; those that click does not rewrap, after a backspace, as a block."""
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    return "\n\n".join(
        block("text", paragraph.removeprefix("\b\n")) if paragraph.startswith("\b\n") else text(paragraph)
        for paragraph in paragraphs
    )
