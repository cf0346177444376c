"""Mode http: what exec_timeout ends. A call without an answer, an answer of known length, a stream that is silent."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from springtide.watchdog.calls import INTERIM
from springtide.watchdog.config import Mode, WatchdogConfig
from springtide.watchdog.upstream import Upstream
from tests.fuzz.in_memory import Loop, Transport

LIMIT_S = 10.0
STREAM = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
KNOWN = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
PIECE = b"1\r\nx\r\n"
END = b"0\r\n\r\n"


async def call(*said: tuple[float, bytes]) -> tuple[int, bytes, bool, float]:
    """Status and body, whether the answer is whole, and when it was over. The program says things after pauses."""
    loop = cast("Loop", asyncio.get_running_loop())
    answers: list[asyncio.Task[None]] = []

    def connected(transport: Transport) -> None:
        async def answer() -> None:
            for pause_s, data in said:
                await asyncio.sleep(pause_s)
                transport.receive(data)

        answers.append(loop.create_task(answer()))

    loop.connected = connected
    upstream = Upstream(WatchdogConfig(mode=Mode.HTTP, upstream_url="http://127.0.0.1:9", exec_timeout_s=LIMIT_S), {})
    got: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        if received:
            await asyncio.Event().wait()
        received.append(True)
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: object) -> None:
        got.append(cast("dict[str, object]", message))

    received: list[bool] = []
    scope = {
        "method": "GET",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "headers": [(b"host", b"a")],
        "extensions": {INTERIM: {"send": lambda _status, _headers: None}},
    }
    began, broken = loop.time(), False
    try:
        await upstream(scope, receive, send)
    except ConnectionAbortedError:
        broken = True
    took = loop.time() - began
    for task in answers:
        task.cancel()
    body = b"".join(cast("bytes", message["body"]) for message in got[1:])
    return cast("int", got[0]["status"]), body, not broken, took


@pytest.mark.parametrize(
    ("said", "status", "body", "whole", "seconds"),
    [
        pytest.param([(9.0, KNOWN + b"abcd")], 200, b"abcd", True, 9.0, id="in time"),
        pytest.param([(11.0, KNOWN + b"abcd")], 504, None, True, 10.0, id="no answer"),
        pytest.param([(6.0, KNOWN), (6.0, b"abcd")], 200, b"", False, 10.0, id="a known length too late"),
        pytest.param([(8.0, STREAM), *[(8.0, PIECE)] * 9, (8.0, END)], 200, b"x" * 9, True, 88.0, id="a stream"),
        pytest.param([(8.0, STREAM), (8.0, PIECE), (11.0, END)], 200, b"x", False, 26.0, id="a silent stream"),
    ],
)
def test_limit_is_for_the_answer_and_for_the_silence_of_a_stream(
    said: list[tuple[float, bytes]], status: int, body: bytes | None, whole: bool, seconds: float
) -> None:
    with asyncio.Runner(loop_factory=Loop) as runner:
        found = runner.run(call(*said))

    assert found == (status, found[1] if body is None else body, whole, seconds)
