"""A connection that ends between its being made and its first use, as when the replica is killed just then."""

from __future__ import annotations

import asyncio

from tests.fuzz.conversation import Conversation, Input, play, read_answer
from tests.fuzz.in_memory import Transport

GET = b"GET /function/echo HTTP/1.1\r\nHost: a\r\n\r\n"
SOON_S = 1.0


def test_call_is_sent_on_another_connection_when_the_first_is_dead_on_arrival() -> None:
    async def scenario(_: Input, conversation: Conversation) -> None:
        def connected(transport: Transport) -> None:
            conversation.upstreams.append(transport)
            if len(conversation.upstreams) == 1:
                transport.reset()

        conversation.loop.connected = connected
        conversation.caller.receive(GET)
        await asyncio.sleep(SOON_S)
        conversation.upstreams[-1].receive(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await conversation.turns()

        answer = read_answer(bytes(conversation.caller.written), ended=False)
        assert answer is not None
        assert (answer.status, answer.body) == (200, b"ok")
        assert len(conversation.upstreams) == 2
        await conversation.end()

    play(b"", scenario)
