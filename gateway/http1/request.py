"""Request heads: from bytes to a RequestHead, or Malformed."""

from __future__ import annotations

import re
from typing import NamedTuple

from springtide.gateway.http1.fields import (
    CHUNKED,
    LINES,
    STRAY,
    TOKEN,
    Malformed,
    by_name,
    drop_named,
    dropper,
    is_chunked,
    length_of,
    named,
    tokens,
    without_keep_alive,
)
from springtide.runtime.http_headers import HOP_BY_HOP

MAX_REQUEST_LINE_BYTES = 16 * 1024
MAX_HEAD_BYTES = 64 * 1024

_HEAD = re.compile(rb"(" + TOKEN + rb"++) ([\x21\x22\x24-\x7e\x80-\xff]++) HTTP/1\.([01])(" + LINES + rb")")
_NAMED = named(
    *HOP_BY_HOP,
    b"content-length",
    b"expect",
    b"host",
    b"http2-settings",
    b"x-call-id",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-proto",
    b"x-start-time",
    b"x-timeout",
)
_EMPTY = re.compile(rb"(?i)\r\n(?:host|x-call-id):[ \t]*(?=\r|\Z)")
"""As good as absent; we write our own."""

_DROPPED = dropper(*HOP_BY_HOP, b"expect", b"http2-settings", b"x-forwarded-for", b"x-start-time")
_PLAIN = {
    name: kind
    for spelling, kind in ((b"Host", b"h"), (b"Content-Length", b"l"), (b"Connection", b"c"))
    for name in (spelling, spelling.lower())
}
_HOST = re.compile(rb"[0-9A-Za-z._~!$&'()*+,;=%\-\[\]:]*")
_ABSOLUTE = re.compile(rb"(?i)https?://([^/?]*)(.*)", re.DOTALL)
_VERSION = re.compile(rb" HTTP/(\d)\.(\d)$")


class RequestHead(NamedTuple):
    """A checked request head. ``fields`` are the client's lines, without those that are meant for one hop only."""

    method: bytes
    target: bytes
    fields: bytes
    host: bytes
    http11: bool = True
    keep_alive: bool = True
    length: int = 0
    """Bytes of body, or CHUNKED."""
    call_id: bytes = b""
    forwarded_for: bytes = b""
    forwarded_host: bool = False
    forwarded_proto: bool = False
    """A proxy before us has said which host and which protocol its client used."""
    timeout: bytes = b""
    """The caller's X-Timeout as written."""
    upgrade: bytes = b""
    """The protocols the client would rather speak."""
    expects_continue: bool = False
    plain: bool = False
    """A host, a body's length and nothing else that this hop has to look at."""


def parse_request(head: bytes) -> RequestHead:
    """Parse a head without its final empty line. Raises Malformed."""
    match = _HEAD.fullmatch(head)
    if match is None:
        raise _explained(head)
    method, target, minor, fields = match.groups()
    found = _NAMED.findall(fields)
    if minor == b"1" and target[0] == 0x2F and len(found) <= 3:
        plain = _parse_plain(method, target, fields, found)
        if plain is not None:
            return plain
    return _parse_named(method, target, fields, found, http11=minor == b"1")


def _parse_plain(method: bytes, target: bytes, fields: bytes, found: list[tuple[bytes, bytes]]) -> RequestHead | None:
    """Most callers' heads: a host, perhaps a length, perhaps ``Connection: keep-alive``, each once; else None.

    Nothing here decides differently from ``_parse_named``; it is only quicker.
    """
    host: bytes | None = None
    length = 0
    seen = b""
    for name, value in found:
        kind = _PLAIN.get(name, b"-")
        if kind in seen:
            return None
        seen += kind
        if kind == b"h":
            host = value
        elif kind == b"l":
            if not value.isdigit() or len(value) > 18:
                return None
            length = int(value)
        elif kind == b"c" and value == b"keep-alive":
            shorter = without_keep_alive(fields, name)
            if len(shorter) == len(fields):
                return None
            fields = shorter
        else:
            return None
    if not host or not _HOST.fullmatch(host):
        return None
    return RequestHead(method, target, fields, host, length=length, plain=True)


def check_incomplete(data: bytes, seen: int = 0) -> None:
    """Raise Malformed for what can be no beginning of a head, or for one that is too long already.

    The first ``seen`` bytes passed before.
    """
    line_end = data.find(b"\r\n")
    if (line_end if line_end >= 0 else len(data)) > MAX_REQUEST_LINE_BYTES:
        raise Malformed("the request line is too long", 414)
    if len(data) > MAX_HEAD_BYTES:
        raise Malformed("the request's headers are too large", 431)
    if STRAY.search(data, max(0, seen - 1)):
        raise Malformed("a line that does not end in CRLF, or a NUL byte")


def _parse_named(
    method: bytes, target: bytes, fields: bytes, found: list[tuple[bytes, bytes]], *, http11: bool
) -> RequestHead:
    values = by_name(found)
    host = _host(values, http11=http11)
    connection = tokens(values.get(b"connection", ()))
    length = _length(values, http11=http11)
    upgrade = _upgrade(values) if http11 and b"upgrade" in connection else b""
    expects_continue = _expects_continue(values) and http11 and length != 0
    kept = _DROPPED.sub(b"", fields)
    kept = drop_named(kept, connection)
    call_id = next(filter(None, values.get(b"x-call-id", ())), b"")
    if not call_id or not host:
        kept = _EMPTY.sub(b"", kept)
    return RequestHead(
        method,
        _origin_form(target, host),
        kept,
        host,
        http11,
        b"close" not in connection and (http11 or b"keep-alive" in connection),
        length,
        call_id,
        b", ".join(values.get(b"x-forwarded-for", ())),
        b"x-forwarded-host" in values,
        b"x-forwarded-proto" in values,
        values.get(b"x-timeout", (b"",))[0],
        upgrade,
        expects_continue,
    )


def _upgrade(values: dict[bytes, list[bytes]]) -> bytes:
    """The protocols that whoever answers may switch to. Ignoring an offer is always right (RFC 9110, 7.8).

    HTTP/2 is not among them: what comes after such a switch would pass by everything that is checked and counted here.
    """
    offered = [protocol.strip() for value in values.get(b"upgrade", ()) for protocol in value.split(b",")]
    return b", ".join(protocol for protocol in offered if protocol and protocol.lower() not in (b"h2c", b"h2"))


def _host(values: dict[bytes, list[bytes]], *, http11: bool) -> bytes:
    hosts = values.get(b"host", [])
    if len(hosts) > 1 or (http11 and not hosts):
        raise Malformed("exactly one Host header is needed")
    return _checked_host(hosts[0]) if hosts else b""


def _checked_host(value: bytes) -> bytes:
    host = value.rstrip(b" \t")
    if not _HOST.fullmatch(host):
        raise Malformed("Host is not a host name")
    return host


def _length(values: dict[bytes, list[bytes]], *, http11: bool) -> int:
    if b"transfer-encoding" in values:
        if b"content-length" in values:
            raise Malformed("both Content-Length and Transfer-Encoding")
        if not http11:
            raise Malformed("Transfer-Encoding in an HTTP/1.0 request")
        is_chunked(values[b"transfer-encoding"])
        return CHUNKED
    return length_of(values[b"content-length"]) if b"content-length" in values else 0


def _expects_continue(values: dict[bytes, list[bytes]]) -> bool:
    if b"expect" not in values:
        return False
    if tokens(values[b"expect"]) != [b"100-continue"]:
        raise Malformed("an expectation other than 100-continue", 417)
    return True


def _origin_form(target: bytes, host: bytes) -> bytes:
    if target[0] == 0x2F:
        return target
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise Malformed("the request target must be a path")
    if absolute[1].lower() != host.lower():
        raise Malformed("the request target names another host than the Host header")
    return absolute[2] if absolute[2].startswith(b"/") else b"/" + absolute[2]


def _explained(head: bytes) -> Malformed:
    """Why a head does not match the grammar, as well as can be told."""
    if STRAY.search(head):
        return Malformed("a line that does not end in CRLF, or a NUL byte")
    line, _, rest = head.partition(b"\r\n")
    version = _VERSION.search(line)
    if version is not None and version[1] != b"1":
        return Malformed("only HTTP/1.1 and HTTP/1.0 are spoken here", 505)
    if rest.startswith((b" ", b"\t")) or b"\r\n " in rest or b"\r\n\t" in rest:
        return Malformed("a folded header line")
    if not _HEAD.fullmatch(line):
        return Malformed("not an HTTP request line")
    return Malformed("not a header line")
