"""What gateways tell of their queues, as a scaler reads it, over real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from springtide.runtime.errors import SpringtideError, Unauthenticated, Unavailable, Unsupported
from springtide.scaler.core.delayed_calls import DelayedCalls
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.jobs.job import Depths, Lane, QueueDepth
from springtide.wire.jobs.pending import DELAYED_PATH, PendingJobs
from springtide.wire.jobs.status_json import delayed_json, depths_json
from tests.fakes.http import HttpServer

ECHO, OTHER = FunctionRef("openfaas-fn", "echo"), FunctionRef("team", "other")
TOLD = depths_json(
    Depths(
        queues=(
            QueueDepth("faas-request", {Lane("faas-request", ECHO): 5, Lane("faas-request", OTHER, "t07"): 3}, dead=2),
            QueueDepth("slow", {Lane("slow", ECHO): 1, Lane("slow", ECHO, "t21"): 1}),
        ),
        delayed=9,
        callbacks=4,
    ),
    now=1.9e9,
)
"""As a gateway tells it."""


@asynccontextmanager
async def against(*answers: tuple[int, Any], deadline_s: float = 30.0) -> AsyncIterator[PendingJobs]:
    """Gateways that each answer so; None: never."""
    async with AsyncExitStack() as stack:
        urls = []
        for status, body in answers:

            async def answer(path: str, status: int = status, body: Any = body) -> tuple[int, bytes]:
                if body is None:
                    await asyncio.Event().wait()
                assert path in ("/system/queues", DELAYED_PATH)
                return status, body.encode() if isinstance(body, str) else json.dumps(body).encode()

            server = HttpServer(answer)
            await server.start()
            stack.push_async_callback(server.stop)
            urls.append(f"http://127.0.0.1:{server.port}")
        client = PendingJobs(urls, None, deadline_s=deadline_s)
        stack.push_async_callback(client.aclose)
        yield client


async def test_jobs_of_a_function_are_added_up_over_the_queues() -> None:
    async with against((200, TOLD)) as client:
        assert await client.pending() == {ECHO: 7, OTHER: 3}


async def test_the_next_gateway_is_asked_where_one_does_not_tell() -> None:
    async with against((503, "the queue's server is away"), (200, TOLD)) as client:
        assert await client.pending() == {ECHO: 7, OTHER: 3}


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        pytest.param(501, "none is set", Unsupported, "none is set", id="no broker is set"),
        pytest.param(404, "404 page not found", Unsupported, "knows no queues", id="a gateway that has no queues"),
        pytest.param(503, "nats is away", Unavailable, "nats is away", id="the broker is away"),
        pytest.param(401, "who?", Unauthenticated, "who", id="wrong credentials"),
        pytest.param(200, "<html>", Unavailable, "makes no sense", id="no JSON"),
        pytest.param(200, {"queues": 1}, Unavailable, "makes no sense", id="another shape"),
        pytest.param(
            200,
            {"queues": [{"functions": [{"function": "echo", "namespace": "x", "pending": -1}]}]},
            Unavailable,
            "-1 jobs",
            id="a negative count",
        ),
    ],
)
async def test_what_is_not_told_is_an_error_and_not_zero(
    status: int, body: Any, kind: type[SpringtideError], said: str
) -> None:
    async with against((status, body)) as client:
        with pytest.raises(kind, match=said):
            await client.pending()


async def test_nobody_there_is_unavailable() -> None:
    client = PendingJobs(["http://127.0.0.1:1"], None)
    with pytest.raises(Unavailable, match="cannot be asked"):
        await client.pending()
    await client.aclose()


async def test_an_answer_that_never_comes_has_a_deadline() -> None:
    async with against((200, None), deadline_s=0.1) as client:
        with pytest.raises(Unavailable, match=r"within 0\.1 s"):
            await client.pending()


CALLS = DelayedCalls({ECHO: (1.9e9 + 5, 1.9e9 + 60.25), OTHER: (1.9e9 + 30,)}, 1.9e9 + 100)


@pytest.mark.parametrize("calls", [CALLS, DelayedCalls()], ids=["some", "none"])
async def test_calls_that_were_put_off_are_read_as_they_are_told(calls: DelayedCalls) -> None:
    async with against((503, "not now"), (200, delayed_json(calls))) as client:
        assert await client.delayed() == calls


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"functions": []},
        {"functions": [{}], "until": None},
        delayed_json(CALLS) | {"until": "soon"},
        delayed_json(CALLS) | {"functions": [{"function": "f", "namespace": "n", "due": [None]}]},
    ],
)
async def test_list_that_makes_no_sense_is_not_known(answer: Any) -> None:
    async with against((200, answer)) as client:
        with pytest.raises(Unavailable):
            await client.delayed()


async def test_gateway_without_a_queue_says_so() -> None:
    async with against((501, "none is set")) as client:
        with pytest.raises(Unsupported):
            await client.delayed()
