"""Takes the pictures in docs/screenshots: the console's pages, of a suite that is at work.

    python -m tests.console.screenshots        # of each page
    python -m tests.console.screenshots demo   # of the function of `springtide demo`, its whole story decided

The second shows the folder of the sample that it runs: take it from a clone whose place everybody may see. All are made
small by pngquant: that of PATH, or else Debian's.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Page, expect, sync_playwright

from springtide.cli import browser as browsers
from springtide.cli.demo.story import FAST, Story
from springtide.cli.demo.timeline import Timeline
from springtide.cli.tools import Missing
from springtide.scaler.core.vocabulary import Decision
from tests.console.conftest import NARROW, ROOT, WIDE, load
from tests.debian_programs import program
from tests.e2e.conftest import Running, running

FOLDER = ROOT / "docs" / "screenshots"
LOADED_S = 70.0
"""How long the functions are called before the pictures: long enough for charts to tell something."""

HANDLERS = {
    "checkout": ("time.sleep(random.uniform(0.005, 0.04))", "500 if random.random() < 0.03 else 200"),
    "resize": ("time.sleep(random.uniform(0.05, 0.3))", "200"),
    "greet": ("pass", "200"),
}
PAGES = {
    "functions": "/ui/",
    "function": "/ui/functions/checkout.openfaas-fn",
    "cold-start": "/ui/functions/greet.openfaas-fn",
    "queues": "/ui/queues",
    "triggers": "/ui/triggers",
    "deploy": "/ui/deploy",
    "system": "/ui/system",
}
TAKEN = {("light", "wide"): tuple(PAGES), ("dark", "wide"): ("function",), ("light", "narrow"): ("function",)}
"""Theme and width, and which pages in them. Tests look at all pages in all of them."""

SCHEDULES = {"greet": "*/5 * * * *", "resize": "CRON_TZ=Europe/Berlin 0 6 * * MON-FRI"}
QUEUED = 3


def main() -> None:
    found = browsers.find(ROOT / ".tools", os.environ["PATH"])
    if isinstance(found, Missing):
        raise SystemExit(found.why)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        suite = stack.enter_context(running(folder / "state", "--fast"))
        playwright = stack.enter_context(sync_playwright())
        chromium = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        stack.callback(chromium.close)
        if sys.argv[1:] == ["demo"]:
            shrink([take_demo(chromium, suite)])
        else:
            shrink(take_pages(chromium, suite, folder))


def take_pages(chromium: Browser, suite: Running, folder: Path) -> list[Path]:
    deploy(suite, folder)
    pictures = []
    with load(suite, "checkout", 55), load(suite, "resize", 8):
        end = time.monotonic() + LOADED_S
        while time.monotonic() < end:
            httpx.get(f"{suite.gateway}/function/greet", timeout=30)
            call_later(suite)
            time.sleep(20)
        for (theme, width), names in TAKEN.items():
            pictures += take(chromium, suite, theme, width, names)
    return pictures


def deploy(suite: Running, folder: Path) -> None:
    for name, (does, status) in HANDLERS.items():
        (folder / name).mkdir()
        answer = f"{{'statusCode': {status}, 'body': 'Hello'}}"
        lines = ("import random", "import time", "", "", "def handle(event, context):",
                 f"    {does}", f"    print('{name} done')", f"    return {answer}", "")  # fmt: skip
        (folder / name / "handler.py").write_text("\n".join(lines))
        suite.deploy(name, folder / name, max="10", factor="20", target="20", zero=str(name == "greet").lower())
        schedule(suite, name, SCHEDULES.get(name))
    body = {
        "service": "invoices",
        "image": "any",
        "envProcess": "false",
        "envVars": {"mode": "http", "upstream_url": "http://127.0.0.1:3000"},
    }
    with suite.client() as client:
        client.post("/system/functions", json=body)


def schedule(suite: Running, name: str, when: str | None) -> None:
    """Has it called by the clock, as an update of what is deployed."""
    if when is not None:
        status = suite.status(name)
        annotations = {**status["annotations"], "topic": "cron-function", "schedule": when}
        body = {"service": name, "image": status["image"], "labels": status["labels"], "annotations": annotations}
        with suite.client() as client:
            assert client.put("/system/functions", json=body).status_code == 202


def call_later(suite: Running) -> None:
    """Some calls that end, and one that is put off."""
    for number in range(QUEUED):
        httpx.post(f"{suite.gateway}/async-function/{'resize' if number % 3 else 'checkout'}", content=b"Ada")
    httpx.post(f"{suite.gateway}/async-function/greet", content=b"Ada", headers={"X-Delay": "30m"})


def take(chromium: Browser, suite: Running, theme: str, width: str, names: tuple[str, ...]) -> list[Path]:
    size = WIDE if width == "wide" else NARROW
    pictures = []
    with viewed(chromium, suite, theme, size) as page:
        for name in names:
            page.goto(PAGES[name])
            if name == "cold-start":
                invoke(page)
            pictures.append(photograph(page, f"{name}-{theme}-{width}", size))
    return pictures


@dataclass
class Spectator:
    """Follows the demo as its own timeline does, and lets it end only when its picture has been taken."""

    timeline: Timeline
    last: str = "cold_call"
    function: str = ""
    deployed: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    taken: threading.Event = field(default_factory=threading.Event)

    def decided(self, decision: Decision) -> None:
        self.timeline.decided(decision)

    def happened(self, at: float, function: str, *, replicas: int, reason: str, detail: str) -> None:
        self.timeline.happened(at, function, replicas=replicas, reason=reason, detail=detail)
        self.function = self.function or function  # the alert path's is told of first
        self.deployed.set()
        if reason == self.last:
            self.over.set()
            self.taken.wait(60)


def take_demo(chromium: Browser, suite: Running) -> Path:
    spectator = Spectator(Timeline(began=time.time(), as_json=False))
    story = Story(suite.gateway, suite.credentials, FAST, spectator)  # type: ignore[arg-type]  # it tells a Timeline only
    playing = threading.Thread(target=lambda: asyncio.run(story.play()))
    playing.start()
    try:
        assert spectator.deployed.wait(60), "the demo deployed nothing"
        with viewed(chromium, suite, "light", WIDE) as page:
            page.goto(f"/ui/functions/{spectator.function}")
            assert spectator.over.wait(240), "the demo came to no end"
            expect(page.locator("#colds > li")).to_have_count(1)
            # On the page the list scrolls; on the picture it is whole.
            page.evaluate("document.getElementById('timeline').style.maxHeight = 'none'")
            return photograph(page, "demo-light-wide", WIDE)
    finally:
        spectator.taken.set()
        playing.join()


@contextmanager
def viewed(chromium: Browser, suite: Running, theme: str, size: dict[str, int]) -> Iterator[Page]:
    user = suite.credentials
    context = chromium.new_context(
        base_url=suite.gateway,
        viewport=size,  # type: ignore[arg-type]  # its TypedDict is not exported
        color_scheme=theme,  # type: ignore[arg-type]  # one of two words
        http_credentials={"username": user.user, "password": user.password},
    )
    yield context.new_page()
    context.close()


def photograph(page: Page, name: str, size: dict[str, int]) -> Path:
    page.set_viewport_size({"width": size["width"], "height": size["height"]})
    height = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": size["width"], "height": max(height, size["height"])})
    # Charts are made when they come into sight, and fill from a stream and a request: a moment later all are there.
    page.wait_for_timeout(3000)
    page.mouse.move(0, 0)
    picture = FOLDER / f"{name}.png"
    page.screenshot(path=picture, full_page=True, animations="disabled")
    return picture


def invoke(page: Page) -> None:
    page.get_by_label("Body").first.fill("Ada")
    page.get_by_role("button", name="Invoke").click()
    page.locator("#status").wait_for()
    page.evaluate("document.activeElement.blur()")


def shrink(pictures: list[Path]) -> None:
    pngquant = program("pngquant", "pngquant")
    named = [str(path) for path in pictures]
    words = [str(pngquant.path), "--force", "--ext", ".png", "--quality", "70-95", *named]
    subprocess.run(words, env=pngquant.environ, check=True)


if __name__ == "__main__":
    main()
