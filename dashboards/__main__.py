"""``python -m dashboards`` writes the committed files; with ``--check`` it only says whether they are up to date."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from dashboards.overview import OVERVIEW
from rules.generated_files import drift, write

FOLDER = Path(__file__).parent / "generated"


@click.command(help=__doc__)
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if a file differs.")
def main(*, check: bool) -> None:
    files = {f"{dashboard.uid}.json": dashboard.as_json() for dashboard in (OVERVIEW,)}
    if check:
        differing = drift(FOLDER, files)
        for name in differing:
            click.echo(f"{name} is out of date; run: python -m dashboards", err=True)
        sys.exit(1 if differing else 0)
    write(FOLDER, files)


if __name__ == "__main__":
    main()
