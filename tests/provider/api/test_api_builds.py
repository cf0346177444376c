"""The builder API: who may build, how much at once, and what the answer says as it comes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from springtide.runtime.errors import BadInput, Unavailable
from tests.provider.api.scripted_builder import NDJSON, ScriptedBuilder, building
from tests.provider.api.served import Served, serving
from tests.provider.process.builder.archives import SECRET, signature


def post(served: Served, body: bytes = b"tar", *, secret: bytes = SECRET, more: dict[str, str] | None = None) -> Any:
    signed = {"Content-Type": "application/octet-stream", "X-Build-Signature": signature(body, secret), **(more or {})}
    return served.http.post("/build", content=body, headers=signed)


async def test_a_signed_body_is_built_and_told_as_one_object(tmp_path: Path) -> None:
    async with building(tmp_path) as (served, builder):
        answer = await post(served, b"tar")

    assert answer.status_code == 200
    assert answer.json() == {"log": ["step one", "step two"], "image": "fn:1", "status": "success", "duration": 1}
    assert builder.bodies == [b"tar"]
    assert builder.discarded == 1


async def test_progress_comes_line_by_line_while_the_build_goes_on(tmp_path: Path) -> None:
    async with building(tmp_path, done=False) as (served, builder):
        headers = {**NDJSON, "X-Build-Signature": signature(b"tar")}
        async with served.http.stream("POST", "/build", content=b"tar", headers=headers) as answer:
            lines = answer.aiter_lines()
            first = [json.loads(await anext(lines)) for _ in range(2)]
            builder.go.set()
            last = [json.loads(line) async for line in lines]

    assert answer.headers["content-type"].startswith("application/x-ndjson")
    assert first == [
        {"log": ["step one"], "image": "fn:1", "status": "in_progress"},
        {"log": ["step two"], "image": "fn:1", "status": "in_progress"},
    ]
    assert last == [{"log": [], "image": "fn:1", "status": "success", "duration": last[0]["duration"]}]
    assert isinstance(last[0]["duration"], int)


@pytest.mark.parametrize("headers", [pytest.param({}, id="one object"), pytest.param(NDJSON, id="lines")])
async def test_a_failed_build_says_why(tmp_path: Path, headers: dict[str, str]) -> None:
    async with building(tmp_path) as (served, builder):
        builder.error = BadInput("No solution found: because nosuch was not found")

        answer = await post(served, more=headers)

    assert answer.status_code == 200
    last = json.loads(answer.text.splitlines()[-1])
    assert (last["status"], last["error"]) == ("failed", "No solution found: because nosuch was not found")


async def test_a_build_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    async with building(tmp_path, done=False, max_build_s=0.05) as (served, builder):
        answer = await post(served)

    assert answer.json()["status"] == "failed"
    assert "max_build_time" in answer.json()["error"]
    assert (builder.running, builder.discarded) == (0, 1)


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(None, id="missing"),
        pytest.param("", id="empty"),
        pytest.param("sha1=" + "0" * 64, id="another hash"),
        pytest.param("sha256=" + "0" * 63, id="too short"),
        pytest.param("sha256=" + "g" * 64, id="no hex"),
        pytest.param("sha256=" + "0" * 64, id="wrong"),
        pytest.param(signature(b"another body"), id="of another body"),
        pytest.param(signature(b"tar", b"another secret"), id="by another secret"),
    ],
)
async def test_a_body_that_is_not_signed_is_not_looked_at(tmp_path: Path, header: str | None) -> None:
    async with building(tmp_path) as (served, builder):
        headers = {} if header is None else {"X-Build-Signature": header}
        answer = await served.http.post("/build", content=b"tar", headers=headers)

    assert answer.status_code == 401
    assert answer.text.startswith("X-Build-Signature: ")
    assert SECRET.decode() not in answer.text
    assert builder.bodies == []


async def test_capital_letters_in_a_signature_count_the_same(tmp_path: Path) -> None:
    async with building(tmp_path) as (served, _):
        header = "sha256=" + signature(b"tar").removeprefix("sha256=").upper()
        answer = await served.http.post("/build", content=b"tar", headers={"X-Build-Signature": header})

    assert answer.status_code == 200


async def test_a_new_secret_counts_at_once(tmp_path: Path) -> None:
    async with building(tmp_path) as (served, _):
        (tmp_path / "payload-secret").write_bytes(b"new")

        assert (await post(served)).status_code == 401
        assert (await post(served, secret=b"new")).status_code == 200


async def test_an_archive_that_is_not_as_it_must_be_is_refused(tmp_path: Path) -> None:
    async with building(tmp_path) as (served, builder):
        builder.refusal = BadInput("the archive's entry '/x' has an absolute name")

        answer = await post(served)

        assert (answer.status_code, answer.text) == (400, "the archive's entry '/x' has an absolute name")
        builder.refusal = None
        assert (await post(served)).status_code == 200  # its place was given back


@pytest.mark.parametrize("chunked", [pytest.param(False, id="announced"), pytest.param(True, id="not announced")])
async def test_a_body_that_is_too_large_is_refused(tmp_path: Path, chunked: bool) -> None:
    body = b"x" * 3_000

    async def pieces() -> AsyncIterator[bytes]:
        yield body

    async with building(tmp_path, build_max_bytes=2_048) as (served, builder):
        headers = {"X-Build-Signature": signature(body)}
        answer = await served.http.post("/build", content=pieces() if chunked else body, headers=headers)

    assert answer.status_code == 413
    assert "build_max_bytes" in answer.text
    assert builder.bodies == []


async def test_a_body_may_be_larger_than_that_of_other_requests(tmp_path: Path) -> None:
    async with building(tmp_path) as (served, builder):
        assert (await post(served, b"x" * (2 << 20))).status_code == 200

    assert len(builder.bodies[0]) == 2 << 20


async def test_more_builds_than_may_go_on_at_once_are_told_to_come_again(tmp_path: Path) -> None:
    async with building(tmp_path, done=False, max_builds=1) as (served, builder):
        headers = {**NDJSON, "X-Build-Signature": signature(b"tar")}
        async with served.http.stream("POST", "/build", content=b"tar", headers=headers) as going_on:
            told = going_on.aiter_lines()  # kept: without it the answer is closed
            await anext(told)
            busy = await post(served)
        builder.go.set()
        await builder.over.wait()
        free = await post(served)

    assert (busy.status_code, busy.headers["retry-after"]) == (429, "5")
    assert free.json()["status"] == "success"


async def test_a_build_ends_when_its_client_leaves(tmp_path: Path) -> None:
    async with building(tmp_path, done=False) as (served, builder):
        headers = {**NDJSON, "X-Build-Signature": signature(b"tar")}
        async with served.http.stream("POST", "/build", content=b"tar", headers=headers) as going_on:
            told = going_on.aiter_lines()  # kept: without it the answer is closed
            await anext(told)
            assert builder.running == 1

        await builder.over.wait()

    assert (builder.running, builder.discarded) == (0, 1)


async def test_what_went_wrong_on_our_side_is_told_too(tmp_path: Path) -> None:
    async with building(tmp_path) as (served, builder):
        builder.error = Unavailable("/code: No space left on device; the code was not copied")

        assert (await post(served)).json()["error"] == "/code: No space left on device; the code was not copied"


@pytest.mark.parametrize(
    ("content", "why"),
    [pytest.param(None, "No such file", id="no file"), pytest.param(b" \n", "is empty", id="an empty one")],
)
async def test_without_a_secret_nobody_can_build(tmp_path: Path, content: bytes | None, why: str) -> None:
    secret = tmp_path / "secret"
    if content is not None:
        secret.write_bytes(content)
    builder = ScriptedBuilder(tmp_path)
    async with serving(builder=builder, payload_secret=str(secret)) as served:
        answer = await post(served, secret=b"")

    assert answer.status_code == 501
    assert why in answer.text


async def test_where_functions_are_not_built_the_remedy_is_told(served: Served) -> None:
    answers: list[httpx.Response] = [await post(served), await served.http.get("/publickey")]

    assert [answer.status_code for answer in answers] == [501, 501]
    assert all("container engine" in answer.text for answer in answers)


async def test_there_is_no_key_to_seal_build_secrets_with(tmp_path: Path) -> None:
    async with building(tmp_path) as (served, _):
        answer = await served.http.get("/publickey")

    assert answer.status_code == 501
    assert "build_secrets" in answer.text
