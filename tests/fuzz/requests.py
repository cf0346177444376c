"""The input is what a caller sends. Replicas read it with h11, which must find nothing but whole, correct requests."""

from __future__ import annotations

import h11

from tests.fuzz.conversation import (
    CALLER_STALLS,
    MAX_BYTES,
    REPLICAS_STALL,
    TIME_PASSES,
    Conversation,
    Input,
    play,
    read_answer,
)
from tests.fuzz.in_memory import Transport

PLAIN, CHUNKED, UNTIL_CLOSE, NO_CONTENT, EARLY, CONTINUE, UPGRADE, DIES = range(8)
SILENT, ENDS, RESETS = range(3)

_BEYOND_ASCII = bytes.maketrans(bytes(range(0x80, 0x100)), b"?" * 0x80)
"""h11 takes no such bytes in a target; neither a name nor a number may hold the question mark."""


class Replica:
    """The other end of one connection to a replica: reads with h11, answers in the way the input asks for."""

    def __init__(self, transport: Transport, style: int) -> None:
        self._transport, self._style = transport, style
        self._h11 = _server()
        self.answered: list[bytes] = []
        """The targets and bodies of the requests it answered, the way ``told`` writes them."""
        self._request: h11.Request | None = None
        self._body = b""
        self._replied = False
        transport.hear = self.hear

    def hear(self, data: bytes) -> None:
        if self._h11.their_state is h11.SWITCHED_PROTOCOL:
            self._transport.receive(data)
            return
        self._h11.receive_data(data.translate(_BEYOND_ASCII))
        while self._read_one():
            pass

    def _read_one(self) -> bool:
        event = self._h11.next_event()
        if isinstance(event, h11.Request):
            self._request, self._body = event, b""
            if self._style == DIES:
                self._transport.reset()
                return False
            if self._style == EARLY:
                self._reply(413, b"early")
            elif self._style == CONTINUE:
                self._send(h11.InformationalResponse(status_code=103, headers=[("Link", "x")]))
        elif isinstance(event, h11.Data):
            self._body += event.data
        elif isinstance(event, h11.EndOfMessage):
            self._whole()
        else:
            return False
        return True

    def _whole(self) -> None:
        assert self._request is not None
        if not any(name == b"x-probe" for name, _ in self._request.headers):
            self.answered.append(told(self._request, self._body))
        if self._h11.our_state is h11.SEND_RESPONSE:
            self._reply(200, b"answer")
        if self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            self._h11.start_next_cycle()

    def _reply(self, status: int, body: bytes) -> None:
        style = self._style
        if style == UPGRADE and self._h11.their_state is h11._state.MIGHT_SWITCH_PROTOCOL:
            self._send(h11.InformationalResponse(status_code=101, headers=[("Upgrade", "x")]))
            return
        if style == UNTIL_CLOSE:  # by hand, for h11 would send chunks
            head_only = self._request is not None and self._request.method == b"HEAD"
            self._transport.receive(b"HTTP/1.1 200 Because\r\n\r\n" + (b"" if head_only else body))
            self._transport.end()
            return
        headers: list[tuple[str, str]] = []
        if style == CHUNKED:
            headers = [("Transfer-Encoding", "chunked")]
        elif style == NO_CONTENT:
            status, body = 204, b""
        else:
            headers = [("Content-Length", str(len(body)))]
        self._send(h11.Response(status_code=status, headers=headers, reason=b"Because"))
        trailers = []
        if self._request is not None and self._request.method != b"HEAD":
            self._send(h11.Data(body))
            trailers = [("X-T", "1")] if style == CHUNKED and self._http11 else []
        self._send(h11.EndOfMessage(headers=trailers))
        if self._h11.our_state is h11.MUST_CLOSE:
            self._transport.end()

    @property
    def _http11(self) -> bool:
        return self._h11.their_http_version != b"1.0"

    def _send(self, event: h11.Event) -> None:
        self._transport.receive(self._h11.send(event) or b"")


def run(raw: bytes) -> None:
    """Play one input; AssertionError or h11.RemoteProtocolError says what the gateway did wrong."""
    play(raw, _play)


async def _play(given: Input, conversation: Conversation) -> None:
    replicas: list[Replica] = []
    style = given.options & 7

    def connected(transport: Transport) -> None:
        conversation.upstreams.append(transport)
        replicas.append(Replica(transport, style if style != DIES or not replicas else PLAIN))

    conversation.loop.connected = connected
    await conversation.send(given, conversation.caller.receive)
    ends = (given.options >> 3 & 3) % 3
    if ends == ENDS:
        conversation.caller.end()
    elif ends == RESETS:
        conversation.caller.reset()
    probe = await conversation.probe(given)
    await conversation.end()
    answers = conversation.check_answers()
    for answer in answers:
        assert answer.status != 200 or answer.body == (b"" if answer.method == b"HEAD" else b"answer")
    if calm(given):  # then each request that came whole was answered
        assert not {502, 504} & {answer.status for answer in answers[: len(list(_reference(given.data)))]}
    probed = read_answer(bytes(probe.written), ended=True)
    assert probed is not None
    assert (probed.status, probed.body) in ((200, b"answer"), (204, b""), (413, b"early"))
    if style != DIES:
        _check_forwarded(given.data, replicas)


def calm(given: Input) -> bool:
    """Nobody stalls, and no replica fails."""
    return given.options & 7 != DIES and not {CALLER_STALLS, REPLICAS_STALL, TIME_PASSES} & set(given.steps)


def _check_forwarded(data: bytes, replicas: list[Replica]) -> None:
    """What replicas answered are requests that h11 sees in the caller's bytes, too, with the same bodies."""
    reference = list(_reference(data))
    for replica in replicas:
        at = 0
        for answered in replica.answered:
            assert answered in reference[at:], f"nobody asked for {answered[:200]!r}"
            at = reference.index(answered, at) + 1


def _reference(data: bytes) -> list[bytes]:
    """The requests in a caller's bytes as h11 reads them, up to the first that is none."""
    found = []
    while data:
        while data.startswith(b"\r\n"):  # RFC 9112, 2.2: to be ignored, which h11 does not
            data = data[2:]
        server = _server()
        server.receive_data(data.translate(_BEYOND_ASCII))
        request, body = None, b""
        try:
            while True:
                event = server.next_event()
                if isinstance(event, h11.Request):
                    request = event
                elif isinstance(event, h11.Data):
                    body += event.data
                else:
                    break
        except h11.RemoteProtocolError:
            break
        if not isinstance(event, h11.EndOfMessage) or request is None:
            break
        found.append(told(request, body))
        data = data[len(data) - len(server.trailing_data[0]) :]
    return found


def told(request: h11.Request, body: bytes) -> bytes:
    """What must not change on the way: the method and the body. The target loses its prefix, headers change."""
    return b"%b %b" % (request.method, body)


def _server() -> h11.Connection:
    return h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_BYTES)
