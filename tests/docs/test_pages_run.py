"""Tutorial and how-to pages are followed, block by block, beside one running suite, and print what they show."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from springtide.cli.tools import Tools
from tests.docs.pages import Block, blocks, matches
from tests.docs.shell import Ran, Shell
from tests.docs.wheels import wheels_of_installed
from tests.e2e.conftest import ROOT, Running, running
from tests.told import TOLD

DOCS = ROOT / "docs"
FOLDERS = ("concepts", "how-to")
PAGES = [DOCS / name for name in ("start.md", "tutorial.md", "troubleshooting.md")]
PAGES += [page for folder in FOLDERS for page in sorted((DOCS / folder).glob("*.md"))]
PATIENCE_S, PAUSE_S = 180.0, 0.5
REQUIRED = ("jinja2", "markupsafe")
"""What functions on the pages require: made from what is installed here, so that no index is asked."""


@dataclass(frozen=True)
class Reader:
    """Whoever follows a page on the machine where the suite runs, and sees the addresses that pages show."""

    suite: Running
    environment: dict[str, str]

    def here(self, text: str) -> str:
        for shown, real in self._addresses():
            text = text.replace(shown, real)
        return text

    def shown(self, text: str) -> str:
        for shown, real in self._addresses():
            text = text.replace(real, shown)
        return text

    def _addresses(self) -> list[tuple[str, str]]:
        run = self.suite.run
        shown = {"gateway": 8080, "metrics": 8082, "prometheus": 9090, "alertmanager": 9093}
        return [(f"127.0.0.1:{port}", urlsplit(str(run[part])).netloc) for part, port in shown.items() if run.get(part)]


@pytest.fixture(scope="module")
def reader(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    home = tmp_path_factory.mktemp("reader")
    (home / ".local" / "state").mkdir(parents=True)
    (home / ".curlrc").write_text("no-progress-meter\n")  # as on a terminal
    wheels = wheels_of_installed(REQUIRED, home / "wheels")
    index = {"UV_NO_INDEX": "1", "UV_FIND_LINKS": str(wheels), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
    own = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with running(home / ".local" / "state" / "springtide", "--fast", **index, HOME=str(home), PATH=own) as suite:
        environment = {"HOME": str(home), "PATH": own, "COLUMNS": "100", "LANG": "C.UTF-8", "TZ": "UTC"}
        yield Reader(suite, environment | {"SPRINGTIDE_TOOLS_DIR": str(ROOT / ".tools")})


@pytest.mark.parametrize("page", [pytest.param(path, id=path.relative_to(DOCS).as_posix()) for path in PAGES])
def test_a_page_does_what_it_says(
    page: Path, reader: Reader, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    shell = Shell(tmp_path, reader.environment)
    ran, compared, files, left = 0, 0, 0, []
    for block in blocks(page.read_text()):
        where = f"{page.relative_to(DOCS)}:{block.line}"
        if block.not_run:
            left.append(f"  {where} not run: {block.not_run}")
        elif block.file:
            shell.write(block.file, reader.here(block.text))
            files += 1
        else:
            follow(block, shell, reader, where)
            ran, compared = ran + 1, compared + (block.output is not None)
    told = f"{page.relative_to(DOCS)}: {ran} blocks run, {compared} of them compared with what is shown, 0 unmatched; "
    record_property(TOLD, "\n".join([f"{told}{files} files; {len(left)} not run", *left]))

    assert ran + files + len(left) > 0, "a page without a block is no page to be followed"


def follow(block: Block, shell: Shell, reader: Reader, where: str) -> None:
    """Runs it, again and again where the page says so, and compares."""
    run = shell.python if block.language == "python" else shell.run
    deadline = time.monotonic() + PATIENCE_S
    while True:
        ran = run(reader.here(block.text))
        printed = reader.shown(ran.output)
        right = ran.status == block.status and (block.output is None or matches(printed, block.output))
        if right or not block.again or time.monotonic() > deadline:
            break
        time.sleep(PAUSE_S)
    if not right:
        pytest.fail(_difference(where, block, Ran(ran.status, printed)), pytrace=False)


def _difference(where: str, block: Block, ran: Ran) -> str:
    shown = "" if block.output is None else f"\n--- the page shows\n{block.output}"
    return f"{where} ended with {ran.status}\n{block.text}--- printed\n{ran.output}{shown}"
