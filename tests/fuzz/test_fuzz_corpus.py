"""What the fuzzer found is played again: everything it reached, and everything that was broken once."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path

import h11
import pytest

from springtide.gateway.http1.request import parse_request
from tests.fuzz import requests, responses
from tests.fuzz.conversation import SETTINGS, Conversation, Input, play, read_answer
from tests.fuzz.in_memory import Loop, Transport

HERE = Path(__file__).parent
RUN = {"requests": requests.run, "responses": responses.run}
BROKEN = [pytest.param(path, id=path.name) for path in sorted((HERE / "broken").glob("*/*"))]
FEWEST = 20

GET = b"GET /function/echo HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /function/echo HTTP/1.1\r\nHost: a\r\n"
ORDINARY = [
    pytest.param(GET, id="a GET"),
    pytest.param(GET.replace(b"GET", b"HEAD"), id="a HEAD"),
    pytest.param(POST + b"Content-Length: 5\r\n\r\nhello", id="a body of known length"),
    pytest.param(POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n", id="a chunked body"),
    pytest.param(GET * 3, id="three at once"),
]


@pytest.mark.parametrize("target", RUN)
def test_corpus_breaks_nothing(target: str) -> None:
    corpus = sorted((HERE / "corpus" / target).iterdir())

    for path in corpus:
        try:
            RUN[target](path.read_bytes())
        except (AssertionError, h11.RemoteProtocolError) as error:
            raise AssertionError(f"{target}/{path.name}: {error}") from error

    assert len(corpus) >= FEWEST


@pytest.mark.parametrize("data", ORDINARY)
@pytest.mark.parametrize("style", range(8))
@pytest.mark.parametrize("steps", [pytest.param(b"\0", id="whole"), pytest.param(b"\1\3", id="byte by byte")])
def test_ordinary_calls_break_nothing(data: bytes, style: int, steps: bytes) -> None:
    requests.run(bytes([style]) + steps + data)


@pytest.mark.parametrize("path", BROKEN)
def test_what_was_broken_stays_put_right(path: Path) -> None:
    RUN[path.parent.name](path.read_bytes())


def test_input_is_cut_into_its_pieces() -> None:
    given = Input.of(b"\x07\x03" + bytes([3 + 1, 0, 128]) + b"abcdefg")

    assert given.options == 7
    assert list(given.actions()) == [b"ab", 0, b"cdefg"]
    assert list(Input.of(b"\x00\x00whole").actions()) == [b"whole"]
    assert list(Input.of(b"").actions()) == []


# A target that notices nothing finds nothing.


def test_replica_refuses_what_is_no_request() -> None:
    async def scenario(_: Input, conversation: Conversation) -> None:
        replica = requests.Replica(Transport(conversation.loop, asyncio.Protocol()), requests.PLAIN)

        with pytest.raises(h11.RemoteProtocolError):
            replica.hear(b"GET /\x01 HTTP/1.1\r\n\r\n")

        conversation.caller.reset()
        await conversation.end()

    play(b"", scenario)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", id="shorter than it says"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", id="without its last chunk"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", id="of two lengths"),
        pytest.param(b"nonsense\r\n\r\n", id="none"),
    ],
)
def test_answer_that_is_wrong_is_noticed(answer: bytes) -> None:
    head = parse_request(GET[:-4])

    with pytest.raises(h11.RemoteProtocolError):
        read_answer(answer, head, ended=True)


def test_answer_nobody_asked_for_is_noticed() -> None:
    async def scenario(_: Input, conversation: Conversation) -> None:
        conversation.caller.written += b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        with pytest.raises(AssertionError, match="nobody asked"):
            conversation.check_answers()
        conversation.caller.reset()
        await conversation.end()

    play(b"", scenario)


def test_call_that_never_ends_is_noticed() -> None:
    async def scenario(_: Input, other: Conversation) -> None:
        other.caller.reset()
        conversation = Conversation(other.loop, replace(SETTINGS, upstream_timeout_s=0))
        conversation.caller.receive(GET)
        with pytest.raises(AssertionError, match="still open"):
            await conversation.end()
        conversation.caller.reset()
        await conversation.end()
        await other.plane.close()

    play(b"", scenario)


def test_error_in_a_callback_is_raised() -> None:
    async def scenario(_: Input, conversation: Conversation) -> None:
        conversation.loop.call_soon(lambda: 1 / 0)
        await conversation.turns()

    with pytest.raises(ZeroDivisionError):
        play(b"", scenario)


def test_forwarded_request_that_was_not_sent_is_noticed() -> None:
    with contextlib.closing(Loop()) as loop:
        replica = requests.Replica(Transport(loop, asyncio.Protocol()), requests.PLAIN)
        replica.answered.append(b"POST something else")

        with pytest.raises(AssertionError, match="nobody asked for"):
            requests._check_forwarded(GET, [replica])
