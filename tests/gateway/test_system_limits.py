"""How long the system API waits for the provider, and what it says when it has waited long enough."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.gateway.harness import Conversation, Handler, replica
from tests.gateway.test_system_api import AUTH, SPEC, alone

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
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway.port}", auth=AUTH, timeout=20) as http,
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
