"""Commands for functions in the making: new, build."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from springtide.cli import new_function
from springtide.cli.build_context import BuildSource
from springtide.cli.commands.deployment import chosen_entries, envsubst_option, filter_option, regex_option
from springtide.cli.commands.faas_cli_options import GoFlagCommand
from springtide.cli.commands.many import Task, Verb, do_all
from springtide.cli.commands.options import (
    json_option,
    payload_secret_option,
    print_table,
    stack_option,
    with_target,
)
from springtide.cli.remote_build import RemoteBuilder
from springtide.cli.stack import Entry, Overrides
from springtide.cli.target import Target
from springtide.cli.terminal_text import one_line
from springtide.provider.process import starters


@click.command()
@click.argument("name", required=False)
@click.option("--lang", default=starters.DEFAULT_LANG, show_default=True, help="The template; --list shows them.")
@click.option("--append", type=click.Path(dir_okay=False, path_type=Path), help="Add it to this stack file.")
@click.option("--handler", type=click.Path(file_okay=False, path_type=Path), help="Its folder.  [default: NAME]")
@click.option("--prefix", default="", help="What its image's name begins with, such as ttl.sh/me.")
@click.option("--list", "list_only", is_flag=True, help="Show the templates that run here.")
def new(
    *, name: str | None, lang: str, append: Path | None, handler: Path | None, prefix: str, list_only: bool
) -> None:
    """Begin a function: a folder with a handler, and a stack.yaml to deploy it by."""
    if list_only:
        print_table(("Template", "About"), [(each.lang, each.description) for each in starters.STARTERS])
        return
    if not name:
        raise click.UsageError("name the function: springtide new NAME")
    made = new_function.write(name, lang, stack_file=append, folder=handler, prefix=prefix)
    click.echo(
        f"Created {made.folder}/ ({', '.join(made.files)}) and {'added it to' if append else 'wrote'} {made.stack}."
    )
    shown = (
        "" if made.stack.name in ("stack.yaml", "stack.yml") and made.stack.parent == Path() else f" -f {made.stack}"
    )
    click.echo(f"Edit the handler, then: springtide deploy{shown}")


@click.command(cls=GoFlagCommand)
@stack_option
@filter_option
@regex_option
@envsubst_option
@payload_secret_option
@json_option
@with_target
def build(*, target: Target, payload_secret: Path | None, as_json: bool, **options: Any) -> int:
    """Build the functions of a stack file through the gateway, without Docker; they can be deployed by image then.

    One that fails leaves the others to be built; the exit status is 1 then.
    """
    gateway, entries = chosen_entries(options, target.environ, Overrides())
    with target.client(gateway) as client:
        builder = RemoteBuilder.of(target, client, payload_secret, quiet=as_json)
        for name in [entry.ref.name for entry in entries if _has_nothing_to_build(entry)]:
            click.echo(f"springtide: {one_line(name)} has no handler folder: nothing to build", err=True)
        chosen = [entry for entry in entries if not _has_nothing_to_build(entry)]
        tasks = [Task(entry.ref.name, None, _builds(builder, entry)) for entry in chosen]
        return do_all(tasks, Verb("built", "image", "Image"), as_json=as_json)


def _has_nothing_to_build(entry: Entry) -> bool:
    """One with problems is left to tell of them."""
    return entry.spec is not None and BuildSource.of(entry.spec) is None


def _builds(builder: RemoteBuilder, entry: Entry) -> Callable[[], str]:
    def work() -> str:
        source = BuildSource.of(entry.wanted())
        assert source is not None
        builder.build(source)
        return source.image

    return work
