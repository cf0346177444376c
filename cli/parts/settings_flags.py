"""Command-line flags made from settings declarations, so that a setting is written down once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import click

from springtide.runtime.settings import Declared, SettingsError, boolean, declared, duration, read

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Section(Generic[T]):
    """One settings class of a command; ``prefix`` keeps its flags apart from those of another class."""

    cls: type[T]
    prefix: str = ""

    def flag(self, item: Declared) -> str:
        return f"--{self.prefix}-{item.flag[2:]}" if self.prefix else item.flag

    def parameter(self, item: Declared) -> str:
        """What click calls the value."""
        return f"{self.prefix}_{item.name}" if self.prefix else item.name

    def read(self, environ: Mapping[str, str], given: Mapping[str, object], **plain: object) -> T:
        """The settings; flags win over the environment. ``plain`` are fields that have neither flag nor variable."""
        overrides = {item.name: given.get(self.parameter(item)) for item in declared(self.cls)}
        try:
            return read(self.cls, environ, overrides | plain)
        except SettingsError as error:
            raise SettingsError([self._renamed(problem) for problem in error.problems]) from error

    def problems(self, environ: Mapping[str, str], given: Mapping[str, object], **plain: object) -> list[str]:
        """What ``read`` would complain about."""
        try:
            self.read(environ, given, **plain)
        except SettingsError as error:
            return error.problems
        return []

    def _renamed(self, problem: str) -> str:
        return f"--{self.prefix}-{problem[2:]}" if self.prefix and problem.startswith("--") else problem


def settings_options(*sections: Section[Any]) -> Callable[[F], F]:
    """A flag for every setting; the command gets them as text by parameter name, None where not given."""

    def decorate(command: F) -> F:
        options = [_option(section, item) for section in sections for item in declared(section.cls)]
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def refuse(*problems: list[str]) -> None:
    """Raises SettingsError with the problems of all sections together, if there are any."""
    if found := [problem for section in problems for problem in section]:
        raise SettingsError(found)


def _option(section: Section[Any], item: Declared) -> Callable[[F], F]:
    """Values stay text here: ``read`` parses and checks them as it does those of the environment."""
    flag, parameter, default = section.flag(item), section.parameter(item), item.shown_default
    help_text = f"{item.help}  [env: {item.env}" + (f"; default: {default}]" if default else "]")
    if item.kind is boolean:
        return click.option(f"{flag}/--no-{flag[2:]}", parameter, default=None, help=help_text)
    metavar = "DURATION" if item.kind is duration else item.kind.__name__.upper()
    return click.option(flag, parameter, metavar=metavar, help=help_text)
