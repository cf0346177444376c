"""Bodies too large for a message, in JetStream's object store, written and read as a stream.

The client's own ``put`` and ``get`` hold the whole, or read files; this writes what they write (ADR-20 of NATS): chunks
under a subject of their own, then one message that names them.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime

from nats.js.api import Header

from springtide.runtime.errors import NotFound, SpringtideError
from springtide.wire.jobs import names
from springtide.wire.jobs.job import StoredBody
from springtide.wire.jobs.nats.connection import Connection, translated
from springtide.wire.jobs.nats.streams import Streams

CHUNK_BYTES = 128 * 1024
"""The object store's own default."""


class Bodies:
    def __init__(self, connection: Connection, streams: Streams) -> None:
        self._connection = connection
        self._streams = streams

    def __repr__(self) -> str:
        return f"<Bodies over {self._connection!r}>"

    async def store(self, name: str, pieces: AsyncIterator[bytes]) -> StoredBody:
        """Raises what ``pieces`` raises, and then nothing is kept; TooMany when there is no room."""
        stream, digest, size, count = await self._streams.bodies(), hashlib.sha256(), 0, 0
        subject = _chunks(name)
        try:
            async for chunk in _chunked(pieces):
                await self._publish(stream, subject, chunk)
                digest.update(chunk)
                size, count = size + len(chunk), count + 1
            info = {
                "name": name,
                "bucket": names.BODIES,
                "nuid": name,
                "size": size,
                "chunks": count,
                "digest": "SHA-256=" + base64.urlsafe_b64encode(digest.digest()).decode(),
                "mtime": datetime.now(UTC).isoformat(),
                "options": {"max_chunk_size": CHUNK_BYTES},
            }
            await self._publish(stream, _meta(name), json.dumps(info).encode(), {Header.ROLLUP: "sub"})
        except BaseException:
            with contextlib.suppress(SpringtideError):
                await self.discard(name)
            raise
        return StoredBody(name, size)

    async def read(self, body: StoredBody) -> AsyncGenerator[bytes]:
        """Raises NotFound where it, or a part of it, is gone."""
        stream, sequence, left = await self._streams.bodies(), 1, body.size
        while left > 0:
            async with translated(f"the stored body {body.name}"):
                jetstream = await self._connection.jetstream()
                found = await jetstream.get_msg(
                    stream, seq=sequence, subject=_chunks(body.name), next=True, direct=True
                )
            chunk = found.data or b""
            assert found.seq is not None
            sequence, left = found.seq + 1, left - len(chunk)
            if not chunk or left < 0:
                raise NotFound(f"the stored body {body.name} is damaged: it is not {body.size} bytes long")
            yield chunk

    async def discard(self, name: str) -> None:
        stream = await self._streams.bodies()
        async with translated("removing a body"):
            jetstream = await self._connection.jetstream()
            for subject in (_meta(name), _chunks(name)):
                await jetstream.purge_stream(stream, subject=subject)

    async def _publish(self, stream: str, subject: str, payload: bytes, headers: dict[str, str] | None = None) -> None:
        async with translated("storing a body"):
            jetstream = await self._connection.jetstream()
            await jetstream.publish(subject, payload, stream=stream, headers=headers)


def _chunks(name: str) -> str:
    return f"$O.{names.BODIES}.C.{name}"


def _meta(name: str) -> str:
    return f"$O.{names.BODIES}.M.{base64.urlsafe_b64encode(name.encode()).decode()}"


async def _chunked(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """The same bytes, ``CHUNK_BYTES`` at a time."""
    waiting = bytearray()
    async for piece in pieces:
        waiting += piece
        while len(waiting) >= CHUNK_BYTES:
            yield bytes(waiting[:CHUNK_BYTES])
            del waiting[:CHUNK_BYTES]
    if waiting:
        yield bytes(waiting)
