"""Settings of the parts, from the classes that read them."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import click

from reference.markdown import anchor, code, page, table, text
from springtide.cli.command_line import COMMANDS
from springtide.cli.parts.settings_flags import Section
from springtide.cli.variables import VARIABLES
from springtide.runtime.durations import format_duration
from springtide.runtime.settings import Declared, Parser, declared, duration

PARTS = "springtide.cli.parts."


class Command(NamedTuple):
    """A command with settings. ``sections`` are its own and those that it shares with others."""

    name: str
    click: click.Command
    sections: tuple[Section[Any], ...]


SHARED = {
    "ProviderApiSettings": "A provider's API",
    "AuthSettings": "Login",
    "ProcessSettings": "Functions on one machine",
    "ContainerSettings": "Functions that are containers",
    "KubernetesSettings": "The API server of Kubernetes",
    "LeaseSettings": "Leadership",
    "BrokerSettings": "The server of the queue",
    "CallbackSettings": "Where callbacks may go",
}
"""Titles of what several commands have, by its class: told once, below those that have it."""


def settings() -> str:
    commands = list(commands_with_settings())
    several = shared(commands)
    kinds = {item.kind: None for command in commands for _, item in _items(command)}
    return page(
        "Settings",
        "Each part is a command, and each of its settings a flag and an environment variable. A flag wins over the "
        "variable, an empty variable counts as unset, and what is out of range is refused at the start, all problems "
        "at once. `springtide up` hands its own environment to the parts: `hold_timeout=90s springtide up`. The chart "
        "takes the variables' names: `--set gateway.settings.hold_timeout=90s`.",
        *(part for command in commands for part in _section(command, several)),
        *(part for section, names in several.items() for part in _shared_section(section, names, commands)),
        "## What values are",
        table(("kind", "what to write"), ((code(kind_name(kind)), text(_told(kind))) for kind in kinds)),
        "## Variables of the command line",
        table(("variable", "meaning"), ((code(name), text(says)) for name, says in VARIABLES.items())),
    )


def commands_with_settings() -> Iterator[Command]:
    for name, (place, _) in COMMANDS.items():
        module, _, attribute = place.partition(":")
        if module.startswith(PARTS):
            loaded = importlib.import_module(module)
            sections = tuple(value for value in vars(loaded).values() if isinstance(value, Section))
            if sections:
                yield Command(name, getattr(loaded, attribute), sections)


def kind_name(kind: Parser) -> str:
    return kind.__name__.replace("_", " ")


def shared(commands: Sequence[Command]) -> Mapping[type, Sequence[str]]:
    """Classes of settings that several commands have, with those commands' names."""
    having: dict[type, list[str]] = {}
    for command in commands:
        for section in command.sections:
            having.setdefault(section.cls, []).append(command.name)
    return {section: names for section, names in having.items() if len(names) > 1}


def _section(command: Command, several: Mapping[type, Sequence[str]]) -> Iterator[str]:
    yield f"## {command.name}"
    yield text((command.click.help or "").partition("\n\n")[0])
    own = table_of(command, (section for section in command.sections if section.cls not in several))
    yield own
    links = [
        f"[{_title(section.cls)}](#{anchor(_title(section.cls))})"
        for section in command.sections
        if section.cls in several
    ]
    if links:
        yield f"{'And those of' if own else 'Those of'} {', '.join(links)}."


def _shared_section(cls: type, names: Sequence[str], commands: Sequence[Command]) -> Iterator[str]:
    yield f"## {_title(cls)}"
    yield f"Of {', '.join(f'[{name}](#{anchor(name)})' for name in names)}."
    command = next(command for command in commands if command.name == names[0])
    yield table_of(command, (section for section in command.sections if section.cls is cls))


def _title(cls: type) -> str:
    if cls.__name__ not in SHARED:
        raise LookupError(f"{cls.__name__}: several commands have it; reference/settings.py has no title for it")
    return SHARED[cls.__name__]


def table_of(command: Command, sections: Iterable[Section[Any]]) -> str:
    rows = [
        (_flag(command, section, item) + code(item.env), *_cells(item))
        for section in sections
        for item in declared(section.cls)
    ]
    return table(("flag and variable", "kind", "default", "meaning"), rows) if rows else ""


def _items(command: Command) -> Iterator[tuple[Section[Any], Declared]]:
    for section in command.sections:
        for item in declared(section.cls):
            yield section, item


def _flag(command: Command, section: Section[Any], item: Declared) -> str:
    """Nothing where only the environment says it."""
    flags = {flag for parameter in command.click.params for flag in parameter.opts}
    return code(section.flag(item)) + "<br>" if section.flag(item) in flags else ""


def _cells(item: Declared) -> tuple[str, str, str]:
    kind = ", ".join(filter(None, (kind_name(item.kind), bounds(item))))
    return kind, code(item.shown_default), text(item.help)


def bounds(item: Declared) -> str:
    """Nothing where there are none."""
    shown = format_duration if item.kind is duration else _plain
    if item.low is None and item.high is None:
        return ""
    if item.high is None:
        return f"at least {shown(item.low or 0)}"
    return f"{shown(item.low or 0)} to {shown(item.high)}"


def _plain(number: float) -> str:
    return f"{number:.15g}"


def _told(kind: Parser) -> str:
    """The first sentence of a kind's docstring, which says what to write."""
    if not kind.__doc__:
        raise LookupError(f"{kind.__module__}.{kind.__name__}: has no docstring that says what to write")
    return kind.__doc__.replace("``", "`").partition(" Raises ")[0].partition("\n\n")[0].rstrip(".")
