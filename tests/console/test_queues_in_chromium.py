"""Asynchronous calls as people see them: in a real Chromium, before a whole running suite."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.console.conftest import PATIENCE_MS, OpenPage
from tests.console.test_in_chromium import page_of, violations
from tests.e2e.conftest import Running, eventually

RETRIES = {"com.openfaas.retry.min_wait": "2m", "com.openfaas.retry.max_wait": "2m"}


@pytest.fixture(scope="module")
def deployed(suite: Running, handlers: dict[str, Path]) -> Running:
    """One that answers, one whose calls are tried again and again, one whose calls are given up at once."""
    suite.deploy("greet", handlers["greet"])
    for name, retried in (("broken", RETRIES), ("hopeless", {"com.openfaas.retry.attempts": "1"})):
        body = {
            "service": name,
            "image": "springtide/python",
            "annotations": {"com.springtide.handler": str(handlers["broken"]), **retried},
        }
        with suite.client() as client:
            assert client.post("/system/functions", json=body).status_code == 202
    return suite


def called(suite: Running, name: str, state: str, **headers: str) -> str:
    """The id of a call that has come to a state."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    with suite.client() as client:
        answer = client.post(f"/async-function/{name}", content=b"x", headers=named)
        assert answer.status_code == 202, answer.text
        job_id = answer.headers["x-call-id"]
        eventually(lambda: client.get(f"/async-function/{job_id}").json()["state"] == state, f"it is {state}")
    return job_id


def test_call_is_found_by_its_id_and_its_story_has_the_answer(deployed: Running, open_page: OpenPage) -> None:
    job_id = called(deployed, "greet", "done")
    with open_page("/ui/queues") as page:
        page.get_by_label("Id of a call, or name of a function").fill(job_id)
        page.get_by_role("button", name="Show", exact=True).click()

        expect(page.get_by_role("heading", name="Call of greet")).to_be_visible()
        expect(page.locator("#state")).to_have_text("Done")
        expect(page.locator("#answer-title")).to_have_text("Its answer: 200")
        expect(page.locator("#answer-body")).to_have_text("Hello")
        expect(page.get_by_role("button", name="Cancel it")).to_be_hidden()


def test_the_story_of_a_call_says_how_telling_its_callback_goes(deployed: Running, open_page: OpenPage) -> None:
    job_id = called(deployed, "greet", "done", X_Callback_Url="http://gateway:8080/function/broken")
    with open_page("/ui/jobs/" + job_id) as page:
        expect(page.locator("#state")).to_have_text("Done")
        expect(page.locator("#story")).to_contain_text("Tried once: the last answer was", timeout=PATIENCE_MS)
        expect(page.locator("#story")).to_contain_text("; again at")
    with open_page("/ui/queues") as page:
        expect(page.locator("#jobs tr", has_text=job_id)).to_contain_text("callback tried once", timeout=PATIENCE_MS)


def test_call_that_is_to_be_tried_again_is_filtered_out_and_cancelled(deployed: Running, open_page: OpenPage) -> None:
    job_id = called(deployed, "broken", "retrying")
    with open_page("/ui/queues") as page:
        page.get_by_label("State").select_option("retrying")
        page.get_by_role("button", name="Show", exact=True).click()
        expect(page.locator("#jobs .state").first).to_have_text("Is to be tried again")
        page.get_by_role("link", name=job_id).click()

        expect(page.locator("#say")).to_contain_text("After one try it is to be tried again at")
        page.get_by_role("button", name="Cancel it").click()
        expect(page.locator("#state")).to_have_text("Cancelled", timeout=PATIENCE_MS)
        expect(page.get_by_role("button", name="Cancel it")).to_be_hidden()


def test_calls_that_were_given_up_are_tried_again_or_thrown_away(deployed: Running, open_page: OpenPage) -> None:
    first, second = called(deployed, "hopeless", "failed"), called(deployed, "hopeless", "failed")
    with open_page("/ui/queues") as page:
        dead = page.locator("#dead")
        expect(dead).to_contain_text("the last try: status 500")
        page.get_by_role("button", name=f"Throw {first} away").click()
        expect(page.locator("#toast")).to_have_text("It was thrown away.")
        expect(dead).not_to_contain_text(first)
        page.get_by_role("button", name=f"Try {second} again").click()
        expect(page.locator("#toast")).to_contain_text("It was put back")
        # It fails once more, and is told of again.
        expect(dead).to_contain_text(second, timeout=PATIENCE_MS)


def test_what_waits_and_what_was_made_is_counted_here_and_on_the_functions_page(
    deployed: Running, open_page: OpenPage
) -> None:
    called(deployed, "greet", "done")
    called(deployed, "greet", "delayed", X_Delay="1h")
    with open_page("/ui/queues") as page:
        expect(page.locator("[data-total=delayed]")).to_have_text("1")
        expect(page.locator("#rows tr", has_text="greet.openfaas-fn")).to_be_visible(timeout=PATIENCE_MS)
        page.locator("#rows").get_by_role("link", name="greet.openfaas-fn").click()

        card = page.locator("#queue-card")
        expect(card.locator("dt")).to_have_text(["In the queue", "Running", "Ended", "Repeated"])
        card.get_by_role("link", name="Its calls").click()
        expect(page.get_by_label("Id of a call, or name of a function")).to_have_value("greet.openfaas-fn")
        expect(page.locator("#jobs tr").first).to_contain_text("greet.openfaas-fn")


@pytest.mark.parametrize("dark", [pytest.param(False, id="light"), pytest.param(True, id="dark")])
@pytest.mark.parametrize("narrow", [pytest.param(False, id="wide"), pytest.param(True, id="narrow")])
def test_pages_are_accessible_and_fit_their_screen(
    deployed: Running, open_page: OpenPage, narrow: bool, dark: bool
) -> None:
    failed = called(deployed, "hopeless", "failed")
    for path, ready in (
        ("/ui/queues", "#dead li"),
        (f"/ui/jobs/{failed}", "#answer-card"),
        (page_of("greet"), "#queue-card"),
    ):
        with open_page(path, narrow=narrow, dark=dark) as page:
            expect(page.locator(ready).first).to_be_visible()
            assert violations(page) == []
            assert page.evaluate("document.documentElement.scrollWidth") <= page.evaluate("innerWidth"), path
