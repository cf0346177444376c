"""Nothing that one client asks of the system API takes it from the others."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import httpx
import pytest

from springtide.gateway import service
from springtide.provider.ports import LogLine
from springtide.runtime.errors import Unavailable
from springtide.scaler.core.vocabulary import FunctionRef, Instant
from tests.gateway.test_system_api import AUTH, Whole, whole

pytestmark = pytest.mark.uvloop


@pytest.mark.parametrize("body", [b"[" * 20_000, b'{"a":' * 20_000, b'{"service": "\\ud800", "image": "any"}'])
async def test_body_that_is_no_deployment_is_refused_and_holds_no_connection(
    monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    monkeypatch.setattr(service, "MAX_SYSTEM_CONNECTIONS", 4)

    async with whole() as suite:
        for method in ("POST", "PUT", "DELETE"):
            for _ in range(6):
                answer = await suite.http.request(method, "/system/functions", content=body)
                assert (answer.status_code, "not readable as JSON" in answer.text) == (400, True), answer.text
        assert (await suite.http.get("/system/functions")).status_code == 200


async def _followed(suite: Whole, stack: contextlib.AsyncExitStack, path: str) -> httpx.Response:
    http = await stack.enter_async_context(httpx.AsyncClient(base_url=suite.url, auth=AUTH, timeout=120))
    return await stack.enter_async_context(http.stream("GET", path))


@pytest.mark.parametrize(
    "path",
    [
        "/system/logs?name=echo&follow=true",
        "/system/logs?name=echo&follow=1",
        "/system/scaling/decisions?follow=true",
        "/system/endpoints?watch=true",
    ],
)
async def test_followers_have_a_bound_of_their_own_and_starve_nobody(
    monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(service, "MAX_SYSTEM_CONNECTIONS", 2)

    async with whole(max_streams=5) as suite, contextlib.AsyncExitStack() as stack:
        await suite.deploy()
        for _ in range(5):
            assert (await _followed(suite, stack, path)).status_code == 200
        refused = await suite.http.get(path)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
        assert "close one and try again" in refused.text
        for other in ("functions", "logs?name=echo", "scaling/decisions", "endpoints"):
            assert (await suite.http.get(f"/system/{other}")).status_code == 200

        await stack.aclose()

        async with contextlib.AsyncExitStack() as again, asyncio.timeout(60):
            while (await _followed(suite, again, path)).status_code != 200:
                pass


async def test_logs_of_no_function_are_not_found_and_of_no_name_a_slip() -> None:
    async with whole() as suite:
        nameless = await suite.http.get("/system/logs")
        assert (nameless.status_code, nameless.text) == (400, "name: missing; say whose logs")
        absent = await suite.http.get("/system/logs?name=absent")
        assert (absent.status_code, absent.text) == (404, "there is no function absent in namespace openfaas-fn")


async def test_wrong_passwords_are_counted_and_the_right_one_is_answered_meanwhile() -> None:
    async with whole() as suite:
        for _ in range(3):
            assert (await suite.http.get("/system/info", auth=("admin", "guess"))).status_code == 401
        async with httpx.AsyncClient(base_url=suite.url) as anyone:
            assert (await anyone.get("/system/info")).status_code == 401
        assert (await suite.http.get("/system/info")).status_code == 200
        metrics = await suite.http.get(f"http://127.0.0.1:{suite.gateway.metrics_port}/metrics")
        assert "springtide_wrong_credentials_total 3.0" in metrics.text


UPGRADES = ("websocket", "h2c", "WebSocket, h2c", "TLS/1.0")


@pytest.mark.parametrize("protocol", UPGRADES)
async def test_offer_of_another_protocol_is_ignored_without_a_word_in_the_log(
    protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("WARNING"):
        headers = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": protocol, "HTTP2-Settings": "AAMAAABkAAQAAP__"}
        async with whole() as suite:
            for base in (
                suite.url,
                f"http://127.0.0.1:{suite.api.port}",
                f"http://127.0.0.1:{suite.gateway.metrics_port}",
            ):
                answer = await suite.http.get(f"{base}/healthz", headers=headers)
                assert answer.status_code == 200
            body = {"service": "echo", "image": "any"}
            if protocol == "h2c":
                assert (await suite.http.post("/system/functions", json=body, headers=headers)).status_code == 202
            direct = f"http://127.0.0.1:{suite.api.port}/system/functions"
            refused = await suite.http.post(direct, json=body, headers=headers)
            assert (refused.status_code, "without Upgrade" in refused.text) == (505, True)
    assert [record.getMessage() for record in caplog.records if record.name.startswith("uvicorn")] == []


async def test_http2_is_answered_505_by_every_listener() -> None:
    async with whole() as suite:
        for port in (suite.gateway.port, suite.api.port, suite.gateway.metrics_port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 505 ")
            writer.close()


async def test_h2c_is_not_offered_to_a_function_and_its_body_arrives() -> None:
    headers = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQAAP__"}
    async with whole() as suite:
        await suite.deploy()
        answer = await suite.http.post("/function/echo", content=b"all of it", headers=headers)
        assert (answer.status_code, answer.content) == (200, b"all of it")
        received = suite.server.received[-1]
        assert received.values("upgrade") + received.values("http2-settings") == []


async def test_stream_that_breaks_behind_us_breaks_for_who_follows_it_without_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(_ref: object) -> AsyncIterator[LogLine]:
        yield LogLine(FunctionRef("openfaas-fn", "echo"), "echo-1", Instant(0.0), "first")
        raise Unavailable("the log is away")

    async with whole() as suite:
        await suite.deploy()
        suite.provider.logs = broken  # type: ignore[method-assign,assignment]  # a provider whose logs break off
        for base in (suite.url, f"http://127.0.0.1:{suite.api.port}"):
            with pytest.raises(httpx.RemoteProtocolError):
                await suite.http.get(f"{base}/system/logs?name=echo")
    assert "Traceback" not in caplog.text
    assert not [record for record in caplog.records if record.exc_info]
