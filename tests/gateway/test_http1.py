"""The grammar on its own, and beside h11's."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from springtide.gateway.http1 import request, response
from springtide.gateway.http1.body import BodyUntilClose, ChunkedBody, LengthBody, body_of, chunk, last_chunk
from springtide.gateway.http1.fields import CHUNKED, UNTIL_CLOSE, Malformed
from springtide.gateway.http1.forwarding import forwarded_fields
from springtide.gateway.http1.request import RequestHead, check_incomplete, parse_request
from springtide.gateway.http1.response import ResponseHead, has_no_body, parse_response

TOKEN = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
VISIBLE = "".join(map(chr, range(0x21, 0x7F)))
HANDLED = {
    *("connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te", "trailer"),
    *("transfer-encoding", "upgrade", "content-length", "expect", "host", "http2-settings"),
    *("x-call-id", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-start-time", "x-timeout"),
}

names = st.text(TOKEN, min_size=1, max_size=20).filter(lambda name: name.lower() not in HANDLED)
values = st.text(VISIBLE + " \t", max_size=40).map(str.strip)
fields = st.lists(st.tuples(names, values), max_size=8)


def fragments(data: bytes, cuts: list[int]) -> list[bytes]:
    """``data`` cut at these places (taken modulo its length)."""
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def head(text: str) -> RequestHead:
    return parse_request(text.replace("\n", "\r\n").encode("latin-1"))


# Request heads.


@given(method=st.text(TOKEN, min_size=1, max_size=12), path=st.text(VISIBLE, max_size=40), lines=fields)
def test_head_that_h11_accepts_is_read_the_same(method: str, path: str, lines: list[tuple[str, str]]) -> None:
    path = "/" + path.replace("#", "")
    raw = "".join(f"\r\n{name}: {value}" for name, value in lines)
    data = f"{method} {path} HTTP/1.1\r\nHost: a{raw}".encode()
    reference = h11.Connection(h11.SERVER)
    reference.receive_data(data + b"\r\n\r\n")
    expected = reference.next_event()
    assert isinstance(expected, h11.Request)

    parsed = parse_request(data)

    assert (parsed.method, parsed.target) == (expected.method, expected.target)
    forwarded = [line.partition(b":") for line in forwarded_fields(parsed).split(b"\r\n")[1:]]
    assert [(name.lower(), value.strip(b" \t")) for name, _, value in forwarded] == [
        *expected.headers,
        (b"x-forwarded-host", b"a"),
        (b"x-forwarded-proto", b"http"),
    ]


@given(data=st.binary(max_size=200))
@settings(max_examples=500)
def test_any_bytes_are_a_head_or_malformed(data: bytes) -> None:
    for start in (b"", b"GET / HTTP/1.1\r\nHost: a", b"GET / HTTP/1.1\r\nHost: a\r\n", b"HTTP/1.1 200 OK\r\n"):
        for parse in (parse_request, parse_response):
            with contextlib.suppress(Malformed):
                parse(start + data)


@given(data=st.binary(max_size=60))
@settings(max_examples=500)
def test_forwarded_fields_never_hold_a_stray_line_end(data: bytes) -> None:
    try:
        parsed = parse_request(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + data)
    except Malformed:
        return

    bare = forwarded_fields(parsed).replace(b"\r\n", b"")
    assert b"\r" not in bare
    assert b"\n" not in bare
    assert b"\0" not in bare


@pytest.mark.parametrize(
    ("text", "keep_alive"),
    [
        pytest.param("GET / HTTP/1.1\nHost: a", True, id="1.1"),
        pytest.param("GET / HTTP/1.1\nHost: a\nConnection: CLOSE", False, id="1.1 close"),
        pytest.param("GET / HTTP/1.1\nHost: a\nConnection: x\nConnection: y ,close", False, id="close among others"),
        pytest.param("GET / HTTP/1.0", False, id="1.0"),
        pytest.param("GET / HTTP/1.0\nConnection: Keep-Alive", True, id="1.0 keep-alive"),
    ],
)
def test_keep_alive_follows_version_and_connection(text: str, keep_alive: bool) -> None:
    assert head(text).keep_alive is keep_alive


@pytest.mark.parametrize(
    ("text", "length"),
    [
        pytest.param("GET / HTTP/1.1\nHost: a", 0, id="none"),
        pytest.param("POST / HTTP/1.1\nHost: a\nContent-Length: 0", 0, id="zero"),
        pytest.param("POST / HTTP/1.1\nHost: a\nCONTENT-LENGTH:\t 007 \t", 7, id="white space and zeros"),
        pytest.param("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: CHUNKED", CHUNKED, id="chunked"),
        pytest.param("POST / HTTP/1.0\nContent-Length: 5", 5, id="1.0"),
    ],
)
def test_length_is_read(text: str, length: int) -> None:
    assert head(text).length == length


@pytest.mark.parametrize(
    ("text", "target"),
    [
        pytest.param("GET http://a HTTP/1.1\nHost: a", b"/", id="no path"),
        pytest.param("GET http://a?q HTTP/1.1\nHost: A", b"/?q", id="only a query"),
        pytest.param("GET HTTPS://A:80/x HTTP/1.1\nHost: a:80", b"/x", id="case and port"),
    ],
)
def test_absolute_target_on_the_same_host_becomes_a_path(text: str, target: bytes) -> None:
    assert head(text).target == target


def test_upgrade_needs_both_headers_and_1_1() -> None:
    assert head("GET / HTTP/1.1\nHost: a\nConnection: upgrade\nUpgrade: x").upgrade
    assert not head("GET / HTTP/1.1\nHost: a\nUpgrade: x").upgrade
    assert not head("GET / HTTP/1.1\nHost: a\nConnection: upgrade").upgrade
    assert not head("GET / HTTP/1.0\nHost: a\nConnection: upgrade\nUpgrade: x").upgrade


def test_beginning_of_a_head_is_waited_with_unless_it_is_hopeless() -> None:
    whole = b"GET /function/echo HTTP/1.1\r\nHost: a\r\n"
    for end in range(len(whole)):
        check_incomplete(whole[:end])

    for hopeless in (b"\n", b"GET / HTTP/1.1\n", b"GET / HTTP/1.1\r\nHost: a\rb", b"\0"):
        with pytest.raises(Malformed):
            check_incomplete(hopeless)


plain_lines = st.lists(
    st.sampled_from(
        [
            *("Host: a", "host: b:80", "HOST: c", "Host: a b", "Host:"),
            *("Content-Length: 5", "content-length:7", "Content-Length: 5 ", "Content-Length: +5", "CONTENT-LENGTH: 1"),
            *("Connection: keep-alive", "connection: keep-alive", "Connection:keep-alive", "Connection: Keep-Alive"),
            *("Connection: keep-alive ", "Connection: close", "Connection: x", "Keep-Alive: keep-alive"),
            *("X-A: \tConnection: keep-alive", "X-B:", "Accept: */*"),
        ]
    ),
    max_size=5,
)


@given(lines=plain_lines)
@settings(max_examples=1000)
def test_quick_way_through_a_request_head_decides_like_the_thorough_one(lines: list[str]) -> None:
    text = "".join(f"\r\n{line}" for line in lines).encode()

    def thorough() -> tuple[RequestHead, bytes]:
        parsed = request._parse_named(b"GET", b"/", text, request._NAMED.findall(text), http11=True)
        return parsed, forwarded_fields(parsed)

    def quick() -> tuple[RequestHead, bytes]:
        parsed = parse_request(b"GET / HTTP/1.1" + text)
        return parsed._replace(plain=False), forwarded_fields(parsed)

    assert outcome_of(quick) == outcome_of(thorough)


@given(lines=plain_lines)
@settings(max_examples=1000)
def test_quick_way_through_a_response_head_decides_like_the_thorough_one(lines: list[str]) -> None:
    text = "".join(f"\r\n{line}" for line in lines).encode()

    def thorough() -> ResponseHead:
        return response._parse_named(200, b"200 OK", text, response._NAMED.findall(text), http11=True)

    assert outcome_of(lambda: parse_response(b"HTTP/1.1 200 OK" + text)) == outcome_of(thorough)


def outcome_of(parse: Callable[[], object]) -> object:
    try:
        return parse()
    except Malformed as error:
        return str(error)


# Response heads.


@pytest.mark.parametrize(
    ("head_", "length"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 5", 5, id="a length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", CHUNKED, id="chunked"),
        pytest.param(b"HTTP/1.1 200 OK", UNTIL_CLOSE, id="until close"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX-Call-Id: 12345678", UNTIL_CLOSE, id="another name of interest"),
    ],
)
def test_response_length_is_read(head_: bytes, length: int) -> None:
    assert parse_response(head_).length == length


def test_responses_to_head_and_some_statuses_have_no_body() -> None:
    assert has_no_body(b"HEAD", 200)
    assert has_no_body(b"GET", 204)
    assert has_no_body(b"GET", 304)
    assert not has_no_body(b"GET", 200)
    assert not has_no_body(b"POST", 404)


# Bodies.


@given(
    pieces=st.lists(st.binary(min_size=1, max_size=50), max_size=8),
    trailers=fields,
    behind=st.binary(max_size=20),
    cuts=st.lists(st.integers(0, 10_000), max_size=12),
    extension=st.sampled_from([b"", b";a", b';a="b c"', b"; x=y;z"]),
)
@settings(max_examples=300)
def test_chunked_body_in_any_fragmentation_is_the_payload(
    pieces: list[bytes], trailers: list[tuple[str, str]], behind: bytes, cuts: list[int], extension: bytes
) -> None:
    allowed = [(name, value) for name, value in trailers if name.lower() != "authorization"]
    lines = "".join(f"\r\n{name}: {value}" for name, value in allowed).encode()
    encoded = b"".join(b"%X%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces) + last_chunk(lines)
    body = ChunkedBody()
    payload = rest = b""

    for fragment in fragments(encoded + behind, cuts):
        if body.done:
            rest += fragment
        else:
            more, rest = body.feed(fragment)
            payload += more

    assert body.done
    assert payload == b"".join(pieces)
    assert body.trailers == lines
    assert rest == behind


@given(data=st.binary(max_size=80), cuts=st.lists(st.integers(0, 100), max_size=5))
@settings(max_examples=500)
def test_any_bytes_are_chunks_or_malformed_however_they_are_cut(data: bytes, cuts: list[int]) -> None:
    def outcome(parts: list[bytes]) -> tuple[bool, bytes]:
        body = ChunkedBody()
        payload = b""
        try:
            for part in parts:
                if not body.done:
                    payload += body.feed(part)[0]
        except Malformed:
            return False, b""
        return body.done, payload

    whole, cut = outcome([data]), outcome(fragments(data, cuts))

    assert whole == cut


@given(length=st.integers(0, 60), data=st.binary(max_size=80), cuts=st.lists(st.integers(0, 100), max_size=5))
def test_body_of_known_length_ends_there(length: int, data: bytes, cuts: list[int]) -> None:
    body = LengthBody(length)
    payload = rest = b""
    for fragment in fragments(data, cuts):
        if body.done:
            rest += fragment
        else:
            more, rest = body.feed(fragment)
            payload += more

    assert payload == data[:length]
    assert body.done == (len(data) >= length)
    assert rest == data[length:]


def test_body_without_length_has_no_end_of_its_own() -> None:
    body = body_of(UNTIL_CLOSE)
    assert isinstance(body, BodyUntilClose)

    assert body.feed(b"abc") == (b"abc", b"")
    assert not body.done


def test_empty_payload_is_no_chunk_because_that_would_end_the_body() -> None:
    assert chunk(b"") == b""
    assert chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
    assert last_chunk() == b"0\r\n\r\n"
