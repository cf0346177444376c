"""How long the system API waits for the provider, and what it says when it has waited long enough."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import httpx
import pytest

from springtide.scaler.core import call_timeout
from tests.gateway.harness import Conversation, Handler, replica, until
from tests.gateway.test_system_api import AUTH, SPEC, alone, whole

pytestmark = pytest.mark.uvloop


async def silent(conversation: Conversation) -> None:
    await conversation.gone()


async def late(conversation: Conversation) -> None:
    await conversation.request()
    await asyncio.sleep(0.05)
    await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")


@contextlib.asynccontextmanager
async def in_front_of(provider: Handler, *, upstream_s: float, deploy_s: float) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        replica(provider) as server,
        alone(
            provider_url=f"http://127.0.0.1:{server.port}", upstream_timeout_s=upstream_s, deploy_timeout_s=deploy_s
        ) as gateway,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway.port}", auth=AUTH, timeout=120) as http,
    ):
        yield http


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_deployment_waits_for_a_limit_of_its_own_which_its_504_names(method: str) -> None:
    async with in_front_of(silent, upstream_s=600, deploy_s=0.1) as http:
        answer = await http.request(method, "/system/functions", json=SPEC)

    assert answer.status_code == 504
    assert answer.text == "the provider did not answer within deploy_timeout (0.1 s) of the gateway"


async def test_other_requests_name_the_limit_of_calls() -> None:
    async with in_front_of(silent, upstream_s=0.1, deploy_s=600) as http:
        answer = await http.get("/system/functions")

    assert answer.status_code == 504
    assert answer.text == "the provider did not answer within upstream_timeout (0.1 s) of the gateway"


async def test_upstream_timeout_switched_off_is_no_limit_of_the_system_api_either() -> None:
    async with in_front_of(late, upstream_s=0, deploy_s=600) as http:
        assert (await http.get("/system/functions")).status_code == 200


async def test_deployment_that_asks_for_more_than_there_is_is_done_and_warned_of() -> None:
    asks = {"envVars": {"exec_timeout": "2h"}}
    told = (
        "exec_timeout (7200 s) is longer than any call may take: max_call_duration (3600 s) of the gateway ends it; "
        "set max_call_duration=7200s there, or a shorter exec_timeout"
    )
    async with whole() as suite:
        made = await suite.http.post("/system/functions", json={**SPEC, **asks})
        changed = await suite.http.put("/system/functions", json={**SPEC, **asks})
        modest = await suite.http.put("/system/functions", json={**SPEC, "envVars": {"exec_timeout": "1h"}})

    for answer in (made, changed):
        assert (answer.status_code, answer.headers["x-springtide-warning"]) == (202, told)
        assert answer.text == f"warning: {told}\n"
    assert (modest.status_code, modest.content) == (202, b"")
    assert "x-springtide-warning" not in modest.headers


async def test_description_says_which_limit_ends_calls() -> None:
    async with whole(max_call_duration_s=600.0) as suite:
        await suite.deploy()
        seen = []
        for env in ({}, {"exec_timeout": "5m"}, {"exec_timeout": "1h"}):
            assert (await suite.http.put("/system/functions", json={**SPEC, "envVars": env})).status_code == 202
            wanted = suite.gateway.plane.timeouts.call_limit(call_timeout.of_function({}, env))
            await until(lambda wanted=wanted: suite.route.limit is wanted)  # type: ignore[misc]
            described = await suite.http.get("/system/function/echo")
            seen.append(described.headers["x-springtide-call-limit"])
        absent = await suite.http.get("/system/function/absent")

    assert seen == [
        "upstream_timeout (60 s) of the gateway",
        "exec_timeout (300 s) of the function",
        "max_call_duration (600 s) of the gateway",
    ]
    assert (absent.status_code, "x-springtide-call-limit" in absent.headers) == (404, False)


async def test_limit_that_a_deployment_changes_holds_for_new_calls() -> None:
    async with whole() as suite:
        await suite.deploy()
        suite.server._handler = silent
        changed = {**SPEC, "annotations": {"com.springtide.timeout": "100ms"}}
        assert (await suite.http.put("/system/functions", json=changed)).status_code == 202
        await until(lambda: "com.springtide.timeout" in repr(suite.route.limit))
        answer = await suite.http.get("/function/echo")

    assert answer.status_code == 504
    assert "com.springtide.timeout (0.1 s) of the function; set its annotation com.springtide.timeout" in answer.text


async def test_annotation_that_is_no_duration_is_refused() -> None:
    async with whole() as suite:
        answer = await suite.http.post(
            "/system/functions", json={**SPEC, "annotations": {call_timeout.TIMEOUT: "soon"}}
        )

    assert answer.status_code == 400
    assert "annotation com.springtide.timeout: 'soon' is not a duration; write seconds (90)" in answer.text
