"""``python -m reference`` writes the committed pages; with ``--check`` it only says whether they are up to date."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from reference.pages import pages
from springtide.rules.generated_files import drift, write

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reference"


@click.command(help=__doc__)
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if a page differs.")
def main(*, check: bool) -> None:
    files = pages()
    if not check:
        write(FOLDER, files)
        return
    differing = drift(FOLDER, files)
    for name in differing:
        click.echo(f"docs/reference/{name} is out of date; run: python -m reference", err=True)
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main()
