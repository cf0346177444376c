"""A stream of bytes as lines, with a bound on how long one may be, and JSON either way."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterable
from typing import Any

from springtide.runtime import bounded_json
from springtide.runtime.errors import Unavailable

MAX_LINE_BYTES = 16 * 1024 * 1024
"""An object is at most 1.5 MiB in etcd and a few times that as JSON."""

MAX_LOG_LINE_BYTES = 256 * 1024


async def split(chunks: AsyncIterable[bytes], what: str, *, cut: bool = False) -> AsyncGenerator[bytes, None]:
    """Each line without its end; an unfinished last one too. A line beyond the bound is an error, or with ``cut``
    loses its tail."""
    max_bytes = MAX_LOG_LINE_BYTES if cut else MAX_LINE_BYTES
    held = bytearray()
    async for chunk in chunks:
        *whole, rest = chunk.split(b"\n")
        for part in whole:
            held += part
            if held:
                yield bytes(held[:max_bytes])
            held.clear()
        held += rest
        if len(held) > max_bytes:
            if not cut:
                raise Unavailable(f"{what}: a line of more than {max_bytes} bytes")
            del held[max_bytes:]
    if held:
        yield bytes(held)


def decoded(line: bytes, what: str) -> Any:
    try:
        value = bounded_json.loads(line)
    except ValueError as error:
        raise Unavailable(f"{what}: not JSON: {line[:200]!r}") from error
    if not isinstance(value, dict):
        raise Unavailable(f"{what}: not a JSON object: {line[:200]!r}")
    return value


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()
