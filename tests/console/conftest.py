"""A real Chromium, and pages of a whole running suite that notice whatever goes wrong in them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from springtide.cli import browser as browsers
from springtide.cli.tools import Missing, Tools
from tests.e2e.conftest import Running, running

ROOT = Path(__file__).parents[2]
PATIENCE_MS = 60_000
WIDE, NARROW = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
FUNCTIONS = {
    "greet": ('print("greeted", flush=True)', 200, "Hello"),
    "broken": ("pass", 500, "it broke"),
    "busy": ("time.sleep(0.02)", 200, "ok"),
    "chatty": ('print("\\n".join(f"line {number}" for number in range(5000)), flush=True)', 200, "said"),
}
"""By name: what each does, and what it answers with."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium without a window: the one on PATH or in .tools, else Playwright's own where somebody installed it."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        found: Path | Missing = browsers.find(ROOT / ".tools", os.environ["PATH"])
        own = Path(playwright.chromium.executable_path)
        if isinstance(found, Missing) and own.exists():
            found = own
        if isinstance(found, Missing):
            pytest.skip(found.why)
        # In a container Chromium's sandbox cannot be made; everything it loads here is ours.
        chromium = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def suite(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("console") / "state", "--fast", "--no-samples") as started:
        yield started


@pytest.fixture(scope="module")
def handlers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of functions by name."""
    folder = tmp_path_factory.mktemp("handlers")
    for name, (does, status, body) in FUNCTIONS.items():
        (folder / name).mkdir()
        answer = f'{{"statusCode": {status}, "body": "{body}"}}'
        code = f"import time\n\n\ndef handle(event, context):\n    {does}\n    return {answer}\n"
        (folder / name / "handler.py").write_text(code)
    return {name: folder / name for name in FUNCTIONS}


OpenPage = Callable[..., AbstractContextManager[Page]]


@pytest.fixture(scope="module")
def open_page(browser: Browser, suite: Running) -> OpenPage:
    """A page of the console; when it is left, nothing may have gone wrong in it and nothing come from elsewhere."""

    @contextmanager
    def opened(
        path: str, *, narrow: bool = False, dark: bool = False, expected: tuple[str, ...] = (), zone: str = "UTC"
    ) -> Iterator[Page]:
        wrong: list[str] = []
        host = urlsplit(suite.gateway).netloc
        user = suite.credentials
        context = browser.new_context(
            base_url=suite.gateway,
            viewport=NARROW if narrow else WIDE,  # type: ignore[arg-type]  # its TypedDict is not exported
            color_scheme="dark" if dark else "light",
            http_credentials={"username": user.user, "password": user.password},
            timezone_id=zone,
        )
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda sent: wrong.append(sent.url) if _elsewhere(sent.url, host) else None)
        try:
            page.goto(path)
            yield page
            assert [text for text in wrong if not any(known in text for known in expected)] == []
        finally:
            context.close()

    return opened


def _elsewhere(url: str, host: str) -> bool:
    return urlsplit(url).scheme in ("http", "https", "ws", "wss") and urlsplit(url).netloc != host


@contextmanager
def load(suite: Running, name: str, per_second: float) -> Iterator[None]:
    """Calls at an even rate from threads of their own, until left."""
    over = threading.Event()

    def call() -> None:
        with httpx.Client(base_url=suite.gateway, timeout=60) as client:
            while not over.is_set():
                started = time.monotonic()
                client.get(f"/function/{name}")
                over.wait(max(0.0, 4 / per_second - (time.monotonic() - started)))

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(90)
