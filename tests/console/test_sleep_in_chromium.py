"""The page of learned sleep in a real Chromium: the curve is worked out by the command, from a file of calls."""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from springtide.provider.spec import FunctionSpec
from springtide.scaler.core.vocabulary import FunctionRef
from tests.console.conftest import PATIENCE_MS, OpenPage
from tests.console.served import CREDENTIALS
from tests.console.test_in_chromium import violations
from tests.console.test_triggers_in_chromium import Served, serving

HOUR_S, DAYS = 3600.0, 3
ZERO = {"com.openfaas.scale.zero": "true", "com.openfaas.scale.zero-duration": "10m"}
ADVISE = """
import sys
from springtide.cli.command_line import run
words = [word for word in sys.argv[2:] if not word.startswith(("--since", "--prometheus"))]
sys.exit(run(["advise", *words, "--from", sys.argv[1]], {}))
"""
"""``springtide advise`` as it is, but of a file instead of Prometheus, which would have to run for days first."""


def recorded(file: Path, hours: float) -> tuple[str, ...]:
    """Calls of a timer and of two that are called at random, one of them by nobody who lets it sleep."""
    source = random.Random(1)
    rows = [(number * HOUR_S / 2, "ticks.openfaas-fn") for number in range(int(2 * hours))]
    for name, apart_s in (("often.openfaas-fn", 900.0), ("stays.openfaas-fn", 900.0)):
        at = 0.0
        while (at := at + source.expovariate(1 / apart_s)) < hours * HOUR_S:
            rows.append((at, name))
    file.write_text("".join(f"{at:.3f},{name}\n" for at, name in sorted(rows)))
    return (sys.executable, "-c", ADVISE, str(file))


def deploy(served: Served, name: str, labels: dict[str, str]) -> None:
    ref = FunctionRef("openfaas-fn", name)
    served.do(served.here.provider.deploy(FunctionSpec(ref=ref, image="any", labels=labels)))
    served.do(served.here.until(lambda text: str(ref) in text, "/ui/"))


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    calls = recorded(tmp_path_factory.mktemp("calls") / "calls.csv", 24 * DAYS)
    with serving(advise=calls, prometheus_url="http://127.0.0.1:9") as served:
        deploy(served, "ticks", ZERO)
        deploy(served, "often", ZERO)
        deploy(served, "stays", {})
        yield served


def curve(page: Page) -> Page:
    expect(page.locator("#curve svg")).to_be_visible(timeout=2 * PATIENCE_MS)
    return page


def test_curve_is_shown_with_today_on_it_and_the_labels_that_are_advised(suite: Served, open_page: OpenPage) -> None:
    with open_page("/ui/") as page:
        page.get_by_role("link", name="Sleep").click()
        curve(page)

        expect(page.locator("#summary")).to_have_text(
            "2 functions that may sleep; recorded for 3 d, of which the second half is counted."
        )
        expect(page.locator("#curve circle.today")).to_have_count(1)
        expect(page.locator("#curve circle.best title")).to_contain_text("Advised")
        assert page.locator("#curve circle.tried").count() >= 8
        expect(page.locator("#advised")).to_have_text(re.compile(r"^For as many replica-hours as today a cold start"))
        expect(page.locator("#labels")).to_contain_text('com.springtide.scale.zero-policy: "learned"')
        expect(page.locator("#tried tbody tr").first).to_contain_text("Today")
        expect(page.get_by_role("img", name=re.compile("^Learned sleep from .* Today: .* Advised:"))).to_be_visible()
        expect(page.locator("#said")).to_contain_text("Worked out")


def test_another_span_is_worked_out_when_it_is_chosen(suite: Served, open_page: OpenPage) -> None:
    with open_page("/ui/sleep") as page:
        curve(page)
        page.get_by_label("Recorded calls of").select_option("24h")
        expect(page.locator("#said")).to_contain_text("the last day", timeout=PATIENCE_MS)
        curve(page)
        assert page.url.endswith("?span=24h")


def test_with_too_little_recorded_it_says_how_much_is_needed(browser: Browser, tmp_path: Path) -> None:
    with serving(advise=recorded(tmp_path / "calls.csv", 3), prometheus_url="http://127.0.0.1:9") as served:
        context = browser.new_context(
            base_url=served.gateway,
            http_credentials={"username": CREDENTIALS.user, "password": CREDENTIALS.password},
        )
        page = context.new_page()
        deploy(served, "stays", {})
        page.goto("/ui/sleep")
        expect(page.locator("#why-none")).to_contain_text("No function here may sleep")
        deploy(served, "often", ZERO)
        page.goto("/ui/sleep")
        expect(page.locator("#why-none")).to_contain_text("Too little is recorded: ", timeout=2 * PATIENCE_MS)
        expect(page.locator("#why-none")).to_contain_text("from 6 h on")
        expect(page.locator("#answer")).to_be_hidden()
        context.close()


@pytest.mark.parametrize(
    ("narrow", "dark"), [pytest.param(False, False, id="wide, light"), pytest.param(True, True, id="narrow, dark")]
)
@pytest.mark.usefixtures("suite")
def test_page_is_accessible_and_fits_its_screen(open_page: OpenPage, narrow: bool, dark: bool) -> None:
    with open_page("/ui/sleep", narrow=narrow, dark=dark) as page:
        curve(page)
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= page.evaluate("innerWidth")
