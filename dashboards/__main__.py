"""``python -m springtide.dashboards`` writes the committed files; ``--check`` only says whether they are up to date."""

from __future__ import annotations

import sys

import click

from springtide.dashboards.all_dashboards import written
from springtide.dashboards.committed import FOLDER
from springtide.rules.generated_files import drift, write


@click.command(help=__doc__)
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if a file differs.")
def main(*, check: bool) -> None:
    files = written()
    if check:
        differing = drift(FOLDER, files)
        for name in differing:
            click.echo(f"{name} is out of date; run: python -m springtide.dashboards", err=True)
        sys.exit(1 if differing else 0)
    write(FOLDER, files)


if __name__ == "__main__":
    main()
