"""The site in a real browser: pages that load without an error and ask nobody else, and a search that finds."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.console.conftest import NARROW, WIDE
from tests.docs.site import Site, served
from tests.told import TOLD

QUESTIONS = {
    "how to deploy a function with a requirement": "how-to/requirements-and-secrets/",
    "private registry pull secret": "how-to/images/",
    "call a function every five minutes": "tutorial/",
    "schedule time zone": "schedules/",
    "timeout of a long call": "how-to/long-calls/",
    "big model starts slowly": "how-to/slow-starts/",
    "scale to zero": "concepts/replica-count/",
    "it does not go to zero": "troubleshooting/",
    "nginx tls proxy": "how-to/tls-proxy/",
    "backup restore": "how-to/backup/",
    "move from knative min-scale": "move-scaling/",
    "faasd": "move-from-faasd/",
    "github webhook signature": "webhooks/",
    "dead letters retry": "queue/",
    "cold start parts": "concepts/cold-start/",
    "port in use": "troubleshooting/",
    "why was my function scaled": "concepts/replica-count/",
    "cron": "schedules/",
    "migrate": "move-from-openfaas/",
    "move a Pro stack file": "how-to/pro-stack-file/",
}
"""What somebody types, and the page that is to be among the first that the search shows."""
FIRST = 5
LOADED = 11


@pytest.fixture(scope="module")
def address(site: Site) -> Iterator[str]:
    with served(site.folder) as address:
        yield address


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """One that notices errors, and what other hosts are asked for."""
    context = browser.new_context(base_url=address, viewport=WIDE)  # type: ignore[arg-type]  # its TypedDict is not exported
    page, wrong = context.new_page(), list[str]()
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    host = urlsplit(address).netloc
    page.on("request", lambda sent: wrong.append(sent.url) if urlsplit(sent.url).netloc not in ("", host) else None)
    yield page
    context.close()
    assert wrong == []


def test_pages_load_by_themselves(page: Page, site: Site, record_property: Callable[[str, object], None]) -> None:
    """The largest ones, which are of all kinds."""
    by_size = sorted(site.pages, key=lambda name: (site.folder / name).stat().st_size, reverse=True)
    took_ms = {}
    for name in ["index.html", *by_size[:LOADED]]:
        page.goto(f"/{name.removesuffix('index.html')}", wait_until="load")
        expect(page.locator("article h1").first).to_be_visible()
        took_ms[name] = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
    slowest = max(took_ms, key=lambda name: took_ms[name])
    median = statistics.median(took_ms.values())
    told = f"half within {median:.0f} ms, {slowest} in {took_ms[slowest]:.0f}"
    record_property(TOLD, f"the {len(took_ms)} largest pages of the site load: {told}")


def test_the_search_finds_what_people_ask(page: Page, record_property: Callable[[str, object], None]) -> None:
    page.goto("/")
    places = {question: place_of(page, question, wanted) for question, wanted in QUESTIONS.items()}
    late = {question: place for question, place in places.items() if place > FIRST}
    first = sum(place == 1 for place in places.values())
    record_property(TOLD, f"search: {len(places)} questions, {first} of them answered by the first page that is shown")

    assert late == {}


def place_of(page: Page, question: str, wanted: str) -> int:
    """Types it, waits until the page is shown, and counts how many pages are before it."""
    box, found = page.locator("input.md-search__input"), page.locator(".md-search-result__item")
    box.fill("")
    page.keyboard.press("End")  # the search listens to keys
    expect(found).to_have_count(0)  # what stands there is not the last question's
    box.fill(question)
    page.keyboard.press("End")
    expect(page.locator(f'.md-search-result__item > a[href*="/{wanted}?h="]').first).to_be_attached()
    links = page.locator(".md-search-result__item > a").evaluate_all("all => all.map(one => one.pathname)")
    return next(place for place, path in enumerate(dict.fromkeys(links), 1) if path.endswith(f"/{wanted}"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_no_wider_than_a_telephone(browser: Browser, address: str, scheme: str) -> None:
    context = browser.new_context(base_url=address, viewport=NARROW, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    for path in ("/", "/tutorial/", "/reference/labels/"):
        page.goto(path)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= NARROW["width"], path
    shown = page.evaluate("document.body.getAttribute('data-md-color-scheme')")
    context.close()

    assert shown == ("slate" if scheme == "dark" else "default")
