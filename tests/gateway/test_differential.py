"""Random requests and responses in random fragments: what arrives is what h11 would have delivered."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import h11
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gateway.harness import Conversation, data_plane, replica, run

names = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=12).map(lambda text: "X-" + text)
values = st.text("".join(map(chr, range(0x21, 0x7F))) + " ,;\t", max_size=30).map(str.strip)
lines = st.lists(st.tuples(names, values), max_size=5)
bodies = st.lists(st.binary(min_size=1, max_size=3000), max_size=5)
cuts = st.lists(st.integers(1, 400), min_size=1, max_size=30)

ADDED = {b"x-call-id", b"x-start-time", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"}
FRAMING = {b"content-length", b"transfer-encoding", b"connection"}


@dataclass(frozen=True, slots=True)
class Message:
    """A message, the way its body is framed, and the sizes of the pieces it is sent in."""

    start: str
    headers: list[tuple[str, str]]
    pieces: list[bytes]
    chunked: bool
    trailers: list[tuple[str, str]]
    cuts: list[int]

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    def encoded(self) -> bytes:
        fields = [
            *self.headers,
            ("Transfer-Encoding", "chunked") if self.chunked else ("Content-Length", len(self.body)),
        ]
        head = self.start + "\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields) + "\r\n"
        if not self.chunked:
            return head.encode() + self.body
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in self.pieces)
        trailers = "".join(f"{name}: {value}\r\n" for name, value in self.trailers).encode()
        return head.encode() + chunks + b"0\r\n" + trailers + b"\r\n"

    async def send(self, writer: asyncio.StreamWriter) -> None:
        data, number = self.encoded(), 0
        while data:
            size = self.cuts[number % len(self.cuts)]
            writer.write(data[:size])
            await writer.drain()
            await asyncio.sleep(0)
            data, number = data[size:], number + 1


@st.composite
def messages(draw: st.DrawFn, start: st.SearchStrategy[str]) -> Message:
    return Message(draw(start), draw(lines), draw(bodies), draw(st.booleans()), draw(lines), draw(cuts))


requests = messages(
    st.builds(
        "{} /function/echo{} HTTP/1.1\r\nHost: gateway".format,
        st.sampled_from(["POST", "PUT", "PATCH", "REPORT"]),
        st.text("abc/%2F.-_~", max_size=20).map(lambda text: "/" + text) | st.just(""),
    )
)
responses = messages(st.sampled_from([200, 201, 299, 404, 500]).map("HTTP/1.1 {} Some Words".format))


@dataclass(slots=True)
class Seen:
    start: tuple[bytes, ...] = ()
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    trailers: tuple[tuple[bytes, bytes], ...] = ()


async def read(connection: h11.Connection, reader: asyncio.StreamReader) -> Seen:
    """One message as h11 reads it."""
    seen = Seen()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Request):
            seen.start, seen.headers = (event.method, event.target), _end_to_end(event.headers)
        elif isinstance(event, h11.Response):
            seen.start, seen.headers = (str(event.status_code).encode(), event.reason), _end_to_end(event.headers)
        elif isinstance(event, h11.Data):
            seen.body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            seen.trailers = tuple(event.headers)
            return seen
        else:
            raise AssertionError(f"h11 sees {event}")


def reference(message: Message, role: type[h11.CLIENT] | type[h11.SERVER]) -> Seen:
    """The message as h11 reads it when it is not proxied."""
    connection = h11.Connection(role)
    if role is h11.CLIENT:
        connection.send(h11.Request(method="POST", target="/", headers=[("Host", "x")]))
        connection.send(h11.EndOfMessage())

    async def fed() -> Seen:
        reader = asyncio.StreamReader()
        reader.feed_data(message.encoded())
        return await read(connection, reader)

    return asyncio.run(fed())


def _end_to_end(headers: h11._headers.Headers) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((name, value) for name, value in headers if name not in ADDED | FRAMING)


@given(exchanges=st.lists(st.tuples(requests, responses), min_size=1, max_size=4))
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_proxied_messages_equal_what_h11_reads_without_a_proxy(exchanges: list[tuple[Message, Message]]) -> None:
    arrived: list[Seen] = []

    async def scripted(conversation: Conversation) -> None:
        connection = h11.Connection(h11.SERVER)
        for _, answer in exchanges:
            arrived.append(await read(connection, conversation.reader))
            rest = connection.trailing_data[0]
            await answer.send(conversation.writer)
            connection = h11.Connection(h11.SERVER)
            if rest:
                connection.receive_data(rest)

    async def scenario() -> list[Seen]:
        async with data_plane() as gateway, replica(scripted) as server, gateway.connect() as caller:
            gateway.publish("echo", [server])
            answers = []
            for request, _ in exchanges:
                connection = h11.Connection(h11.CLIENT)
                connection.send(h11.Request(method="POST", target="/", headers=[("Host", "x")]))
                connection.send(h11.EndOfMessage())
                sending = asyncio.create_task(request.send(caller.writer))
                answers.append(await read(connection, caller.reader))
                await sending
            return answers

    answered = run(scenario())

    for (request, response), got_request, got_response in zip(exchanges, arrived, answered, strict=True):
        expected = reference(request, h11.SERVER)
        target = expected.start[1].removeprefix(b"/function/echo") or b"/"
        assert got_request == Seen((expected.start[0], target), expected.headers, expected.body, expected.trailers)
        assert got_response == reference(response, h11.CLIENT)
