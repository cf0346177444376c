"""Request heads: from bytes to a RequestHead, or Malformed."""

from __future__ import annotations

import re
from typing import NamedTuple

from .fields import (
    CHUNKED,
    LINES,
    TOKEN,
    Malformed,
    check_chunked,
    check_incomplete,
    explained,
    fields_of,
    length_of,
    tokens,
)

MAX_REQUEST_LINE_BYTES = 16 * 1024

_HEAD = re.compile(rb"(" + TOKEN + rb"+) ([\x21\x22\x24-\x7e\x80-\xff]+) HTTP/1\.([01])(" + LINES + rb")")
_LINE = re.compile(rb"(" + TOKEN + rb"+) ([\x21\x22\x24-\x7e\x80-\xff]+) HTTP/(\d)\.(\d)")
_LOOKED_AT = frozenset({b"host", b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"expect"})
_HOST = re.compile(rb"[0-9A-Za-z._~!$&'()*+,;=%\-\[\]:]*")
_ABSOLUTE = re.compile(rb"(?i)https?://([^/?]*)(.*)", re.DOTALL)


class RequestHead(NamedTuple):
    """A checked request head. ``target`` is a path with its query, ``headers`` are all there were."""

    method: str
    target: bytes
    headers: list[tuple[bytes, bytes]]
    http11: bool
    keep_alive: bool
    length: int = 0
    """Bytes of body, or CHUNKED."""
    upgrade: bytes = b""
    """The protocols that the client would rather speak."""
    expects_continue: bool = False


def parse_request(head: bytes) -> RequestHead:
    """Parse a head without its final empty line. Raises Malformed."""
    match = _HEAD.fullmatch(head)
    if match is None:
        raise _explained(head)
    method, target, minor, lines = match.groups()
    if len(target) > MAX_REQUEST_LINE_BYTES:
        raise Malformed("the request line is too long", 414)
    headers = fields_of(lines)
    found: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        if name in _LOOKED_AT:
            found.setdefault(name, []).append(value)
    return _framed(method.decode("ascii"), target, headers, found, http11=minor == b"1")


def check_incomplete_request(data: bytes, seen: int) -> None:
    """Raise Malformed for what can be no beginning of a head. The first ``seen`` bytes passed before."""
    line_end = data.find(b"\r\n", 0, MAX_REQUEST_LINE_BYTES)
    if line_end < 0 and len(data) > MAX_REQUEST_LINE_BYTES:
        raise Malformed("the request line is too long", 414)
    check_incomplete(data, seen)


def _framed(
    method: str, target: bytes, headers: list[tuple[bytes, bytes]], found: dict[bytes, list[bytes]], *, http11: bool
) -> RequestHead:
    hosts = found.pop(b"host", [])
    if len(hosts) > 1 or (http11 and not hosts):
        raise Malformed("exactly one Host header is needed")
    if hosts and not _HOST.fullmatch(hosts[0]):
        raise Malformed("Host is not a host name")
    if target[0] != 0x2F:
        target = _origin_form(target, hosts[0] if hosts else b"")
    if not found:
        return RequestHead(method, target, headers, http11, http11)
    length = _length(found, http11=http11)
    connection = tokens(found.get(b"connection", ()))
    upgrade = b""
    if http11 and length == 0 and b"upgrade" in connection:
        upgrade = _offered(found.get(b"upgrade", []))
    return RequestHead(
        method,
        target,
        headers,
        http11,
        http11 and b"close" not in connection,
        length,
        upgrade,
        _expects_continue(found) and http11 and length != 0,
    )


def _length(found: dict[bytes, list[bytes]], *, http11: bool) -> int:
    if b"transfer-encoding" in found:
        if b"content-length" in found:
            raise Malformed("both Content-Length and Transfer-Encoding")
        if not http11:
            raise Malformed("Transfer-Encoding in an HTTP/1.0 request")
        check_chunked(found[b"transfer-encoding"])
        return CHUNKED
    return length_of(found[b"content-length"]) if b"content-length" in found else 0


def _offered(values: list[bytes]) -> bytes:
    """Ignoring an offer is always right (RFC 9110, 7.8), and HTTP/2 is not spoken here."""
    offered = [protocol.strip() for value in values for protocol in value.split(b",")]
    return b", ".join(protocol for protocol in offered if protocol and protocol.lower() not in (b"h2c", b"h2"))


def _expects_continue(found: dict[bytes, list[bytes]]) -> bool:
    if b"expect" not in found:
        return False
    if tokens(found[b"expect"]) != [b"100-continue"]:
        raise Malformed("an expectation other than 100-continue", 417)
    return True


def _origin_form(target: bytes, host: bytes) -> bytes:
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise Malformed("the request target must be a path")
    if absolute[1].lower() != host.lower():
        raise Malformed("the request target names another host than the Host header")
    return absolute[2] if absolute[2].startswith(b"/") else b"/" + absolute[2]


def _explained(head: bytes) -> Malformed:
    line, _, rest = head.partition(b"\r\n")
    match = _LINE.fullmatch(line)
    if match is None:
        return Malformed("not an HTTP request line")
    if match[3] != b"1":
        return Malformed("only HTTP/1.1 and HTTP/1.0 are spoken here", 505)
    return Malformed(explained(b"\r\n" + rest))
