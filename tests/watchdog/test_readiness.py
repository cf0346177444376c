"""A function with a ready_path gets no call before it answered there with 2xx, at its start as in an update."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from springtide.scaler.core.vocabulary import FunctionRef
from springtide.watchdog.calls import Receive, Scope, Send, reply
from springtide.watchdog.readiness import SelfReport, until_ready
from tests.provider.process.conftest import Shared
from tests.provider.process.world import World, eventually, url

READY = "com.openfaas.ready.http.path"

PROGRAM = """
import http.server, os, sys
flag, asked = sys.argv[1:]
class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        warm = os.path.exists(flag)
        if self.path == "/ready":
            with open(asked, "a") as file:
                file.write("x")
        self.send_response(200 if warm else 503 if self.path == "/ready" else 500)
        self.end_headers()
        self.wfile.write(b"served" if warm else b"NOT WARM")
    def log_message(self, *_):
        pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answers).serve_forever()
"""
HANDLER = """
import os
def handle(event, context):
    warm = os.path.exists(os.environ["FLAG"])
    if event.path == "/ready":
        with open(os.environ["ASKED"], "a") as file:
            file.write("x")
        return {"statusCode": 200 if warm else 503}
    return {"statusCode": 200 if warm else 500, "body": "served" if warm else "NOT WARM"}
"""


class Deployed:
    """A function that is warm once its flag is there."""

    def __init__(self, world: World, name: str) -> None:
        self.ref = FunctionRef("openfaas-fn", name)
        self.flag, self._asked = world.folder / f"{name}-flag", world.folder / f"{name}-asked"
        self._world, self._name = world, name

    async def http(self, **more: Any) -> None:
        program = self._world.folder / "warm.py"
        program.write_text(PROGRAM)
        command = f"{sys.executable} {program} {self.flag} {self._asked}"
        env = {"mode": "http", "ready_path": "/ready"}
        await self._world.provider.deploy(self._world.spec(self._name, command, env, **more))

    async def python(self, env: dict[str, str], annotations: dict[str, str]) -> None:
        files = {"FLAG": str(self.flag), "ASKED": str(self._asked)}
        found = self._world.handler(HANDLER, self._name) | annotations
        await self._world.provider.deploy(self._world.spec(self._name, env=files | env, annotations=found))

    async def asked_often(self) -> None:
        await eventually(lambda: self._asked.exists() and self._asked.stat().st_size >= 10, "ten questions")

    async def answer(self) -> str:
        function = await self._world.ready(self.ref)
        return (await self._world.http.get(url(function))).text


async def test_http_program_that_says_not_yet_gets_no_call(shared: Shared) -> None:
    function = Deployed(shared.world, "not-yet")
    await function.http()
    await function.asked_often()
    early = shared.world.table[function.ref].endpoints
    function.flag.touch()

    assert not early
    assert await function.answer() == "served"


@pytest.mark.parametrize(
    ("env", "annotations"),
    [
        pytest.param({"ready_path": "/ready"}, {}, id="variable"),
        pytest.param({}, {READY: "/ready"}, id="annotation"),
        pytest.param({"ready_path": "/ready"}, {READY: "/other"}, id="the variable before the annotation"),
    ],
)
async def test_python_handler_that_says_not_yet_gets_no_call(
    shared: Shared, env: dict[str, str], annotations: dict[str, str]
) -> None:
    function = Deployed(shared.world, f"not-yet-{len(env)}-{len(annotations)}")
    await function.python(env, annotations)
    await function.asked_often()
    early = shared.world.table[function.ref].endpoints
    function.flag.touch()

    assert not early
    assert await function.answer() == "served"


async def test_update_keeps_the_old_version_until_the_new_one_says_it_is_ready(shared: Shared) -> None:
    world = shared.world
    old = await world.up("roll", "echo v1")
    function = Deployed(world, "roll")
    await function.http()
    await function.asked_often()
    meanwhile = (await world.http.get(old)).text
    function.flag.touch()
    new = await world.until(function.ref, lambda seen: seen.endpoints and url(seen) != old)

    assert meanwhile == "v1\n"
    assert (await world.http.get(url(new))).text == "served"


async def test_annotation_with_a_path_of_the_watchdogs_own_asks_nothing_of_the_handler(shared: Shared) -> None:
    function = Deployed(shared.world, "own-path")
    await function.python({}, {READY: "/_/ready"})

    assert await function.answer() == "NOT WARM"


async def test_function_that_ends_while_it_is_waited_for_is_not_waited_for() -> None:
    ended = asyncio.Event()

    async def never() -> bool:
        ended.set()
        return False

    async def ends() -> None:
        await ended.wait()

    assert not await until_ready(never, ends, "/ready")


@pytest.mark.parametrize(
    ("status", "ready"), [(200, True), (204, True), (299, True), (301, False), (404, False), (503, False)]
)
async def test_any_2xx_is_ready(status: int, ready: bool) -> None:
    asked = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append((scope["method"], scope["path"], scope["query_string"], await receive()))
        await reply(send, status, b"")

    assert await SelfReport(app, "/r?full=1")() is ready
    assert asked == [("GET", "/r", b"full=1", {"type": "http.request", "body": b"", "more_body": False})]


async def test_handler_that_raises_is_not_ready() -> None:
    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise KeyError

    assert not await SelfReport(app, "/r")()
