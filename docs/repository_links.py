"""A hook of mkdocs: files of the repository that pages point to are part of the site, and no page is out of reach.

A page may point to any file of the repository as one reads it there: ``../provider/process/README.md``. Markdown
becomes pages of the site, other files are copied; both below ``source/``. A link that leads nowhere is left as it is,
for mkdocs to complain of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
DOCS = PurePosixPath("docs")
SOURCE = "source"
"""Where the site has what is no part of ``docs``."""

WEIGHTS = {
    "runbooks": 0.3,
    "reference": 0.6,
    "how-to": 2.0,
    "concepts": 2.0,
    "tutorial.md": 3.0,
    "schedules.md": 2.0,
    "troubleshooting.md": 2.0,
    "move-scaling.md": 3.0,
    SOURCE: 0.0,
}
"""How much a page counts in the search, by its folder or name, where not 1: who asks wants to be told how before what
there is. 0: it is not found at all."""

_LINK = re.compile(r"(?<=\]\()([^)\s#]+)(?=[#)\s])")
_FENCE = re.compile(r"^ *(```+|~~~+).*?^ *\1 *$", re.DOTALL | re.MULTILINE)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """An entry of the navigation that ends in ``/`` is all pages of that folder; pages that it forgets come last."""
    docs = Path(config.docs_dir)
    config.nav = [_expanded(entry, docs) for entry in config.nav or []]
    named = {name.partition("#")[0] for entry in config.nav for name in _leaves(entry)}
    there = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}
    if forgotten := sorted(there - named):
        config.nav = [*config.nav, {"More": forgotten}]
    return config


def _expanded(entry: Any, docs: Path) -> Any:
    if isinstance(entry, dict):
        return {title: _expanded(below, docs) for title, below in entry.items()}
    if isinstance(entry, list):
        return [_expanded(one, docs) for one in entry]
    if not str(entry).endswith("/"):
        return entry
    pages = sorted(
        (docs / entry).glob("*.md"), key=lambda path: (path.name not in ("README.md", "index.md"), path.name)
    )
    return [path.relative_to(docs).as_posix() for path in pages]


def _leaves(entry: Any) -> Iterator[str]:
    if isinstance(entry, dict):
        for below in entry.values():
            yield from _leaves(below)
    elif isinstance(entry, list):
        for one in entry:
            yield from _leaves(one)
    else:
        yield str(entry)


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Adds what pages point to, and what that points to in its turn."""
    waiting = [file for file in files if file.is_documentation_page()]
    while waiting:
        page = waiting.pop()
        for path in _pointed_to(page.content_string, _in_repository(page.src_uri)):
            name = _in_site(path)
            if name.startswith(f"{SOURCE}/") and files.get_file_from_path(name) is None:
                added = File.generated(config, name, abs_src_path=str(ROOT / path))
                files.append(added)
                if added.is_documentation_page():
                    waiting.append(added)
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: object) -> str:
    """Links as the repository has them become links as the site has them."""
    weight = WEIGHTS.get(page.file.src_uri.partition("/")[0], 1.0)
    page.meta.setdefault("search", {"boost": weight} if weight else {"exclude": True})
    here = _in_repository(page.file.src_uri)
    folder = str(PurePosixPath(page.file.src_uri).parent)

    def in_site(link: re.Match[str]) -> str:
        path = _target(link[0], here)
        return link[0] if path is None else relpath(_in_site(path), folder)

    return _outside_code(markdown, in_site)


def _outside_code(markdown: str, replace: Any) -> str:
    done, end = [], 0
    for fence in _FENCE.finditer(markdown):
        done += [_LINK.sub(replace, markdown[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*done, _LINK.sub(replace, markdown[end:])])


def _pointed_to(markdown: str, here: PurePosixPath) -> list[PurePosixPath]:
    found = (_target(link, here) for link in _LINK.findall(_FENCE.sub("", markdown)))
    return [path for path in found if path is not None]


def _target(link: str, here: PurePosixPath) -> PurePosixPath | None:
    """The file of the repository that a link of the page ``here`` means; None where it means something else."""
    if "://" in link or link.startswith(("mailto:", "/")):
        return None
    path = PurePosixPath(normpath(here.parent / link))
    if (ROOT / path).is_dir():
        path /= "README.md"
    return path if not path.parts[0].startswith("..") and (ROOT / path).is_file() else None


def _in_repository(src_uri: str) -> PurePosixPath:
    path = PurePosixPath(src_uri)
    return path.relative_to(SOURCE) if path.parts[0] == SOURCE else DOCS / path


def _in_site(path: PurePosixPath) -> str:
    return str(path.relative_to(DOCS)) if path.is_relative_to(DOCS) else f"{SOURCE}/{path}"
