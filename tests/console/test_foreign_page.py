"""A page of another site, in a real Chromium whose user is logged in to the console."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page

from tests.e2e.conftest import Running

DEPLOYMENT = json.dumps({"service": "planted", "image": "any", "envProcess": "cat"})


def form(gateway: str) -> str:
    """A form whose one field is a deployment: what stands between its name and its value is a ``=`` in a string."""
    name = DEPLOYMENT[:-1].replace('"', "&quot;") + ", &quot;labels&quot;: {&quot;x&quot;: &quot;"
    return (
        f'<form method="post" enctype="text/plain" action="{gateway}/system/functions">'
        f'<input name="{name}" value="&quot;}}}}"></form>'
    )


@contextmanager
def site(html: str) -> Iterator[str]:
    """Another site: one page at a port of its own; yields its origin."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def logged_in(browser: Browser, suite: Running) -> Iterator[Page]:
    user = suite.credentials
    context = browser.new_context(
        http_credentials={"username": user.user, "password": user.password, "origin": suite.gateway}
    )
    try:
        page = context.new_page()
        page.goto(f"{suite.gateway}/ui/")
        assert "Functions" in page.title()
        yield page
    finally:
        context.close()


def test_form_of_another_site_deploys_nothing(browser: Browser, suite: Running) -> None:
    with site(form(suite.gateway)) as origin, logged_in(browser, suite) as page:
        page.goto(origin)
        with page.expect_response(lambda answer: "/system/functions" in answer.url) as answered:
            page.evaluate("document.forms[0].submit()")

        assert (answered.value.status, f"its origin: {origin}" in answered.value.text()) == (403, True)
    with suite.client() as client:
        assert client.get("/system/function/planted").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/system/functions",
        "/system/scale-function/any",
        "/system/secrets",
        "/system/alert",
        "/system/scaling/decisions",
    ],
)
def test_request_that_a_script_of_another_site_sends_is_refused(browser: Browser, suite: Running, path: str) -> None:
    with site("<title>elsewhere</title>") as origin, logged_in(browser, suite) as page:
        page.goto(origin)
        with page.expect_response(lambda answer: path in answer.url) as answered:
            page.evaluate(
                """([url, body]) => fetch(url, { method: "POST", mode: "no-cors", credentials: "include", body })""",
                [suite.gateway + path, DEPLOYMENT],
            )

        assert answered.value.status == 403


def test_page_of_another_site_may_call_a_function(browser: Browser, suite: Running, handlers: dict[str, Path]) -> None:
    suite.deploy("greet", handlers["greet"])
    with site("<title>elsewhere</title>") as origin, logged_in(browser, suite) as page:
        page.goto(origin)
        with page.expect_response(lambda answer: "/function/" in answer.url) as answered:
            page.evaluate(
                """url => fetch(url, { method: "POST", mode: "no-cors", body: "x" })""",
                f"{suite.gateway}/function/greet",
            )

        assert answered.value.status == 200


def test_command_line_is_answered_whatever_its_content_type(suite: Running) -> None:
    with suite.client() as client:
        for kind in ("application/x-www-form-urlencoded", "text/plain", "application/json"):
            answer = client.post("/system/functions", content=b"{", headers={"Content-Type": kind})
            assert (answer.status_code, "JSON" in answer.text) == (400, True)


@pytest.mark.parametrize("part", ["gateway", "provider", "alert_receiver", "metrics", "idler"])
def test_every_listener_refuses_a_foreign_page(suite: Running, part: str) -> None:
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    user = suite.credentials
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        answer = httpx.request(
            method,
            f"{suite.run[part]}/system/functions",
            headers=foreign,
            auth=(user.user, user.password),
            content=b"{}",
        )
        assert answer.status_code == 403
