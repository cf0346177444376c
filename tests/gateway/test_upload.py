from __future__ import annotations

import pytest

from springtide.gateway.http1.fields import CHUNKED, Malformed
from springtide.gateway.upload import Upload


def test_body_of_known_length_ends_there() -> None:
    upload = Upload(5)

    assert upload.feed(b"hel") == (b"hel", b"")
    assert not upload.done
    assert upload.feed(b"loGET /") == (b"lo", b"GET /")
    assert upload.done
    assert (upload.kept, upload.kept_bytes) == ([b"hel", b"lo"], 5)


def test_chunks_are_framed_anew_and_kept_as_they_are_sent() -> None:
    upload = Upload(CHUNKED)

    sent, rest = upload.feed(b"2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nX-T: 1\r\n\r\nnext")

    assert sent == b"5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n"
    assert rest == b"next"
    assert upload.done
    assert upload.kept == [sent]


def test_forgotten_body_cannot_be_sent_again_and_keeps_nothing_more() -> None:
    upload = Upload(10)
    upload.feed(b"hello")

    upload.forget()
    upload.feed(b"hello")

    assert upload.done
    assert not upload.replayable
    assert (upload.kept, upload.kept_bytes) == ([], 0)


def test_broken_chunk_is_malformed() -> None:
    with pytest.raises(Malformed):
        Upload(CHUNKED).feed(b"zz\r\n")
