"""``python -m release.site VERSION``: the site of the docs as that version's, beside those of others.

Each version is a folder of its own, and ``versions.json`` beside them is what the theme's list of versions reads: in
mike's format, without mike's branch of built pages in the repository. Any web server can show the folder as it is.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import click
from packaging.version import InvalidVersion, Version

from deploy.versions import ROOT
from springtide.runtime.files import write_atomic

LIST = "versions.json"
NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")
LATEST = "latest"
_REDIRECT = """<!doctype html>
<meta charset="utf-8">
<title>Springtide</title>
<meta http-equiv="refresh" content="0; url={0}/">
<a href="{0}/">Springtide {0}</a>
"""


@click.command(help=__doc__)
@click.argument("version")
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    default=ROOT / "build" / "site",
    help="The folder with all versions.  [default: build/site]",
)
def main(*, version: str, into: Path) -> None:
    """What is in it of this version is replaced."""
    if not NAME.fullmatch(version):
        raise click.UsageError(f"{version!r} names no version: letters, digits, full stops, at most 64 of them")
    build(into.absolute() / version)
    index(into)
    click.echo(f"{into / version}; put {into} onto a web server")


def build(target: Path) -> None:
    """The pages of the docs as they are here, with a list of versions; a link that leads nowhere fails it."""
    from mkdocs.commands.build import build as build_site  # noqa: PLC0415 - of the docs extra; the list needs none of it
    from mkdocs.config import load_config  # noqa: PLC0415 - the same

    config = load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(target))
    config.extra["version"] = {"provider": "mike", "default": LATEST}
    config.plugins.on_startup(command="build", dirty=False)
    build_site(config)
    config.plugins.on_shutdown()


def index(folder: Path) -> list[str]:
    """Write the list of the versions in ``folder``, newest first, and send readers of its root to the first."""
    names = sorted((path.parent.name for path in folder.glob("*/index.html")), key=_order, reverse=True)
    listed = [{"version": name, "title": name, "aliases": [LATEST] if name == names[0] else []} for name in names]
    write_atomic(folder / LIST, (json.dumps(listed, indent=2) + "\n").encode())
    write_atomic(folder / "index.html", _REDIRECT.format(names[0]).encode())
    return names


def _order(name: str) -> tuple[int, Version]:
    """Releases, then what comes before one, then names that are no versions, as ``dev``."""
    try:
        version = Version(name)
    except InvalidVersion:
        return 0, Version("0")
    return 1 if version.is_prerelease else 2, version


if __name__ == "__main__":
    main()
