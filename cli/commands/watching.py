"""``springtide deploy --watch``: deploys again whenever the folder of a handler changes, until it is ended."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import click

from springtide.cli import folder_watch
from springtide.cli.folder_watch import Look
from springtide.cli.stack import Entry
from springtide.cli.terminal_text import lines
from springtide.runtime.errors import BadInput, SpringtideError
from springtide.scaler.core.label_names import HANDLER

LOOK_S = 0.4
"""Between looks; a change is deployed when it is no longer going on at the next."""


def handler_folders(entries: Sequence[Entry]) -> dict[str, Path]:
    """By function. Raises BadInput when there is nothing to watch."""
    specs = [entry.spec for entry in entries if entry.spec is not None]
    folders = {spec.ref.name: Path(spec.annotations[HANDLER]) for spec in specs if HANDLER in spec.annotations}
    if not folders:
        raise BadInput("--watch: none of the functions has the folder of a handler; name one with handler:")
    return folders


def deploy_on_changes(folders: Mapping[str, Path], deploy: Callable[[Sequence[str]], object]) -> None:
    """Deploy all, then what changed, for ever. What goes wrong is told, and the next change may mend it."""
    looks = _looks(folders)
    before = next(looks)
    attempt(partial(deploy, list(folders)))
    click.echo(f"Watching {', '.join(map(str, folders.values()))}; Ctrl-C ends it.", err=True)
    for changed in folder_watch.changes(itertools.chain([before], looks)):
        click.echo(f"Changed: {', '.join(changed)}", err=True)
        attempt(partial(deploy, changed))


def attempt(work: Callable[[], object]) -> None:
    """Tell what goes wrong, and go on."""
    try:
        work()
    except SpringtideError as error:
        click.secho(f"springtide: {lines(error)}", fg="red", err=True)


def _looks(folders: Mapping[str, Path]) -> Iterator[Mapping[str, Look]]:
    while True:
        yield {name: folder_watch.look(folder) for name, folder in folders.items()}
        time.sleep(LOOK_S)
