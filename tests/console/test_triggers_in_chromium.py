"""Schedules and events as people see them, in a real Chromium: before a gateway and a cron part in this process."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from springtide.provider.spec import FunctionSpec
from springtide.runtime.basic_auth import Credentials
from springtide.scaler.core.vocabulary import FunctionRef
from tests.console.conftest import PATIENCE_MS, OpenPage
from tests.console.served import CREDENTIALS, DEADLINE_S, World, world
from tests.console.test_in_chromium import page_of, violations
from tests.fakes.http import HttpServer

MANY = 120
EVENT = {"topic": "orders", "source": "events", "id": "7", "outcome": "refused", "function": "bill.openfaas-fn"}
FUNCTIONS = {
    "report": {"topic": "cron-function", "schedule": "CRON_TZ=Asia/Tokyo 0 6 1 1 *; 0 12 * * *"},
    "nightly": {"topic": "cron-function", "schedule": "0 1 * * *", "com.springtide.schedule.overlap": "forbid"},
    "wrong": {"topic": "cron-function", "schedule": "61 * * * *"},
    "bill": {"topic": "orders", "com.springtide.webhook": "none"},
}


@dataclass
class Served:
    """A world on a loop of its own, for a browser is spoken to from this thread."""

    here: World
    loop: asyncio.AbstractEventLoop
    credentials: Credentials = CREDENTIALS

    @property
    def gateway(self) -> str:
        return f"http://127.0.0.1:{self.here.gateway.port}"

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(DEADLINE_S)

    async def deploy(self, name: str, annotations: dict[str, str]) -> None:
        ref = FunctionRef("openfaas-fn", name)
        await self.here.provider.deploy(FunctionSpec(ref=ref, image="any", annotations=annotations))
        await self.here.until(lambda text: f"{ref}" in text, "/ui/")


@contextmanager
def serving(**settings: Any) -> Iterator[Served]:
    loop, stack = asyncio.new_event_loop(), AsyncExitStack()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        entered = asyncio.run_coroutine_threadsafe(stack.enter_async_context(world(**settings)), loop)
        yield Served(entered.result(DEADLINE_S), loop)
    finally:
        asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result(DEADLINE_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(DEADLINE_S)
        loop.close()


@pytest.fixture(scope="module")
def connector() -> Iterator[str]:
    """Of an event an hour ago; it has a loop of its own, too."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def answer(_: str) -> tuple[int, bytes]:
        return 200, json.dumps([{**EVENT, "time": "2026-01-01T10:00:00.000+00:00"}]).encode()

    server = HttpServer(answer)
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(DEADLINE_S)
    yield f"http://127.0.0.1:{server.port}"
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result(DEADLINE_S)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(DEADLINE_S)
    loop.close()


@pytest.fixture(scope="module")
def suite(browser: Browser, connector: str) -> Iterator[Served]:
    with serving(with_cron=True, connector_urls=(connector, "http://127.0.0.1:9")) as served:
        for name, annotations in FUNCTIONS.items():
            served.do(served.deploy(name, annotations))
        served.do(served.here.until(lambda text: '"wrong"' in text, "/system/schedules"))
        yield served


def row(page: Page, name: str) -> Any:
    return page.locator("#schedules > li", has_text=name)


def test_schedules_are_shown_by_their_own_clocks_and_steered_by_buttons(suite: Served, open_page: OpenPage) -> None:
    with open_page("/ui/triggers", zone="America/New_York") as page:
        nightly, tokyo = row(page, "nightly"), row(page, "Asia/Tokyo")
        expect(tokyo).to_contain_text("06:00:00 Asia/Tokyo in")
        expect(nightly).to_contain_text("01:00:00 UTC in")
        expect(nightly).to_contain_text("None is known")
        expect(page.locator("#wrong-list")).to_contain_text("wrong.openfaas-fn")

        page.get_by_role("button", name="Pause nightly.openfaas-fn").click()
        expect(page.locator("#toast")).to_contain_text("is not called by its schedules until it is resumed")
        expect(nightly).to_contain_text("Paused: nothing until it is resumed", timeout=PATIENCE_MS)
        page.get_by_role("button", name="Resume nightly.openfaas-fn").click()
        expect(nightly).to_contain_text("01:00:00 UTC in", timeout=PATIENCE_MS)
        nightly.get_by_role("button", name="Run nightly.openfaas-fn now").click()
        expect(nightly).to_contain_text("by hand", timeout=PATIENCE_MS)
        expect(nightly.get_by_role("link", name="The call of")).to_have_attribute("href", "/ui/jobs/job-0")


def test_page_is_used_by_keyboard_alone_and_what_is_open_stays_open(suite: Served, open_page: OpenPage) -> None:
    with open_page("/ui/triggers") as page:
        page.locator("#schedules > li").first.wait_for()
        page.keyboard.press("/")
        page.keyboard.type("nightly")
        expect(page.locator("#schedules > li")).to_have_count(1, timeout=PATIENCE_MS)
        expect(page.locator("#found")).to_contain_text("1 of 3")
        more = row(page, "nightly").locator("summary")
        more.focus()
        page.keyboard.press("Enter")
        expect(row(page, "nightly")).to_contain_text("Skipped while the call before runs")
        page.get_by_role("button", name="Pause nightly.openfaas-fn").focus()
        page.keyboard.press("Enter")

        resume = page.get_by_role("button", name="Resume nightly.openfaas-fn")
        expect(resume).to_be_focused(timeout=PATIENCE_MS)
        expect(row(page, "nightly").locator("details")).to_have_attribute("open", "")
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Pause nightly.openfaas-fn")).to_be_focused(timeout=PATIENCE_MS)
        assert "search=nightly" in page.url


def test_long_list_is_shown_in_parts(suite: Served, open_page: OpenPage) -> None:
    many = {"topic": "cron-function", "schedule": "; ".join(f"{minute} 3 * * *" for minute in range(20))}
    for number in range(MANY // 20):
        suite.do(suite.deploy(f"many-{number}", many))
    with open_page("/ui/triggers?search=many&order=name") as page:
        expect(page.locator("#found")).to_contain_text("1 to 50 of 120", timeout=PATIENCE_MS)
        expect(page.get_by_role("button", name="Show those before")).to_be_hidden()
        page.get_by_role("button", name="Show those after").click()
        expect(page.locator("#found")).to_contain_text("51 to 100 of 120", timeout=PATIENCE_MS)
        page.get_by_role("button", name="Show those after").click()
        expect(page.locator("#found")).to_contain_text("101 to 120 of 120", timeout=PATIENCE_MS)
        expect(page.get_by_role("button", name="Show those after")).to_be_hidden()
        expect(page.locator("#schedules > li")).to_have_count(20)


def test_events_and_the_connector_that_is_away_are_shown_here_and_at_the_function(
    suite: Served, open_page: OpenPage
) -> None:
    with open_page("/ui/triggers") as page:
        expect(page.locator("#events tr")).to_contain_text("Refused")
        expect(page.locator("#silent")).to_contain_text("The connector at http://127.0.0.1:9 does not answer")
        page.locator("#events").get_by_role("link", name="bill.openfaas-fn").click()

        expect(page.locator("#events")).to_contain_text("Refused")
        expect(page.locator(".column")).to_contain_text("/webhook/bill.openfaas-fn")
        expect(page.locator(".column")).to_contain_text("anybody: nothing proves who sends")


def test_without_a_cron_part_pages_say_that_nobody_runs_schedules(browser: Browser) -> None:
    with serving() as served:
        served.do(served.deploy("report", FUNCTIONS["report"]))
        context = browser.new_context(
            base_url=served.gateway,
            http_credentials={"username": CREDENTIALS.user, "password": CREDENTIALS.password},
        )
        page = context.new_page()
        page.goto("/ui/triggers")
        expect(page.locator("#no-cron")).to_contain_text("Nobody calls by their schedules: report.openfaas-fn.")
        expect(page.locator("#cron")).to_be_hidden()
        expect(page.locator("#no-connector")).to_contain_text("Events are not known here")
        page.goto(page_of("report"))
        expect(page.locator("#schedules-away")).to_contain_text("Nobody calls it by its schedules")
        context.close()


@pytest.mark.parametrize(
    ("narrow", "dark"), [pytest.param(False, False, id="wide, light"), pytest.param(True, True, id="narrow, dark")]
)
@pytest.mark.usefixtures("suite")
def test_pages_are_accessible_and_fit_their_screen(open_page: OpenPage, narrow: bool, dark: bool) -> None:
    for path in ("/ui/triggers?search=report", page_of("report")):
        with open_page(path, narrow=narrow, dark=dark) as page:
            expect(page.locator("#schedules > li, #events > li").first).to_be_visible()
            assert violations(page) == []
            assert page.evaluate("document.documentElement.scrollWidth") <= page.evaluate("innerWidth"), path
