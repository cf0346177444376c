"""Heads as they are sent on: the request to a replica, the response to its client, and the header lines that are ours.

Fields that are meant for one hop only were left out by the parsers, which have to look at them in any case (``fields``
says which); those that this hop needs are written here.
"""

from __future__ import annotations

from random import getrandbits

from springtide.gateway.http1.fields import CHUNKED
from springtide.gateway.http1.request import RequestHead
from springtide.gateway.http1.response import ResponseHead


def start_time(wall_s: float) -> bytes:
    """When the call came, in nanoseconds since the epoch, as OpenFaaS has it."""
    return b"\r\nX-Start-Time: %d" % (wall_s * 1e9)


def own_headers(call_id: bytes, wall_s: float) -> bytes:
    """The lines that every response carries, ``start_time`` among them."""
    return b"\r\nX-Call-Id: %b\r\nX-Start-Time: %d" % (call_id, wall_s * 1e9)


def new_call_id() -> bytes:
    """A random (version 4) UUID as text."""
    text = f"{getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}".encode()


def forwarded_fields(head: RequestHead) -> bytes:
    """The client's header lines and this hop's: framing, upgrade, and which host and protocol the client used.

    X-Forwarded-Host and -Proto are left alone where a proxy before us has written them.
    """
    if head.plain:
        return b"%b\r\nX-Forwarded-Host: %b\r\nX-Forwarded-Proto: http" % (head.fields, head.host)
    fields = head.fields
    if head.length == CHUNKED:
        fields += b"\r\nTransfer-Encoding: chunked"
    if head.expects_continue:
        fields += b"\r\nExpect: 100-continue"
    if head.upgrade:
        fields += b"\r\nConnection: Upgrade\r\nUpgrade: " + head.upgrade
    if head.host and not head.forwarded_host:
        fields += b"\r\nX-Forwarded-Host: " + head.host
    if not head.forwarded_proto:
        fields += b"\r\nX-Forwarded-Proto: http"
    return fields


def request_head(head: RequestHead, fields: bytes, *, target: bytes, own: bytes, peer: bytes) -> bytes:
    """The request as a replica is sent it, with the client's address last in X-Forwarded-For.

    ``own`` are the lines of ours that a request carries: a call id only where the client sent none.
    """
    return b"%b %b HTTP/1.1%b%b\r\nX-Forwarded-For: %b\r\n\r\n" % (
        head.method,
        target,
        fields,
        own,
        b"%b, %b" % (head.forwarded_for, peer) if head.forwarded_for else peer,
    )


def response_head(
    head: ResponseHead, own: bytes, *, chunked: bool, timing: bytes, http11: bool, keep_alive: bool
) -> bytes:
    """The response as its client is sent it. ``chunked``: its length is not known, and we cut it into chunks.

    ``http11`` is the client's version: of the two, only HTTP/1.1 keeps a connection without being told.
    """
    return b"HTTP/1.1 %b%b%b%b%b%b\r\n\r\n" % (
        head.status_text,
        head.fields,
        own,
        b"\r\nTransfer-Encoding: chunked" if chunked else b"",
        timing,
        b"" if keep_alive and http11 else b"\r\nConnection: keep-alive" if keep_alive else b"\r\nConnection: close",
    )


def interim_head(head: ResponseHead) -> bytes:
    """A 1xx response other than 101."""
    return b"HTTP/1.1 %b%b\r\n\r\n" % (head.status_text, head.fields)


def switching_head(head: ResponseHead, own: bytes) -> bytes:
    """The 101 that opens a tunnel."""
    return b"HTTP/1.1 %b%b%b\r\nConnection: Upgrade\r\nUpgrade: %b\r\n\r\n" % (
        head.status_text,
        head.fields,
        own,
        head.upgrade,
    )
