"""The heads that are sent on, as functions of those that came."""

from __future__ import annotations

import pytest

from springtide.gateway.http1.fields import CHUNKED
from springtide.gateway.http1.forwarding import (
    forwarded_fields,
    interim_head,
    own_headers,
    request_head,
    response_head,
    start_time,
    switching_head,
)
from springtide.gateway.http1.request import parse_request
from springtide.gateway.http1.response import ResponseHead, parse_response


@pytest.mark.parametrize(
    ("lines", "sent"),
    [
        pytest.param("Host: a", "Host: a|X-Forwarded-Host: a|X-Forwarded-Proto: http", id="plain"),
        pytest.param(
            "Host: a|X-Forwarded-Host: b", "Host: a|X-Forwarded-Host: b|X-Forwarded-Proto: http", id="proxy told host"
        ),
        pytest.param(
            "Host: a|X-Forwarded-Proto: https",
            "Host: a|X-Forwarded-Proto: https|X-Forwarded-Host: a",
            id="proxy told protocol",
        ),
        pytest.param(
            "Host: a|X-Forwarded-Proto: https|X-Forwarded-Host: b",
            "Host: a|X-Forwarded-Proto: https|X-Forwarded-Host: b",
            id="proxy told both",
        ),
        pytest.param(
            "Host: a|Connection: close, x-hop|X-Hop: 1|Keep-Alive: 5|TE: trailers",
            "Host: a|X-Forwarded-Host: a|X-Forwarded-Proto: http",
            id="for one hop only",
        ),
        pytest.param(
            "Host: a|Transfer-Encoding: chunked|Expect: 100-continue",
            "Host: a|Transfer-Encoding: chunked|Expect: 100-continue|X-Forwarded-Host: a|X-Forwarded-Proto: http",
            id="framing is ours",
        ),
        pytest.param(
            "Host: a|Connection: upgrade|Upgrade: websocket",
            "Host: a|Connection: Upgrade|Upgrade: websocket|X-Forwarded-Host: a|X-Forwarded-Proto: http",
            id="upgrade",
        ),
    ],
)
def test_lines_that_are_forwarded(lines: str, sent: str) -> None:
    head = parse_request(f"GET / HTTP/1.1|{lines}".replace("|", "\r\n").encode())

    assert forwarded_fields(head) == f"|{sent}".replace("|", "\r\n").encode()


@pytest.mark.parametrize(
    ("came", "sent"),
    [
        pytest.param("", "10.0.0.9", id="none"),
        pytest.param(
            "\r\nX-Forwarded-For: 1.1.1.1\r\nx-forwarded-for: 2.2.2.2", "1.1.1.1, 2.2.2.2, 10.0.0.9", id="two"
        ),
    ],
)
def test_clients_address_comes_last(came: str, sent: str) -> None:
    head = parse_request(f"GET /function/f/x HTTP/1.1\r\nHost: a{came}".encode())

    request = request_head(head, b"\r\nHost: a", target=b"/x", own=b"\r\nX-Call-Id: 1", peer=b"10.0.0.9")

    assert request == f"GET /x HTTP/1.1\r\nHost: a\r\nX-Call-Id: 1\r\nX-Forwarded-For: {sent}\r\n\r\n".encode()


def test_own_headers_are_the_call_id_and_its_start_in_nanoseconds() -> None:
    assert start_time(1.5) == b"\r\nX-Start-Time: 1500000000"
    assert own_headers(b"id", 1.5) == b"\r\nX-Call-Id: id" + start_time(1.5)


@pytest.mark.parametrize(
    ("http11", "keep_alive", "line"),
    [
        pytest.param(True, True, b"", id="1.1 keeps its connection untold"),
        pytest.param(True, False, b"\r\nConnection: close", id="1.1 closes"),
        pytest.param(False, True, b"\r\nConnection: keep-alive", id="1.0 is told"),
        pytest.param(False, False, b"\r\nConnection: close", id="1.0 closes"),
    ],
)
def test_connection_is_told_where_the_version_does_not_say(http11: bool, keep_alive: bool, line: bytes) -> None:
    head = ResponseHead(200, b"200 Fine", b"\r\nX: y", 0)

    sent = response_head(head, b"\r\nO: 1", chunked=False, timing=b"", http11=http11, keep_alive=keep_alive)

    assert sent == b"HTTP/1.1 200 Fine\r\nX: y\r\nO: 1" + line + b"\r\n\r\n"


def test_answer_of_unknown_length_is_chunked_and_a_wait_is_told() -> None:
    head = ResponseHead(200, b"200 OK", b"", CHUNKED)

    sent = response_head(head, b"", chunked=True, timing=b"\r\nServer-Timing: x", http11=True, keep_alive=True)

    assert sent == b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nServer-Timing: x\r\n\r\n"


def test_interim_and_switching_heads() -> None:
    early = parse_response(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nConnection: close")
    switch = parse_response(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nX: y")

    assert interim_head(early) == b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    assert switching_head(switch, b"\r\nO: 1") == (
        b"HTTP/1.1 101 Switching Protocols\r\nX: y\r\nO: 1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    )
