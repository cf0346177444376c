"""``python -m deploy`` writes the committed files; with ``--check`` it only says whether they are up to date."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from deploy import values, versions
from deploy.configuration import chart_files
from deploy.permissions import PARTS
from deploy.rendering import CHART, plain_manifests
from deploy.roles import templates
from springtide.rules.generated_files import drift, write
from springtide.runtime.files import write_atomic

HERE = Path(__file__).parent

HEADER = "# Written by `python -m deploy` from deploy/chart with {values}; do not edit.\n"


@click.command(help=__doc__)
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if a file differs.")
def main(*, check: bool) -> None:
    """The chart's own files come first: the manifests are rendered from them."""
    differing = [*_chart(check=check), *_manifests(check=check)]
    for name in differing if check else ():
        click.echo(f"{name} is out of date; run: python -m deploy", err=True)
    sys.exit(1 if check and differing else 0)


def _chart(*, check: bool) -> list[str]:
    crds = {path.name: path.read_text() for path in sorted((HERE / "crds").glob("*.yaml"))}
    folders = {CHART / "files": chart_files(), CHART / "crds": crds}
    texts = {
        CHART / "templates" / "_permissions.tpl": templates(PARTS),
        CHART / "values.schema.json": values.schema(),
        **{path: versions.with_version(path.read_text()) for path in versions.FILES},
    }
    differing = [f"{folder.name}/{name}" for folder, files in folders.items() for name in drift(folder, files)]
    differing += [path.name for path, text in texts.items() if not path.is_file() or path.read_text() != text]
    if not check:
        for folder, files in folders.items():
            write(folder, files)
        for path, text in texts.items():
            write_atomic(path, text.encode())
    return differing


def _manifests(*, check: bool) -> list[str]:
    folder = HERE / "manifests"
    files = plain_manifests(HEADER)
    if check:
        return drift(folder, files)
    write(folder, files)
    return []


if __name__ == "__main__":
    main()
