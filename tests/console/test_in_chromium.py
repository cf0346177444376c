"""The console as people use it: in a real Chromium, before a whole running suite."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route, expect

from tests.console.conftest import PATIENCE_MS, OpenPage, load
from tests.e2e.conftest import Running, eventually


@pytest.fixture(scope="module")
def deployed(suite: Running, handlers: dict[str, Path]) -> Running:
    """The suite with a function of each kind: one that works, one that breaks, one for load, one that sleeps."""
    for name, folder in handlers.items():
        suite.deploy(name, folder, max="5", factor="40")
    suite.deploy("sleepy", handlers["greet"])
    suite.scale("sleepy", 0)
    return suite


def page_of(name: str) -> str:
    return f"/ui/functions/{name}.openfaas-fn"


def fill(page: Page, **fields: str) -> None:
    for label, value in fields.items():
        page.get_by_label(label.replace("_", " "), exact=True).fill(value)


def test_function_is_deployed_by_the_form_invoked_cold_and_shown_in_the_list(
    suite: Running, open_page: OpenPage, handlers: dict[str, Path]
) -> None:
    with open_page("/ui/deploy") as page:
        fill(page, Name="fresh", Python_handler=str(handlers["greet"]), Most_replicas="4")
        page.get_by_role("button", name="Deploy").click()

        expect(page).to_have_title("fresh · Springtide")
        expect(page.locator("#state")).to_have_text("Ready", timeout=PATIENCE_MS)
        page.get_by_label("Replicas", exact=True).fill("0")
        page.get_by_role("button", name="Scale", exact=True).click()
        expect(page.get_by_text("Put to sleep.")).to_be_visible()
        expect(page.locator("#state")).to_have_text("Asleep", timeout=PATIENCE_MS)

        page.get_by_role("button", name="Invoke").click()
        expect(page.locator("#status")).to_have_text("200 OK")
        expect(page.locator("#cold")).to_contain_text("Cold: held for")
        for part in ("deciding", "telling the provider", "starting a replica", "the function's first byte"):
            expect(page.locator("#answer")).to_contain_text(re.compile(rf"{part} [\d.]+ m?s"))
        expect(page.locator("#answer-body")).to_have_text("Hello")
        expect(page.locator("#colds > li")).to_have_count(1, timeout=PATIENCE_MS)
        expect(page.locator("#timeline")).to_contain_text("A caller woke it")

        page.get_by_role("button", name="Invoke").click()
        expect(page.locator("#cold")).to_have_text("warm")
        page.get_by_role("link", name="Functions", exact=True).click()
        row = page.locator("#rows article", has_text="fresh")
        expect(row.locator(".state")).to_have_text("Ready")
        expect(row.locator(".owner")).to_have_text("Scaled by the alert path")
        expect(row.locator("[data-measure=replicas] .spark")).to_have_attribute("aria-label", re.compile("highest 1"))
    assert suite.status("fresh")["labels"]["com.openfaas.scale.max"] == "4"


def test_function_under_load_is_watched_growing_and_says_why(deployed: Running, open_page: OpenPage) -> None:
    with load(deployed, "busy", 40), open_page(page_of("busy")) as page:
        entry = page.locator("#timeline li", has_text="An alert fires: the load is above its target").first
        expect(entry).to_contain_text("1 → 3 replicas", timeout=90_000)
        expect(entry).to_contain_text("Alerts: alert APIHighInvocationRate fires")
        expect(entry.get_by_label("Decided from")).to_contain_text("max 5")
        expect(page.locator("#say")).to_have_text(re.compile(r"[3-5] replicas answer\."), timeout=PATIENCE_MS)
        chart = page.locator("#chart-replicas")
        expect(chart.locator(".legend")).to_have_text(re.compile(r"wanted\s*[3-5].*ready\s*[3-5]"), timeout=PATIENCE_MS)
        expect(chart.get_by_role("img")).to_have_attribute(
            "aria-label", re.compile(r"^Replicas in the last 15 minutes")
        )
        assert painted(page, "#chart-replicas"), "the chart shows a line"
        expect(page.locator("#chart-rate .legend")).to_have_text(re.compile(r"answered\s*[1-9][\d.]* /s"))

        chart.get_by_text("As a table").click()
        expect(chart.get_by_role("columnheader")).to_have_text(["Time", "wanted", "ready"])
        page.get_by_role("button", name="1h").click()
        expect(page.get_by_role("button", name="1h")).to_have_attribute("aria-pressed", "true")
        expect(chart.locator(".summary")).to_contain_text("in the last hour")


def test_failing_function_shows_its_errors(deployed: Running, open_page: OpenPage) -> None:
    with open_page(page_of("broken")) as page:
        page.get_by_role("button", name="Invoke").click()
        expect(page.locator("#status")).to_have_text("500 Internal Server Error")
        expect(page.locator("#answer-body")).to_have_text("it broke")
        page.get_by_role("link", name="Functions", exact=True).click()
        errors = page.locator("#rows article", has_text="broken").locator("[data-measure=errors] .value")
        expect(errors).to_have_text("100 %", timeout=PATIENCE_MS)
        expect(errors).to_have_class(re.compile("bad"))


def test_log_is_followed_filtered_and_paused(deployed: Running, open_page: OpenPage) -> None:
    with open_page(page_of("greet")) as page:
        expect(page.locator("#log-state")).to_contain_text("Following")
        page.get_by_role("button", name="Invoke").click()
        lines = page.get_by_role("log").locator("p", has_text="greeted")
        expect(lines).to_have_count(1, timeout=PATIENCE_MS)
        page.get_by_label("Only lines with").fill("no such words")
        expect(lines.first).to_be_hidden()
        page.get_by_role("button", name="Follow").click()
        expect(page.locator("#log-state")).to_have_text("Paused.")


def test_log_of_a_function_that_writes_thousands_of_lines_does_not_hold_up_the_page(
    deployed: Running, open_page: OpenPage
) -> None:
    with open_page(page_of("chatty")) as page:
        expect(page.locator("#log-state")).to_contain_text("Following")
        page.evaluate(
            """window.showings = 0;
                const log = document.getElementById("log");
                new MutationObserver(() => window.showings++).observe(log, { childList: true })"""
        )
        page.get_by_role("button", name="Invoke").click()
        expect(page.get_by_role("log").locator("p").last).to_contain_text("line 4999", timeout=PATIENCE_MS)
        expect(page.get_by_role("log").locator("p")).to_have_count(1000)
        assert page.evaluate("window.showings") < 500


def test_form_tells_every_problem_and_keeps_what_was_written(suite: Running, open_page: OpenPage) -> None:
    with open_page("/ui/deploy", expected=("400 (Bad Request)",)) as page:
        fill(page, Name="Not A Name", Command="cat", Most_replicas="0")
        page.get_by_role("button", name="Deploy").click()
        alert = page.get_by_role("alert")
        expect(alert).to_be_focused()
        expect(alert).to_contain_text("service 'Not A Name' is not a valid name")
        expect(alert).to_contain_text("com.openfaas.scale.min=1 is above com.openfaas.scale.max=0")
        expect(page.get_by_label("Name", exact=True)).to_have_value("Not A Name")
        expect(page.get_by_label("Name", exact=True)).to_have_attribute("aria-invalid", "true")


def test_form_says_what_is_wrong_beside_each_field(suite: Running, open_page: OpenPage) -> None:
    labels = "com.openfaas.scale.factor=lots\nteam=blue"
    with open_page("/ui/deploy", expected=("400 (Bad Request)",)) as page:
        fill(page, Name="wrong", Command="cat", Sleeps_after="soon", Labels=labels)
        page.get_by_role("button", name="Deploy").click()
        expect(page.get_by_label("Sleeps after")).to_have_accessible_description(re.compile("'soon' is not a duration"))
        expect(page.get_by_label("Labels", exact=True)).to_have_accessible_description(
            re.compile(r"com\.openfaas\.scale\.factor='lots': write a whole number")
        )
        expect(page.get_by_label("Labels", exact=True)).to_have_value(labels)
        page.get_by_role("alert").get_by_role("link", name="com.openfaas.scale.factor").click()
        expect(page.get_by_label("Labels", exact=True)).to_be_focused()

        page.get_by_label("Most replicas").press_sequentially("1e")
        page.get_by_role("button", name="Deploy").click()
        expect(page.get_by_role("alert")).to_have_text("It was not deployed:max: write a whole number")
        expect(page.get_by_label("Labels", exact=True)).not_to_have_attribute("aria-invalid", "true")


def test_form_for_a_new_function_refuses_a_name_that_is_taken(deployed: Running, open_page: OpenPage) -> None:
    with open_page("/ui/deploy", expected=("409 (Conflict)",)) as page:
        fill(page, Name="greet", Command="cat")
        page.get_by_role("button", name="Deploy").click()
        expect(page.get_by_role("alert")).to_contain_text("there is a function greet.openfaas-fn already")
        expect(page.get_by_label("Name", exact=True)).to_have_attribute("aria-invalid", "true")
    assert deployed.status("greet").get("envProcess", "") == ""


def test_call_with_a_wrong_header_says_so_at_its_field(deployed: Running, open_page: OpenPage) -> None:
    with open_page(page_of("greet"), expected=("400 (Bad Request)",)) as page:
        headers = page.get_by_label("Headers", exact=True)
        headers.fill("Content Type: text/plain")
        page.get_by_role("button", name="Invoke").click()
        expect(headers).to_be_focused()
        expect(headers).to_have_attribute("aria-invalid", "true")
        expect(headers).to_have_accessible_description(re.compile("'Content Type: text/plain' is not of the form"))
        headers.fill("Content-Type: text/plain")
        page.get_by_role("button", name="Invoke").click()
        expect(page.locator("#status")).to_have_text("200 OK")
        expect(headers).not_to_have_attribute("aria-invalid", "true")


def test_answer_is_read_aloud_without_its_body(deployed: Running, open_page: OpenPage) -> None:
    with open_page(page_of("greet")) as page:
        page.get_by_role("button", name="Invoke").click()
        expect(page.locator("#answer-body")).to_have_text("Hello")
        expect(page.get_by_role("status").filter(has_text="200 OK")).to_have_text(
            re.compile(r"^200 OK in [\d.]+ m?s warm$")
        )
        assert page.locator("#answer-body").evaluate("body => body.closest('[role=status], [aria-live]') === null")


def test_answer_of_the_gateway_is_not_taken_for_the_functions(deployed: Running, open_page: OpenPage) -> None:
    with deployed.client() as client:
        ends = {"mode": "http", "upstream_url": "http://127.0.0.1:3000"}
        crashing = {"service": "crashing", "image": "any", "envProcess": "false", "envVars": ends}
        assert client.post("/system/functions", json=crashing).status_code == 202
    with open_page(page_of("crashing")) as page:
        page.get_by_role("button", name="Invoke").click()
        expect(page.locator("#status")).to_have_text("503 Service Unavailable", timeout=90_000)
        expect(page.locator("#cold")).to_have_text("said by the gateway, not by the function")


def test_page_of_a_removed_function_says_so_and_goes_on_saying_so(
    deployed: Running, open_page: OpenPage, handlers: dict[str, Path]
) -> None:
    deployed.deploy("leaving", handlers["greet"])
    with open_page(page_of("leaving"), expected=("404 (Not Found)",)) as page:
        expect(page.locator("#state")).to_have_text("Ready", timeout=PATIENCE_MS)
        with deployed.client() as client:
            client.request("DELETE", "/system/functions", json={"functionName": "leaving"})
        expect(page.locator("#state")).to_have_text("Removed", timeout=PATIENCE_MS)
        # The tab goes into the background and comes back: a stream that is opened anew.
        with page.expect_response("**/ui/events?*"):
            for hidden in (True, False):
                page.evaluate(
                    """hidden => {
                        Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
                        document.dispatchEvent(new Event("visibilitychange"));
                    }""",
                    hidden,
                )
        expect(page.locator("#live")).to_have_text("Live")
        expect(page.locator("#banner")).to_have_text("This function was removed.")
        expect(page.locator("#state")).to_have_text("Removed")


def test_five_windows_beside_each_other_are_all_live(deployed: Running, open_page: OpenPage) -> None:
    """A browser has six connections to one address: what a page keeps open is counted."""
    with open_page(page_of("greet")) as first:
        windows = [first]
        for _ in range(4):
            windows.append(first.context.new_page())
            windows[-1].goto(page_of("greet"))
        for page in windows:
            expect(page.locator("#live")).to_have_text("Live")
            expect(page.locator("#log-state")).to_contain_text("Following")
        windows[-1].get_by_role("button", name="Invoke").click()
        expect(windows[-1].locator("#status")).to_have_text("200 OK")


def test_number_to_scale_to_follows_what_others_do_until_it_is_written(
    deployed: Running, open_page: OpenPage, handlers: dict[str, Path]
) -> None:
    deployed.deploy("shared", handlers["greet"])
    with open_page(page_of("shared")) as page:
        number, say = page.get_by_label("Replicas", exact=True), page.locator("#say")
        expect(number).to_have_value("1")
        deployed.scale("shared", 3)
        expect(say).to_have_text("3 replicas answer.", timeout=PATIENCE_MS)
        expect(number).to_have_value("3")
        page.get_by_role("button", name="One replica more").click()
        deployed.scale("shared", 2)
        expect(say).to_have_text("2 replicas answer.", timeout=PATIENCE_MS)
        expect(number).to_have_value("4")
        page.get_by_role("button", name="Scale", exact=True).click()
        expect(say).to_have_text("4 replicas answer.", timeout=PATIENCE_MS)
        deployed.scale("shared", 1)
        expect(number).to_have_value("1", timeout=PATIENCE_MS)


def test_who_scales_what_the_scaler_has_is_told_that_it_goes_on(
    deployed: Running, open_page: OpenPage, handlers: dict[str, Path]
) -> None:
    deployed.deploy("followed", handlers["greet"], type="capacity", target="1")
    with open_page(page_of("followed")) as page:
        page.get_by_label("Replicas", exact=True).fill("3")
        page.get_by_role("button", name="Scale", exact=True).click()
        expect(page.locator("#scale-note")).to_contain_text("the scaler owns its replicas")
        expect(page.locator("#scale-note")).to_contain_text("To keep 3, label it com.openfaas.scale.min")
        page.get_by_role("link", name="Functions", exact=True).click()
        expect(page.locator("#rows article", has_text="followed").locator(".owner")).to_have_text(
            "Scaled by the scaler"
        )


def test_number_written_while_an_earlier_one_is_under_way_stays(
    deployed: Running, open_page: OpenPage, handlers: dict[str, Path]
) -> None:
    deployed.deploy("hurried", handlers["greet"])
    with open_page(page_of("hurried")) as page:
        number = page.get_by_label("Replicas", exact=True)
        expect(page.locator("#say")).to_have_text("1 replica answers.", timeout=PATIENCE_MS)
        number.fill("2")
        number.evaluate(
            """number => {
                number.form.requestSubmit();
                number.value = "7";
                number.dispatchEvent(new Event("input"));
            }"""
        )
        expect(page.locator("#toast")).to_have_text("Asked for 2 replicas.")
        expect(page.locator("#say")).to_have_text("2 replicas answer.", timeout=PATIENCE_MS)
        expect(number).to_have_value("7")


def test_times_are_told_with_their_zone(deployed: Running, open_page: OpenPage) -> None:
    with open_page("/ui/", zone="America/Phoenix") as page:
        expect(page.get_by_text("Times:")).to_have_text("Times: America/Phoenix (GMT-7)")


def test_function_is_changed_and_removed(deployed: Running, open_page: OpenPage, handlers: dict[str, Path]) -> None:
    deployed.deploy("passing", handlers["greet"], max="3")
    with open_page(page_of("passing")) as page:
        page.get_by_role("link", name="Change").click()
        expect(page.get_by_label("Most replicas")).to_have_value("3")
        page.get_by_label("Most replicas").fill("6")
        page.get_by_role("button", name="Change it").click()
        expect(page.get_by_text("By its labels 1 to 6 replicas")).to_be_visible()
        page.get_by_role("button", name="Remove", exact=True).click()
        dialog = page.get_by_role("dialog", name="Remove passing?")
        expect(dialog.get_by_role("button", name="Keep it")).to_be_focused()
        dialog.get_by_role("button", name="Remove it").click()
        expect(page.get_by_role("heading", name="Functions", exact=True)).to_be_visible()
        expect(page.locator("#rows article", has_text="passing")).to_have_count(0, timeout=PATIENCE_MS)


@pytest.mark.parametrize(
    ("script", "path", "button"),
    [
        pytest.param("deploy", "/ui/deploy?function=waits.openfaas-fn", "Change it", id="deploy"),
        pytest.param("function", page_of("waits"), "Scale", id="scale"),
    ],
)
def test_form_waits_for_its_script_and_keeps_what_was_typed_before(
    deployed: Running, open_page: OpenPage, handlers: dict[str, Path], script: str, path: str, button: str
) -> None:
    deployed.deploy("waits", handlers["greet"])
    with open_page("/ui/system") as page:
        held: list[Route] = []
        page.route(f"**/{script}.js", lambda route: held.append(route))  # noqa: PLW0108 - Playwright marks a handler
        page.goto(path, wait_until="commit")
        typed = page.get_by_label("Most replicas" if script == "deploy" else "Replicas", exact=True)
        typed.fill("7")
        typed.press("Enter")
        send = page.get_by_role("button", name=button, exact=True)
        expect(send).to_be_disabled()

        held[0].continue_()

        expect(send).to_be_enabled()
        expect(typed).to_have_value("7")
        assert urlsplit(page.url).path == urlsplit(path).path


def test_main_tasks_need_no_mouse(deployed: Running, open_page: OpenPage) -> None:
    with open_page("/ui/") as page:
        expect(page.locator("#rows article")).not_to_have_count(0)
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("#main")).to_be_focused()
        page.keyboard.press("/")
        expect(page.get_by_label("Search by name")).to_be_focused()
        page.keyboard.type("sleepy")
        expect(page.locator("#rows article:visible")).to_have_count(1)
        tab_to(page, "sleepy")
        page.keyboard.press("Enter")
        expect(page).to_have_title("sleepy · Springtide")
        tab_to(page, "One replica more")
        page.keyboard.press("Enter")
        expect(page.get_by_label("Replicas", exact=True)).to_have_value("1")
        tab_to(page, "Scale")
        page.keyboard.press("Enter")
        expect(page.locator("#state")).to_have_text("Ready", timeout=PATIENCE_MS)
        page.locator("#body").focus()
        page.keyboard.type("hi")
        page.keyboard.press("Control+Enter")
        expect(page.locator("#status")).to_have_text("200 OK")
        tab_to(page, "Remove", backwards=True)
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_be_hidden()
        expect(page.get_by_role("button", name="Remove", exact=True)).to_be_focused()


PAGES = [
    pytest.param("/ui/", "#rows article", id="functions"),
    pytest.param(page_of("busy"), "#chart-replicas .summary", id="function"),
    pytest.param(page_of("sleepy"), "#timeline li", id="sleeping function"),
    pytest.param("/ui/deploy", "#deploy", id="deploy"),
    pytest.param("/ui/system", "#parts li", id="system"),
    pytest.param(page_of("nobody"), "h1", id="nothing there"),
]


@pytest.mark.parametrize(("path", "ready"), PAGES)
@pytest.mark.parametrize("dark", [pytest.param(False, id="light"), pytest.param(True, id="dark")])
@pytest.mark.parametrize("narrow", [pytest.param(False, id="wide"), pytest.param(True, id="narrow")])
def test_page_is_accessible_and_fits_its_screen(
    deployed: Running, open_page: OpenPage, path: str, ready: str, dark: bool, narrow: bool
) -> None:
    expected = ("404 (Not Found)",) if "nobody" in path else ()
    with open_page(path, narrow=narrow, dark=dark, expected=expected) as page:
        expect(page.locator(ready).first).to_be_visible()
        expect(page.locator("html")).to_have_attribute("data-theme", "dark" if dark else "light")
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= page.evaluate("innerWidth")


def test_chosen_theme_outlives_the_page_and_repaints_charts(deployed: Running, open_page: OpenPage) -> None:
    with open_page(page_of("greet")) as page:
        toggle = page.get_by_role("button", name="Dark theme")
        toggle.click()
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        page.reload()
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        expect(toggle).to_have_attribute("aria-pressed", "true")


def test_page_says_when_it_is_not_live_and_comes_back_by_itself(deployed: Running, open_page: OpenPage) -> None:
    with open_page("/ui/", expected=("ERR_", "502 (Bad Gateway)")) as page:
        live = page.locator("#live")
        expect(live).to_have_text("Live")
        before = deployed.run["parts"]["console"]
        os.kill(before, signal.SIGKILL)
        expect(live).to_have_text("Not connected")
        eventually(lambda: deployed.run["parts"]["console"] != before, "the console is started again")
        expect(live).to_have_text("Live", timeout=PATIENCE_MS)


def test_page_whose_stream_falls_silent_says_so(deployed: Running, open_page: OpenPage) -> None:
    with open_page("/ui/", expected=("ERR_", "502 (Bad Gateway)", "504 (Gateway Timeout)")) as page:
        expect(page.locator("#live")).to_have_text("Live")
        process = deployed.run["parts"]["console"]
        os.kill(process, signal.SIGSTOP)
        try:
            expect(page.locator("#live")).to_have_text("Not connected", timeout=PATIENCE_MS)
        finally:
            os.kill(process, signal.SIGCONT)
        expect(page.locator("#live")).to_have_text("Live", timeout=PATIENCE_MS)


def test_function_goes_back_to_an_earlier_version(
    suite: Running, open_page: OpenPage, handlers: dict[str, Path]
) -> None:
    suite.deploy("versioned", handlers["greet"])
    suite.deploy("versioned", handlers["busy"])
    with open_page(page_of("versioned")) as page:
        current = page.locator("#versions li", has_text="Runs")
        expect(current).to_have_count(1, timeout=PATIENCE_MS)
        now = current.locator("strong").inner_text()
        page.locator("#versions").get_by_role("button", name="Go back to version").last.click()
        expect(page.locator("#toast")).to_contain_text("runs again", timeout=PATIENCE_MS)
        expect(current.locator("strong")).not_to_have_text(now, timeout=PATIENCE_MS)
        page.get_by_role("button", name="Invoke").click()
        expect(page.locator("#answer-body")).to_have_text("Hello", timeout=PATIENCE_MS)


def test_system_page_tells_versions_and_the_age_of_data(deployed: Running, open_page: OpenPage) -> None:
    with open_page("/ui/system") as page:
        expect(page.locator("#overall")).to_have_text("Every part is up")
        names = [
            "Gateway",
            "Provider",
            "Alert receiver",
            "Scaler",
            "Queue worker",
            "Cron",
            "Idler",
            "Prometheus",
            "Alertmanager",
            "Connector",
        ]
        expect(page.locator("#parts h3")).to_have_text(names)
        expect(page.locator("#parts li", has_text="Prometheus").first).to_contain_text(re.compile(r"Version \d"))
        expect(page.locator("#data-list li").first).to_contain_text(re.compile(r"\d m?s old"))


def painted(page: Page, chart: str) -> bool:
    """Whether any canvas of the chart has a pixel that is not clear."""
    return bool(
        page.evaluate(
            """selector => [...document.querySelectorAll(`${selector} canvas`)].some(canvas =>
                 canvas.width && canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height)
                   .data.some((value, index) => index % 4 === 3 && value > 0))""",
            chart,
        )
    )


def violations(page: Page) -> list[tuple[str, str, list[Any]]]:
    """What axe finds serious or critical."""
    found = Axe().run(page).response["violations"]
    return [
        (
            rule["id"],
            rule["help"],
            [(node["target"], node["any"][0]["message"] if node["any"] else "") for node in rule["nodes"]],
        )
        for rule in found
        if rule["impact"] in ("serious", "critical")
    ]


def tab_to(page: Page, name: str, *, backwards: bool = False) -> None:
    """Press Tab until an element of that name has the focus."""
    for _ in range(80):
        page.keyboard.press("Shift+Tab" if backwards else "Tab")
        focused = page.evaluate(
            "(document.activeElement?.ariaLabel ?? document.activeElement?.textContent ?? '').trim()"
        )
        if focused == name:
            return
    raise AssertionError(f"Tab never comes to {name}")


def test_policies_are_tried_on_recorded_calls(deployed: Running, open_page: OpenPage) -> None:
    with load(deployed, "busy", 20), open_page(page_of("busy"), expected=("400 (Bad Request)",)) as page:
        expect(page.locator("#policies")).to_have_value(re.compile("target=10"))
        page.locator("#policies").fill("min=x")
        page.get_by_role("button", name="Try them").click()
        expect(page.locator("#what-if-problem")).to_contain_text("min='x'", timeout=PATIENCE_MS)

        page.locator("#policies").fill("owner=alerts\ntype=capacity,target=10")
        button, said = page.get_by_role("button", name="Try them"), page.locator("#what-if-said")
        rows = page.locator("#what-if-table tbody tr")

        def tried() -> bool:
            """Not while Prometheus has not scraped twice since the function was deployed, its replicas included."""
            button.click()
            expect(button).to_be_enabled(timeout=60_000)
            return "Recorded for" in said.inner_text() and "As it was" in rows.last.inner_text()

        eventually(tried, "there is something recorded", timeout_s=120.0)
        expect(rows).to_have_text(
            [re.compile("1: owner=alerts"), re.compile("2: type=capacity"), re.compile("As it was")]
        )
        expect(page.locator("#chart-tried").get_by_role("img")).to_have_attribute(
            "aria-label", re.compile("Replicas by policy")
        )
        assert painted(page, "#chart-tried"), "the chart shows lines"
