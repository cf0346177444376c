"""Takes the pictures in docs/screenshots: every page, light and dark, wide and narrow, of a suite that is at work.

    python -m tests.console.screenshots

They are made small by pngquant where that is on PATH.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

from suite import browser as browsers
from suite.tools import Missing
from tests.console.conftest import NARROW, ROOT, WIDE, load
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
    "deploy": "/ui/deploy",
    "system": "/ui/system",
}


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
        deploy(suite, folder)
        with load(suite, "checkout", 55), load(suite, "resize", 8):
            end = time.monotonic() + LOADED_S
            while time.monotonic() < end:
                httpx.get(f"{suite.gateway}/function/greet", timeout=30)
                time.sleep(20)
            for theme in ("light", "dark"):
                for width in ("wide", "narrow"):
                    take(chromium, suite, theme, width)
    shrink()


def deploy(suite: Running, folder: Path) -> None:
    for name, (does, status) in HANDLERS.items():
        (folder / name).mkdir()
        answer = f"{{'statusCode': {status}, 'body': 'Hello'}}"
        lines = ("import random", "import time", "", "", "def handle(event, context):",
                 f"    {does}", f"    print('{name} done')", f"    return {answer}", "")  # fmt: skip
        (folder / name / "handler.py").write_text("\n".join(lines))
        suite.deploy(name, folder / name, max="10", factor="20", target="20", zero=str(name == "greet").lower())
    body = {"service": "invoices", "image": "any", "envProcess": "no-such-program"}
    with suite.client() as client:
        client.post("/system/functions", json=body)


def take(chromium: Browser, suite: Running, theme: str, width: str) -> None:
    user = suite.credentials
    context = chromium.new_context(
        base_url=suite.gateway,
        viewport=WIDE if width == "wide" else NARROW,  # type: ignore[arg-type]  # its TypedDict is not exported
        color_scheme=theme,  # type: ignore[arg-type]  # one of two words
        http_credentials={"username": user.user, "password": user.password},
    )
    page = context.new_page()
    for name, path in PAGES.items():
        page.goto(path)
        if name == "cold-start":
            invoke(page)
        size = WIDE if width == "wide" else NARROW
        page.set_viewport_size({"width": size["width"], "height": size["height"]})
        height = page.evaluate("document.documentElement.scrollHeight")
        page.set_viewport_size({"width": size["width"], "height": max(height, size["height"])})
        # Charts are made when they come into sight, and fill from a stream and a request: a moment later all are there.
        page.wait_for_timeout(3000)
        page.mouse.move(0, 0)
        page.screenshot(path=FOLDER / f"{name}-{theme}-{width}.png", full_page=True, animations="disabled")
    context.close()


def invoke(page: Page) -> None:
    page.get_by_label("Body").first.fill("Ada")
    page.get_by_role("button", name="Invoke").click()
    page.locator("#status").wait_for()
    page.evaluate("document.activeElement.blur()")


def shrink() -> None:
    pngquant = shutil.which("pngquant")
    if pngquant is not None:
        pictures = [str(path) for path in FOLDER.glob("*.png")]
        subprocess.run([pngquant, "--force", "--ext", ".png", "--quality", "70-95", *pictures], check=True)


if __name__ == "__main__":
    main()
