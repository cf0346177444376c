"""Pages that have commands are followed, block by block, beside one running suite, and print what they show."""

from __future__ import annotations

import contextlib
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
from tests.free_ports import free_port
from tests.told import TOLD

DOCS = ROOT / "docs"
ELSEWHERE = ("reference", "runbooks")
"""Requests of the reference are made by a test of their own; a runbook is for a suite in which something is broken."""
PAGES = [
    page
    for page in sorted(DOCS.rglob("*.md"), key=lambda page: (page.name != "start.md", page))
    if (page.parent.name not in ELSEWHERE or page.name == "README.md") and any(blocks(page.read_text()))
]
"""The page to start with first: it finds a suite that nobody used yet."""
SAMPLES = {"hello", "wc"}
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
        parts = [
            (f"127.0.0.1:{port}", urlsplit(str(run[part])).netloc) for part, port in shown.items() if run.get(part)
        ]
        return [*parts, ("127.0.0.1:8089", f"127.0.0.1:{self.environment['connector_port']}")]


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
        environment |= {"SPRINGTIDE_TOOLS_DIR": str(ROOT / ".tools"), "connector_port": str(free_port())}
        yield Reader(suite, environment)


@pytest.fixture
def tidied(reader: Reader) -> Iterator[None]:
    """What a page deployed goes with it: the next one finds the samples."""
    yield
    with reader.suite.client() as client:
        for function in client.get("/system/functions").raise_for_status().json():
            if function["name"] not in SAMPLES:
                client.request("DELETE", "/system/functions", json={"functionName": function["name"]})


@pytest.mark.usefixtures("tidied")
@pytest.mark.parametrize("page", [pytest.param(path, id=path.relative_to(DOCS).as_posix()) for path in PAGES])
def test_a_page_does_what_it_says(
    page: Path, reader: Reader, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    ran, compared, files, left = 0, 0, 0, []
    with contextlib.closing(Shell(tmp_path, reader.environment)) as shell:
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
