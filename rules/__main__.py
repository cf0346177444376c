"""``python -m rules`` writes the committed files; with ``--check`` it only says whether they are up to date."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from rules.generated_files import drift, write
from rules.kubernetes import kubernetes_configuration

FOLDER = Path(__file__).parent / "generated"
HEADER = "# Written by `python -m rules`; do not edit. Comments and reasons are in rules/*.py and rules/README.md.\n"


@click.command(help=__doc__)
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if a file differs.")
def main(*, check: bool) -> None:
    files = {name: HEADER + text for name, text in kubernetes_configuration().items()}
    if check:
        differing = drift(FOLDER, files)
        for name in differing:
            click.echo(f"{name} is out of date; run: python -m rules", err=True)
        sys.exit(1 if differing else 0)
    write(FOLDER, files)


if __name__ == "__main__":
    main()
