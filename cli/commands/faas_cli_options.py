"""Options that ``faas-cli`` has: written as Go's flags are (``--update=false``), done, or set aside with a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from springtide.cli.terminal_text import one_line

_TRUE, _FALSE = ("1", "t", "true"), ("0", "f", "false")
IGNORED: dict[str, str] = {
    "--network": "functions have no network to choose here",
    "--tag": "it marks images that are built; what is deployed is named by --image or the file",
    "--strategy": "an update always starts the new version before the old one goes",
    "--read-template": "a function's command is in the file or --fprocess, and a handler needs none",
    "--send-registry-auth": "images are not fetched with the deployer's credentials",
    "--registry-auth": "images are not fetched with the deployer's credentials",
    "--parallel": "functions are deployed one after the other",
}
"""Options with no effect, and why."""


class GoFlagCommand(click.Command):
    """Takes ``--flag=true`` and ``--flag=false`` for flags, too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        flags = {
            name: option
            for option in self.params
            if isinstance(option, click.Option) and option.is_flag
            for name in option.opts
        }
        own, rest = args, list[str]()
        if "--" in args:
            own, rest = args[: args.index("--")], args[args.index("--") :]
        spelt = [word for argument in own for word in _spelt(argument, flags, ctx)]
        return super().parse_args(ctx, spelt + rest)


def _spelt(argument: str, flags: Mapping[str, click.Option], ctx: click.Context) -> Sequence[str]:
    name, equals, value = argument.partition("=")
    option = flags.get(name)
    if not equals or option is None:
        return [argument]
    if value.lower() in _TRUE:
        return [name]
    if value.lower() not in _FALSE:
        raise click.UsageError(f"{name}={value}: write {name}=true or {name}=false", ctx)
    return option.secondary_opts[:1]


def ignored_options(command: Any) -> Any:
    """Adds those that are known and have no effect; ``tell_ignored`` says so of the ones that were given."""
    for name in reversed(IGNORED.keys()):
        switch = name in ("--read-template", "--send-registry-auth")
        command = click.option(name, _variable(name), is_flag=switch, default=None, hidden=True)(command)
    return command


def tell_ignored(options: Mapping[str, Any]) -> None:
    for name, why in IGNORED.items():
        if options.get(_variable(name)) is not None:
            click.echo(f"springtide: {one_line(name)} has no effect: {why}", err=True)


def _variable(name: str) -> str:
    return f"ignored_{name[2:].replace('-', '_')}"
