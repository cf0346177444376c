"""The input is what a replica sends. The caller reads with h11, which must find nothing but whole, correct answers."""

from __future__ import annotations

from tests.fuzz.conversation import Conversation, Input, play, read_answer
from tests.fuzz.in_memory import Transport

REQUESTS = (
    b"GET /function/echo HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HEAD /function/echo HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /function/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /function/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\nnot all of it",
    b"GET /function/echo HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nearly",
    b"GET /function/echo HTTP/1.0\r\n\r\n",
    b"POST /function/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"GET /function/echo HTTP/1.1\r\nHost: a\r\n\r\n" * 3,
)
SILENT, ENDS, RESETS, CALLER_LEAVES = range(4)


def run(raw: bytes) -> None:
    """Play one input; AssertionError or h11.RemoteProtocolError says what the gateway did wrong."""
    play(raw, _play)


async def _play(given: Input, conversation: Conversation) -> None:
    caller = conversation.caller
    caller.receive(REQUESTS[given.options & 7])
    await conversation.turns()
    await conversation.send(given, lambda data: _receive(data, conversation))
    ends = given.options >> 3 & 3
    upstream = _alive(conversation)
    if ends == CALLER_LEAVES:
        caller.reset()
    elif upstream is not None and ends == ENDS:
        upstream.end()
    elif upstream is not None and ends == RESETS:
        upstream.reset()
    await _check_probe(given, conversation)
    await conversation.end()
    conversation.check_answers()


async def _check_probe(given: Input, conversation: Conversation) -> None:
    """Its answer is what the replica says to it, and nothing that was said before."""
    probe = await conversation.probe(given)
    asked = [one for one in conversation.upstreams if b"X-Probe: 1" in one.written and not one.closing]
    if asked:
        asked[-1].receive(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nprobed!")
    await conversation.turns()
    answer = read_answer(bytes(probe.written), ended=True)
    assert answer is not None
    assert (answer.status, answer.body) == (200, b"probed!")


def _receive(data: bytes, conversation: Conversation) -> bool:
    """Whether there was a connection to a replica that took the data."""
    upstream = _alive(conversation)
    return upstream is not None and upstream.receive(data)


def _alive(conversation: Conversation) -> Transport | None:
    """The newest connection to a replica."""
    return next((one for one in reversed(conversation.upstreams) if not one.closing and not one.left), None)
