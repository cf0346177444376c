from __future__ import annotations

import asyncio

import pytest
import structlog

from springtide.gateway.access_log import AccessLines
from springtide.gateway.call_record import Observer
from tests.gateway.harness import data_plane, echo, replica

pytestmark = pytest.mark.uvloop


async def test_each_call_is_one_line_without_its_path_its_query_or_its_headers() -> None:
    with structlog.testing.capture_logs() as lines:
        async with data_plane(observer=Observer(None, AccessLines())) as gateway, replica(echo) as server:
            gateway.publish("echo", [], desired=0)
            async with gateway.connect() as caller:
                cold = asyncio.create_task(caller.get("/function/echo/a-secret?key=s3cret", "X-Call-Id: one\r\n"))
                await gateway.target.written.wait()
                gateway.publish("echo", [server])
                await cold
                await caller.get("/function/echo", "Authorization: Basic s3cret\r\nX-Call-Id: two\r\n")
                await caller.get("/function/none", "X-Call-Id: three\r\n")

    calls = [line for line in lines if line["event"] == "call"]
    for line in calls:
        assert line.pop("seconds") >= 0
    assert calls[0].pop("held_s") >= 0
    common = {"event": "call", "log_level": "info", "method": "GET"}
    assert calls == [
        {**common, "call": "one", "function": "echo.openfaas-fn", "status": 200, "cold": True},
        {**common, "call": "two", "function": "echo.openfaas-fn", "status": 200},
        {**common, "call": "three", "function": "_unknown.", "status": 404, "reason": "unknown_function"},
    ]


async def test_what_the_caller_chose_is_cut_short_and_says_nothing_to_a_terminal() -> None:
    with structlog.testing.capture_logs() as lines:
        async with data_plane(observer=Observer(None, AccessLines())) as gateway, gateway.connect() as caller:
            await caller.get("/function/none", f"X-Call-Id: {'x' * 5000}\r\n")
            await caller.send(b"GET /function/none HTTP/1.1\r\nHost: x\r\nX-Call-Id: \x9b2J\r\n\r\n")
            await caller.answer()

    assert [line["call"] for line in lines if line["event"] == "call"] == ["x" * 128, "\\x9b2J"]


async def test_calls_are_not_logged_unless_asked_for() -> None:
    with structlog.testing.capture_logs() as lines:
        async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
            gateway.publish("echo", [server])
            assert (await caller.get()).status == 200

    assert lines == []
