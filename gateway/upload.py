"""A request's body on its way to a replica: cut out, framed anew, and its beginning kept while it may be sent again."""

from __future__ import annotations

from springtide.gateway.http1.body import ChunkedBody, body_of, chunk, last_chunk


class Upload:
    """``kept`` is what was read so far, as it is sent; once it is forgotten the call cannot be sent again."""

    __slots__ = ("_body", "kept", "kept_bytes", "replayable")

    def __init__(self, length: int, whole: bytes = b"") -> None:
        """``whole`` is the body itself, where all of it is here already."""
        self._body = body_of(length) if not whole else _NOTHING_LEFT
        self.kept = [whole] if whole else []
        self.kept_bytes = len(whole)
        self.replayable = True

    @property
    def done(self) -> bool:
        return self._body.done

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """What to send for ``data``, and what in it lies behind the body. Raises Malformed."""
        body = self._body
        payload, rest = body.feed(data)
        if isinstance(body, ChunkedBody):
            payload = chunk(payload)
            if body.done:
                payload += last_chunk(body.trailers)
        if payload and self.replayable:
            self.kept.append(payload)
            self.kept_bytes += len(payload)
        return payload, rest

    def forget(self) -> None:
        """Keep no more of it: it is too much, or an answer has begun."""
        self.kept = []
        self.kept_bytes = 0
        self.replayable = False


_NOTHING_LEFT = body_of(0)
