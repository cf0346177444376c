"""Which HTTP headers a proxy passes on (RFC 9110, section 7.6.1)."""

from __future__ import annotations

from collections.abc import Collection, Iterable

RawHeaders = list[tuple[bytes, bytes]]

HOP_BY_HOP = (
    b"connection",
    b"keep-alive",
    b"proxy-connection",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
)
"""Meant for the next hop only; each hop writes its own."""

_HOP_BY_HOP = frozenset(HOP_BY_HOP)


def end_to_end(headers: Iterable[tuple[bytes, bytes]], *, without: Collection[bytes] = ()) -> RawHeaders:
    """Those to pass on, with lower-case names: not the ones of a single hop, by rule or because ``Connection`` names
    them, and not those in ``without`` (lower case)."""
    headers = [(name.lower(), value) for name, value in headers]
    named = {word.strip().lower() for name, value in headers if name == b"connection" for word in value.split(b",")}
    return [
        (name, value)
        for name, value in headers
        if name not in _HOP_BY_HOP and name not in named and name not in without
    ]
