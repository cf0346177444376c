"""The builder API through the gateway: streamed both ways, and known by the signature alone."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from springtide.runtime.asgi import Receive, Scope, Send, respond
from springtide.runtime.asgi_server import AsgiServer
from tests.gateway.test_system_api import CREDENTIALS, alone
from tests.provider.api.scripted_builder import NDJSON, building
from tests.provider.process.builder.archives import signature

BODY = b"x" * (3 << 20)
SIGNED = {"X-Build-Signature": signature(BODY), "Content-Type": "application/octet-stream"}


async def test_a_build_needs_no_credentials_and_its_lines_come_as_they_are_told(tmp_path: Path) -> None:
    async with (
        building(tmp_path, done=False, credentials=CREDENTIALS) as (served, builder),
        alone(provider_url=f"http://127.0.0.1:{served.api.port}") as gateway,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway.port}", timeout=300) as http,
        http.stream("POST", "/build", content=BODY, headers={**SIGNED, **NDJSON}) as answer,
    ):
        lines = answer.aiter_lines()
        first = json.loads(await anext(lines))
        builder.go.set()
        rest = [json.loads(line) async for line in lines]

    assert answer.status_code == 200
    assert first["log"] == ["step one"]
    assert rest[-1]["status"] == "success"
    assert builder.bodies == [BODY]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({}, 401, id="not signed"),
        pytest.param({"X-Build-Signature": signature(b"another")}, 401, id="signed for another body"),
    ],
)
async def test_a_refusal_reaches_who_is_still_sending(tmp_path: Path, headers: dict[str, str], status: int) -> None:
    async with (
        building(tmp_path, credentials=CREDENTIALS) as (served, builder),
        alone(provider_url=f"http://127.0.0.1:{served.api.port}") as gateway,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway.port}", timeout=300) as http,
    ):
        answer = await http.post("/build", content=BODY, headers=headers)

    assert (answer.status_code, answer.text.partition(":")[0]) == (status, "X-Build-Signature")
    assert builder.bodies == []


async def test_a_provider_that_does_not_build_is_told_with_the_remedy() -> None:
    async def foreign(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        await respond(send, 404 if scope["path"] != "/publickey" else 405, b"404 page not found")

    server = AsgiServer(foreign, name="foreign provider", grace_s=1.0)
    await server.start()
    async with (
        alone(provider_url=f"http://127.0.0.1:{server.port}") as gateway,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway.port}", timeout=300) as http,
    ):
        answers = [
            await http.post("/build", content=BODY, headers=SIGNED),
            await http.get("/publickey"),
            await http.get("/store/functions.json"),
            await http.get("/templates.json"),
        ]
    await server.stop()

    assert [answer.status_code for answer in answers] == [501, 501, 404, 404]
    assert "container engine" in answers[0].text
