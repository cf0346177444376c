from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator

import httpx
import pytest

from springtide.provider.api import ProviderApiDeps, ProviderApiSettings, build
from springtide.provider.memory import MemoryProvider
from springtide.provider.ports import LogLine, LogQuery
from springtide.runtime.errors import NotFound
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE, FunctionRef
from tests.provider.api.served import Served

ECHO = FunctionRef(DEFAULT_NAMESPACE, "echo")
LOGS = "/system/logs"


async def with_lines(served: Served, *texts: str) -> None:
    await served.deploy()
    for text in texts:
        served.memory.write_log(ECHO, f"{ECHO.name}-{text}", text)


async def texts(served: Served, query: str) -> list[str]:
    answer = await served.http.get(f"{LOGS}?name=echo{query}")
    assert answer.status_code == 200
    return [json.loads(line)["text"] for line in answer.text.splitlines()]


async def test_line_has_the_fields_of_the_contract(served: Served) -> None:
    await with_lines(served, "one – ü\n")

    answer = await served.http.get(f"{LOGS}?name=echo")

    assert answer.headers["content-type"] == "application/x-ndjson"
    message = json.loads(answer.text)
    assert message.pop("timestamp").endswith("Z")
    assert message == {
        "name": "echo",
        "namespace": "openfaas-fn",
        "instance": "echo-one – ü\n",
        "text": "one – ü\n",
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("", ["a", "b", "c"], id="all"),
        pytest.param("&tail=-1", ["a", "b", "c"], id="minus one is all"),
        pytest.param("&tail=0", ["a", "b", "c"], id="zero is all"),
        pytest.param("&tail=2", ["b", "c"], id="the last two"),
        pytest.param("&follow=perhaps", ["a", "b", "c"], id="what is no such word does not follow"),
        pytest.param("&follow=0", ["a", "b", "c"], id="zero does not follow"),
        pytest.param("&follow=false", ["a", "b", "c"], id="false does not follow"),
        pytest.param("&instance=echo-b", ["b"], id="one replica"),
        pytest.param("&since=2999-01-01T00:00:00Z", [], id="later than all"),
        pytest.param(
            "&since=2999-01-01T00:00:00Z&since=1999-01-01T00:00:00Z", ["a", "b", "c"], id="the last since wins"
        ),
    ],
)
async def test_lines_for(served: Served, query: str, expected: list[str]) -> None:
    await with_lines(served, "a", "b", "c")

    assert await texts(served, query) == expected


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400),
        ("?name=", 400),
        ("?name=ghost", 404),
        ("?name=echo&namespace=dev", 404),
        ("?name=echo&tail=x", 422),
        ("?name=echo&since=yesterday", 422),
    ],
)
async def test_logs_are_refused_for(served: Served, query: str, status: int) -> None:
    await with_lines(served, "a")

    assert (await served.http.get(LOGS + query)).status_code == status


async def test_unknown_function_is_404_also_where_the_provider_notices_late() -> None:
    class Late(MemoryProvider):
        async def logs(self, query: LogQuery) -> AsyncGenerator[LogLine, None]:  # noqa: ARG002 - the Protocol's signature
            raise NotFound("no function")
            yield

    api = build(ProviderApiSettings(port=0), ProviderApiDeps(provider=Late(), credentials=None))
    await api.start()
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(f"http://127.0.0.1:{api.port}{LOGS}?name=ghost")
    await api.stop()

    assert answer.status_code == 404


@pytest.mark.parametrize("follow", ["true", "1"])
async def test_followed_lines_arrive_one_by_one(served: Served, follow: str) -> None:
    await with_lines(served, "a")

    async with served.http.stream("GET", f"{LOGS}?name=echo&follow={follow}&tail=-1") as answer:
        lines = answer.aiter_lines()
        seen = [json.loads(await anext(lines))["text"]]
        for text in ("b", "c"):
            served.memory.write_log(ECHO, "echo-1", text)
            seen.append(json.loads(await anext(lines))["text"])

    assert seen == ["a", "b", "c"]


async def test_following_ends_with_the_function(served: Served) -> None:
    await with_lines(served, "a")

    async with served.http.stream("GET", f"{LOGS}?name=echo&follow=true") as answer:
        lines = answer.aiter_lines()
        await anext(lines)
        await served.memory.delete(ECHO)

        assert [line async for line in lines] == []


async def test_follower_who_leaves_is_forgotten(served: Served) -> None:
    await with_lines(served, "a")
    async with served.http.stream("GET", f"{LOGS}?name=echo&follow=true") as answer:
        told = answer.aiter_lines()  # kept: without it the answer is closed
        await anext(told)
        assert "1 followers" in followers(served)

    while "0 followers" not in followers(served):  # noqa: ASYNC110 - the server learns of it by itself
        await asyncio.sleep(0.005)


def followers(served: Served) -> str:
    return repr(served.memory._held(ECHO).logs)
