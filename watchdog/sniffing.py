"""What content looks like, by its first bytes: the types that Go's ``http.DetectContentType`` tells apart.

Source: the MIME Sniffing standard of the WHATWG (https://mimesniff.spec.whatwg.org), sections 6 and 7, which Go
follows. What is text is told from what is binary by bytes that no text has.
"""

from __future__ import annotations

import re
from typing import NamedTuple

SNIFFED_BYTES = 512
TEXT = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"
BINARY = "application/octet-stream"

_SPACE = b"\t\n\x0c\r "
_TAGS = (
    *(b"<!DOCTYPE HTML", b"<HTML", b"<HEAD", b"<SCRIPT", b"<IFRAME", b"<H1", b"<DIV", b"<FONT", b"<TABLE", b"<A"),
    *(b"<STYLE", b"<TITLE", b"<B", b"<BODY", b"<BR", b"<P", b"<!--"),
)
_HTML = re.compile(rb"(?i)(?:" + b"|".join(map(re.escape, _TAGS)) + rb")[ >]")
_BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")


class _Signature(NamedTuple):
    """Bytes at the beginning, those under a zero of the mask excepted."""

    pattern: bytes
    kind: str
    mask: bytes = b""

    def matches(self, data: bytes) -> bool:
        if not self.mask:
            return data.startswith(self.pattern)
        return len(data) >= len(self.pattern) and all(
            byte & mask == wanted for byte, mask, wanted in zip(data, self.mask, self.pattern)
        )


def _chunked_file(form: bytes, inner: bytes, kind: str) -> _Signature:
    """RIFF and IFF: a form, a length of any value, and what is inside."""
    return _Signature(form + b"\0\0\0\0" + inner, kind, b"\xff" * 4 + b"\0" * 4 + b"\xff" * len(inner))


_SIGNATURES = (
    _Signature(b"%PDF-", "application/pdf"),
    _Signature(b"%!PS-Adobe-", "application/postscript"),
    _Signature(b"\xfe\xff\0\0", "text/plain; charset=utf-16be", b"\xff\xff\0\0"),
    _Signature(b"\xff\xfe\0\0", "text/plain; charset=utf-16le", b"\xff\xff\0\0"),
    _Signature(b"\xef\xbb\xbf\0", TEXT, b"\xff\xff\xff\0"),
    _Signature(b"\0\0\1\0", "image/x-icon"),
    _Signature(b"\0\0\2\0", "image/x-icon"),
    _Signature(b"BM", "image/bmp"),
    _Signature(b"GIF87a", "image/gif"),
    _Signature(b"GIF89a", "image/gif"),
    _chunked_file(b"RIFF", b"WEBPVP", "image/webp"),
    _Signature(b"\x89PNG\r\n\x1a\n", "image/png"),
    _Signature(b"\xff\xd8\xff", "image/jpeg"),
    _chunked_file(b"FORM", b"AIFF", "audio/aiff"),
    _Signature(b"ID3", "audio/mpeg"),
    _Signature(b"OggS\0", "application/ogg"),
    _Signature(b"MThd\0\0\0\6", "audio/midi"),
    _chunked_file(b"RIFF", b"AVI ", "video/avi"),
    _chunked_file(b"RIFF", b"WAVE", "audio/wave"),
)
_LATER_SIGNATURES = (
    _Signature(b"\x1aE\xdf\xa3", "video/webm"),
    _Signature(b"\0" * 34 + b"LP", "application/vnd.ms-fontobject", b"\0" * 34 + b"\xff\xff"),
    _Signature(b"\0\1\0\0", "font/ttf"),
    _Signature(b"OTTO", "font/otf"),
    _Signature(b"ttcf", "font/collection"),
    _Signature(b"wOFF", "font/woff"),
    _Signature(b"wOF2", "font/woff2"),
    _Signature(b"\x1f\x8b\x08", "application/x-gzip"),
    _Signature(b"PK\3\4", "application/zip"),
    _Signature(b"Rar!\x1a\x07\0", "application/x-rar-compressed"),
    _Signature(b"Rar!\x1a\x07\1\0", "application/x-rar-compressed"),
    _Signature(b"\0asm", "application/wasm"),
)


def content_type_of(data: bytes) -> str:
    """Always a type: text, or ``application/octet-stream``, where nothing better is known."""
    data = data[:SNIFFED_BYTES]
    words = data.lstrip(_SPACE)
    if _HTML.match(words):
        return HTML
    if words.startswith(b"<?xml"):
        return "text/xml; charset=utf-8"
    for signature in _SIGNATURES:
        if signature.matches(data):
            return signature.kind
    if _is_mp4(data):
        return "video/mp4"
    for signature in _LATER_SIGNATURES:
        if signature.matches(data):
            return signature.kind
    return BINARY if _BINARY.search(data) else TEXT


def _is_mp4(data: bytes) -> bool:
    """Its first box is of type ``ftyp`` and lists a brand of the MP4 family; the version behind the first is none."""
    size = int.from_bytes(data[:4], "big")
    if len(data) < 12 or size % 4 or len(data) < size or data[4:8] != b"ftyp":
        return False
    return any(data[at : at + 3] == b"mp4" for at in range(8, size, 4) if at != 12)
