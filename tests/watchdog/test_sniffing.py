"""Content types by the first bytes: the same as Go's server gives where nobody names one."""

from __future__ import annotations

import pytest

from springtide.watchdog.sniffing import content_type_of

TEXT = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        pytest.param(b"", TEXT, id="nothing"),
        pytest.param(b"hello", TEXT, id="text"),
        pytest.param("grüße ✓".encode(), TEXT, id="text beyond ASCII"),
        pytest.param(b'{"a": 1}', TEXT, id="JSON, which is text"),
        pytest.param(b"\x1b[31mred", TEXT, id="colours of a terminal"),
        pytest.param(b"a\x00b", "application/octet-stream", id="a NUL"),
        pytest.param(b"\x01\x02\x03", "application/octet-stream", id="bytes"),
        pytest.param(b"x" * 600 + b"\0", TEXT, id="a NUL too late"),
        pytest.param(b"<!DOCTYPE html>\n<p>", HTML, id="a page"),
        pytest.param(b"\n\t <hTmL>", HTML, id="a page behind white space, in mixed case"),
        pytest.param(b"<h1 class=x>", HTML, id="a heading"),
        pytest.param(b"<p>hi", HTML, id="a paragraph"),
        pytest.param(b"<a href=x>", HTML, id="a link"),
        pytest.param(b"<!-- x -->", HTML, id="a comment"),
        pytest.param(b"<!--x-->", TEXT, id="a comment that does not end its tag"),
        pytest.param(b"<br/>", TEXT, id="a tag that ends in a slash"),
        pytest.param(b"<path>", TEXT, id="another tag"),
        pytest.param(b"<?xml version='1.0'?>", "text/xml; charset=utf-8", id="XML"),
        pytest.param(b"%PDF-1.7", "application/pdf", id="PDF"),
        pytest.param(b"%!PS-Adobe-3.0", "application/postscript", id="PostScript"),
        pytest.param(b"\xef\xbb\xbfhi", TEXT, id="a mark of UTF-8"),
        pytest.param(b"\xfe\xff\0h", "text/plain; charset=utf-16be", id="a mark of UTF-16"),
        pytest.param(b"\xff\xfeh\0", "text/plain; charset=utf-16le", id="a mark of UTF-16, little end first"),
        pytest.param(b"\x89PNG\r\n\x1a\n\0\0", "image/png", id="PNG"),
        pytest.param(b"\xff\xd8\xff\xe0", "image/jpeg", id="JPEG"),
        pytest.param(b"GIF89a", "image/gif", id="GIF"),
        pytest.param(b"BM\0\0", "image/bmp", id="BMP"),
        pytest.param(b"RIFF\1\2\3\4WEBPVP8 ", "image/webp", id="WebP"),
        pytest.param(b"RIFF\1\2\3\4WAVEfmt ", "audio/wave", id="WAVE"),
        pytest.param(b"RIFF\1\2\3\4AVI ", "video/avi", id="AVI"),
        pytest.param(b"RIFF\1\2\3\4XXXX", "application/octet-stream", id="RIFF of another kind"),
        pytest.param(b"\0\0\1\0\1\0", "image/x-icon", id="an icon"),
        pytest.param(b"ID3\3", "audio/mpeg", id="MP3"),
        pytest.param(b"OggS\0\2", "application/ogg", id="Ogg"),
        pytest.param(b"MThd\0\0\0\6\0", "audio/midi", id="MIDI"),
        pytest.param(b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "video/mp4", id="MP4"),
        pytest.param(b"\0\0\0\x18ftypisom\0\0\0\0avc1iso2", "application/octet-stream", id="a box of another brand"),
        pytest.param(b"\x1aE\xdf\xa3", "video/webm", id="WebM"),
        pytest.param(b"wOFF\0", "font/woff", id="WOFF"),
        pytest.param(b"wOF2\0", "font/woff2", id="WOFF 2"),
        pytest.param(b"OTTO\0", "font/otf", id="OpenType"),
        pytest.param(b"\x1f\x8b\x08\0", "application/x-gzip", id="gzip"),
        pytest.param(b"PK\3\4\n", "application/zip", id="ZIP"),
        pytest.param(b"\0asm\1\0\0\0", "application/wasm", id="WebAssembly"),
    ],
)
def test_content_is_told_by_its_first_bytes(data: bytes, kind: str) -> None:
    assert content_type_of(data) == kind
