"""Mode http: a connection to the program serves again only when everything of the call before it has been said."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from springtide.watchdog.calls import INTERIM
from springtide.watchdog.config import Mode, WatchdogConfig
from springtide.watchdog.upstream import Upstream
from tests.fuzz.in_memory import Loop, Transport

ANSWER = b"HTTP/1.1 413 Too Large\r\nContent-Length: 7\r\n\r\ntoo big"


async def post(upstream: Upstream, *pieces: bytes, whole: bool) -> int:
    """The status of the answer to an upload; without ``whole`` its end has not come when it is answered."""
    left, got = list(pieces), list[dict[str, object]]()

    async def receive() -> dict[str, object]:
        if not left:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left) or not whole}

    async def send(message: object) -> None:
        got.append(cast("dict[str, object]", message))

    scope = {
        "method": "POST",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "headers": [(b"host", b"a"), (b"content-length", b"10")],
        "extensions": {INTERIM: {"send": lambda _status, _headers: None}},
    }
    await upstream(scope, receive, send)
    return cast("int", got[0]["status"])


async def connections_of_two_calls(*pieces: bytes, whole: bool) -> int:
    loop = cast("Loop", asyncio.get_running_loop())
    transports: list[Transport] = []

    async def answer(transport: Transport) -> None:
        for _ in range(2):
            await asyncio.sleep(0.1)
            transport.receive(ANSWER)

    def connected(transport: Transport) -> None:
        transports.append(transport)
        answering.append(loop.create_task(answer(transport)))

    answering: list[asyncio.Task[None]] = []
    loop.connected = connected
    upstream = Upstream(WatchdogConfig(mode=Mode.HTTP, upstream_url="http://127.0.0.1:9"), {})
    assert await post(upstream, *pieces, whole=whole) == 413
    assert await post(upstream, b"0123456789", whole=True) == 413
    for task in answering:
        task.cancel()
    return len(transports)


@pytest.mark.parametrize(
    ("pieces", "whole", "connections"),
    [
        pytest.param([b"01234", b"56789"], True, 1, id="the whole body was sent"),
        pytest.param([b"01234"], False, 2, id="the program would take the next call for the rest of this body"),
    ],
)
def test_connection_serves_again_when_the_request_was_sent_to_its_end(
    pieces: list[bytes], whole: bool, connections: int
) -> None:
    with asyncio.Runner(loop_factory=Loop) as runner:
        assert runner.run(connections_of_two_calls(*pieces, whole=whole)) == connections
