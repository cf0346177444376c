"""``python -m springtide.rules`` writes the committed files; with ``--check`` it only says whether they are up to date.

With ``--to`` it writes an installation's own rules instead, with other thresholds.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from springtide.rules.generated_files import drift, write
from springtide.rules.kubernetes import kubernetes_configuration
from springtide.rules.model import RUNBOOKS
from springtide.rules.operators import OperatorRules
from springtide.rules.runbook_index import runbook_index
from springtide.rules.thresholds import changed
from springtide.runtime.errors import BadInput
from springtide.runtime.files import write_atomic

FOLDER = Path(__file__).parent / "generated"
INDEX = Path(__file__).resolve().parents[1] / "docs" / "runbooks" / "README.md"
HEADER = "# Written by `python -m springtide.rules`; do not edit. Reasons are in rules/*.py and rules/README.md.\n"


@click.command(help=__doc__)
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if a file differs.")
@click.option("--to", type=click.Path(file_okay=False, path_type=Path), help="Folder to write to, and nothing else.")
@click.option("--set", "given", multiple=True, metavar="NAME=VALUE", help="A threshold; with --to.")
@click.option("--runbooks", default=RUNBOOKS, show_default=True, help="Base URL of the alerts' pages; with --to.")
def main(*, check: bool, to: Path | None, given: Sequence[str], runbooks: str) -> None:
    if to is not None:
        _write_own(to, given, runbooks)
        return
    if given or runbooks != RUNBOOKS:
        raise click.UsageError("--set and --runbooks are for rules of your own: say where with --to")
    files = _files(OperatorRules())
    if check:
        differing = drift(FOLDER, files)
        if not INDEX.is_file() or INDEX.read_text() != runbook_index():
            differing.append(str(INDEX.relative_to(INDEX.parents[2])))
        for name in differing:
            click.echo(f"{name} is out of date; run: python -m springtide.rules", err=True)
        sys.exit(1 if differing else 0)
    write(FOLDER, files)
    write_atomic(INDEX, runbook_index().encode())


def _write_own(folder: Path, given: Sequence[str], runbooks: str) -> None:
    """Only adds and replaces: the folder is somebody's."""
    try:
        thresholds = changed(dict(pair.partition("=")[::2] for pair in given))
    except BadInput as error:
        raise click.UsageError(str(error)) from error
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in _files(OperatorRules(thresholds, runbooks)).items():
        write_atomic(folder / name, text.encode())


def _files(operators: OperatorRules) -> Mapping[str, str]:
    return {name: HEADER + text for name, text in kubernetes_configuration(operators=operators).items()}


if __name__ == "__main__":
    main()
