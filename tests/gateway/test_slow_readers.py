"""How long the end of an answer waits for a caller that hardly reads; hours of virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.fuzz.conversation import SETTINGS, Conversation, Input, play
from tests.fuzz.in_memory import HIGH_WATER_BYTES

GET = b"GET /function/echo HTTP/1.1\r\nHost: a\r\n\r\n"
sizes = pytest.mark.parametrize(
    "size", [pytest.param(20, id="too short to fill the connection"), pytest.param(300, id="long enough to fill it")]
)


def with_unread_answer(size: int, story: Callable[[Conversation], Coroutine[Any, Any, None]]) -> None:
    """A caller that has stopped reading before its answer came."""

    async def scenario(_: Input, conversation: Conversation) -> None:
        conversation.caller.stall()
        conversation.caller.receive(GET)
        await conversation.turns(20)
        conversation.upstreams[0].receive(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (size, b"x" * size))
        assert conversation.caller.full == (size > HIGH_WATER_BYTES)
        await story(conversation)
        await conversation.end()

    play(b"", scenario)


@sizes
def test_caller_that_reads_slowly_gets_the_whole_answer(size: int) -> None:
    async def story(conversation: Conversation) -> None:
        caller = conversation.caller
        for _ in range(120):
            caller.take(5)
            await asyncio.sleep(SETTINGS.write_timeout_s * 0.9)

        assert bytes(caller.written).endswith(b"x" * size)
        assert not caller.aborted

    with_unread_answer(size, story)


@sizes
def test_caller_that_stops_reading_is_cut_off_in_time(size: int) -> None:
    async def story(conversation: Conversation) -> None:
        conversation.caller.take(5)
        await asyncio.sleep(SETTINGS.keep_alive_s + 3 * SETTINGS.write_timeout_s)

        assert conversation.caller.aborted
        assert conversation.plane.unknown.metrics.refused == {"stalled_reader": 1}

    with_unread_answer(size, story)
