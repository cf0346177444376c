"""The site as readers get it: built once by mkdocs, its pages and where their links lead."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).parents[2]


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    """As ``make docs`` does, strictly."""
    return subprocess.run(
        [Path(sys.executable).with_name("mkdocs"), "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env=dict(os.environ, NO_MKDOCS_2_WARNING="1", NO_COLOR="1"),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@dataclass
class Html(HTMLParser):
    """What matters of a page here: its anchors, its links, what it loads, and its text outside of code."""

    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    _unread: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.anchors |= {value for key in ("id", "name") if (value := named.get(key))}
        self.links += [value for value in [named.get("href")] if value is not None and tag == "a"]
        self.loaded += [value for value in [named.get("src")] if value is not None]
        self.loaded += [value for value in [named.get("href")] if value is not None and tag == "link"]
        self._unread += tag in ("pre", "code", "script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._unread -= tag in ("pre", "code", "script", "style")

    def handle_data(self, data: str) -> None:
        if not self._unread:
            self.text.append(data)


@dataclass(frozen=True)
class Site:
    folder: Path

    @functools.cached_property
    def pages(self) -> dict[str, Html]:
        """By their path below the site."""
        found = {}
        for path in sorted(self.folder.rglob("*.html")):
            page = Html()
            page.feed(path.read_text())
            found[path.relative_to(self.folder).as_posix()] = page
        return found

    @property
    def links(self) -> int:
        return sum(len(page.links) + len(page.loaded) for page in self.pages.values())

    def broken(self) -> list[str]:
        """Links of the site to itself that lead to no file, or to no such place in it."""
        return [
            f"{name}: {link}"
            for name, page in self.pages.items()
            for link in (*page.links, *page.loaded)
            if name != "404.html" and not self._leads(name, link)
        ]

    def elsewhere(self) -> list[str]:
        """What pages load from other hosts."""
        return [f"{name}: {link}" for name, page in self.pages.items() for link in page.loaded if urlsplit(link).netloc]

    def _leads(self, name: str, link: str) -> bool:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            return True
        path = (self.folder / name).parent / unquote(parts.path) if parts.path else self.folder / name
        path = path.resolve()
        path = path / "index.html" if path.is_dir() else path
        known = self.pages.get(path.relative_to(self.folder.resolve()).as_posix()) if path.is_file() else None
        return path.is_file() and (known is None or parts.fragment in {"", "__skip", *known.anchors})


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The site's address, until left."""
    handler = functools.partial(_Quiet, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *words: object) -> None:
        pass
