"""What the console does with requests no page of its own makes, and with functions that mean it ill."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from tests.console import served
from tests.console.served import World, world

KEY = "greet.openfaas-fn"


async def mischief(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A function that sets a cookie for everything, tells times that are none, and answers what it was asked."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    await reader.readexactly(int(headers.get("content-length", 0)))
    told = f"{head[0].split()[1]} {headers.get('cookie')}".encode()
    writer.write(
        b"HTTP/1.1 200 OK\r\nSet-Cookie: mine=1; Path=/\r\nServer-Timing: hold;dur=1.2.3, a;dur=.\r\n"
        b"Content-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(told), told)
    )
    await writer.drain()
    writer.close()


async def invoke(here: World, name: str, call: dict[str, Any]) -> httpx.Response:
    address = f"/ui/api/functions/{name}.openfaas-fn/invoke"
    return await here.http.post(address, json=call, headers=await here.token())


async def test_cookie_that_a_function_sets_is_sent_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "answer", mischief)
    async with world() as here:
        await here.deploy("greet")
        await here.deploy("other")
        for name in ("greet", "other"):
            answer = await invoke(here, name, {"path": "/"})
            assert answer.json()["text"] == "/ None"


@pytest.mark.parametrize(
    "path", ["/../../healthz", "/../../system/functions", "/a/../b", "/./c", "/%2e%2e/d", "/e//f?g=../h"]
)
async def test_path_of_a_call_reaches_the_function_as_it_was_written(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "answer", mischief)
    async with world() as here:
        await here.deploy("greet")
        answer = await invoke(here, "greet", {"method": "GET", "path": path})
        assert answer.json()["text"] == f"{path} None"


async def test_call_of_what_is_no_name_stays_below_function() -> None:
    async with world(credentials=None) as here:
        address = "/ui/api/functions/%2e%2e/invoke"
        call = {"method": "GET", "path": "/system/functions"}
        answer = await here.http.post(address, json=call, headers=await here.token())
        assert answer.status_code == 404 or answer.json()["status"] == 404


@pytest.mark.parametrize("field", ["path", "body"])
async def test_call_with_half_a_character_is_refused_with_its_field(field: str) -> None:
    async with world() as here:
        answer = await here.http.post(
            f"/ui/api/functions/{KEY}/invoke",
            content=json.dumps({field: "\ud800"}).encode(),
            headers=await here.token(),
        )
        assert (answer.status_code, answer.text) == (400, f"{field}: is not text that can be sent")


@pytest.mark.parametrize("origin", ["http://[", "null", "", "http://"])
async def test_act_from_what_is_no_origin_is_forbidden(origin: str) -> None:
    async with world() as here:
        headers = {**await here.token(), "origin": origin}
        answer = await here.http.post(f"/ui/api/functions/{KEY}/invoke", json={}, headers=headers)
        assert answer.status_code == 403


async def test_number_of_five_thousand_digits_counts_for_nothing() -> None:
    async with world() as here:
        await here.deploy("greet")
        async for name, _ in here.events(f"/ui/events?function={KEY}&after={'9' * 5000}"):
            assert name == "tick"
            break


@pytest.mark.parametrize("path", ["/ui/deploy/", "/ui/system/", "/ui/functions/greet/", "/ui//"])
async def test_no_page_sends_a_browser_to_the_address_behind_the_gateway(path: str) -> None:
    async with world() as here:
        answer = await here.http.get(path)
        assert (answer.status_code, answer.headers.get("location")) == (404, None)
