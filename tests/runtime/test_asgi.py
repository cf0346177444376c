from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable

import pytest

from springtide.runtime.asgi import ClientDisconnected, Message, Receive, RequestBody, bounded, send_stream
from springtide.runtime.errors import BodyTimeout, BodyTooLarge
from springtide.runtime.virtual_time import VirtualTimeLoop, run

LEFT: Message = {"type": "http.disconnect"}


def part(body: bytes, *, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def client(messages: Iterable[Message]) -> Receive:
    """A client who sends these and then says nothing more."""
    waiting = iter(messages)

    async def receive() -> Message:
        for message in waiting:
            return message
        return await asyncio.Future()

    return receive


async def test_body_comes_in_parts_and_once() -> None:
    body = RequestBody(client([part(b"ab", more=True), part(b"", more=True), part(b"c")]))

    assert [chunk async for chunk in body] == [b"ab", b"c"]
    assert await body.read() == b""


def test_client_who_leaves_within_its_body_is_told_apart_from_a_short_one() -> None:
    body = RequestBody(client([part(b"ab", more=True), LEFT]))

    with pytest.raises(ClientDisconnected):
        asyncio.run(body.read())


@pytest.mark.parametrize("ignored", [False, True], ids=["after its body", "whose body nobody reads"])
async def test_leaving_client_is_noticed(ignored: bool) -> None:
    body = RequestBody(client([part(b"ab", more=True), part(b"c"), LEFT]))
    if ignored:
        body.ignore()
    else:
        await body.read()

    await body.disconnected()


async def test_disconnect_is_not_awaited_while_the_body_is_being_read() -> None:
    body = RequestBody(client([part(b"ab", more=True), part(b"c"), LEFT]))
    leaving = asyncio.create_task(body.disconnected())
    await asyncio.sleep(0)

    assert await body.read() == b"abc"
    await leaving


@pytest.mark.parametrize(("size", "refused"), [(10, False), (11, True)], ids=["as long as allowed", "a byte longer"])
def test_body_is_bounded_over_all_its_parts(size: int, refused: bool) -> None:
    async def main() -> int:
        parts = [part(b"x", more=number < size) for number in range(1, size + 1)]
        return len(await RequestBody(bounded(client(parts), max_bytes=10)).read())

    if refused:
        with pytest.raises(BodyTooLarge, match="larger than 10 bytes"):
            asyncio.run(main())
    else:
        assert asyncio.run(main()) == 10


@pytest.mark.virtual_time
async def test_body_that_does_not_end_is_given_up_on_time() -> None:
    receive = bounded(client([part(b"x", more=True)]), max_bytes=10, deadline_s=5.0)
    with pytest.raises(BodyTimeout, match="within 5 s"):
        await RequestBody(receive).read()
    assert asyncio.get_running_loop().time() == 5.0


@pytest.mark.virtual_time
async def test_deadline_is_the_bodys_and_not_the_calls() -> None:
    async def left_later() -> Message:
        await asyncio.sleep(60)
        return LEFT

    messages = [client([part(b"x")]), left_later]

    async def receive() -> Message:
        return await messages.pop(0)()

    limited = bounded(receive, max_bytes=10, deadline_s=5.0)
    await limited()
    assert (await limited()) == LEFT


class Source:
    """Chunks with pauses before them, in seconds; knows whether it was closed."""

    def __init__(self, *chunks: tuple[float, bytes]) -> None:
        self.closed = False
        self._chunks = chunks

    async def __call__(self) -> AsyncGenerator[bytes, None]:
        try:
            for pause_s, chunk in self._chunks:
                await asyncio.sleep(pause_s)
                yield chunk
        finally:
            self.closed = True


async def _sent(source: Source, receive: Receive, stopping: asyncio.Event, idle_s: float | None = None) -> list[bytes]:
    sent: list[bytes] = []

    async def send(message: Message) -> None:
        sent.append(message["body"] if message["more_body"] else b"END")

    await send_stream(receive, send, source(), stopping=stopping, idle_s=idle_s, idle_chunk=b"idle")
    assert source.closed
    return sent


def test_stream_ends_with_its_source() -> None:
    source = Source((0.0, b"a"), (1.0, b""), (1.0, b"b"))

    assert run(_sent(source, client([]), asyncio.Event()), VirtualTimeLoop()) == [b"a", b"b", b"END"]


def test_stream_says_that_it_lives_and_loses_nothing_by_it() -> None:
    source = Source((0.0, b"a"), (2.5, b"b"))

    assert run(_sent(source, client([]), asyncio.Event(), 1.0), VirtualTimeLoop()) == [
        b"a",
        b"idle",
        b"idle",
        b"b",
        b"END",
    ]


@pytest.mark.virtual_time
async def test_stream_ends_when_the_client_leaves() -> None:
    source = Source((0.0, b"a"), (1e9, b"never"))

    async def leave() -> Message:
        await asyncio.sleep(1.0)
        return LEFT

    assert (await _sent(source, leave, asyncio.Event())) == [b"a", b"END"]


@pytest.mark.virtual_time
async def test_stream_ends_when_the_service_stops() -> None:
    source = Source((0.0, b"a"), (1e9, b"never"))

    stopping = asyncio.Event()
    asyncio.get_running_loop().call_later(1.0, stopping.set)
    assert (await _sent(source, client([]), stopping)) == [b"a", b"END"]


async def test_stream_that_fails_is_broken_off_and_its_source_closed() -> None:
    closed = asyncio.Event()

    async def failing() -> AsyncGenerator[bytes, None]:
        try:
            yield b"a"
            raise RuntimeError("boom")
        finally:
            closed.set()

    sent: list[bytes] = []

    async def send(message: Message) -> None:
        sent.append(message["body"])

    with pytest.raises(RuntimeError, match="boom"):
        await send_stream(client([]), send, failing(), stopping=asyncio.Event())
    assert sent == [b"a"]
    assert closed.is_set()
