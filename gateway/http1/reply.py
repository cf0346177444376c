"""What the gateway answers by itself, as bytes."""

from __future__ import annotations

from http import HTTPStatus


def reply(status: int, text: str | bytes, *, extra: bytes = b"", close: bool = False, head_only: bool = False) -> bytes:
    """A plain-text response. ``extra`` are header lines, each with the CRLF before it.

    Where the function might have answered so itself, it says that it is the gateway's own by the header that OpenFaaS
    uses for this, and that its queue worker repeats such calls for. Bytes are the body as it is, without a line's end.
    """
    body = text if isinstance(text, bytes) else text.encode() + b"\n" if text else b""
    return b"HTTP/1.1 %d %b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d%b%b%b\r\n\r\n%b" % (
        status,
        _phrase(status),
        len(body),
        b"\r\nX-OpenFaaS-Internal: gateway" if status >= 500 or status == 429 else b"",
        extra,
        b"\r\nConnection: close" if close else b"",
        b"" if head_only else body,
    )


def _phrase(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b"Status"
