"""Asking a replica how it is, with one small request; without a client library, for it happens all the time."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

from springtide.runtime import bounded_json

MAX_ANSWER_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Health:
    """``ready`` None: it did not answer in time."""

    ready: bool | None
    in_flight: int = 0


async def probe(host: str, port: int, *, deadline_s: float) -> Health:
    """Never raises for what a replica does or does not do."""
    try:
        async with asyncio.timeout(deadline_s):
            answer = await _ask(host, port)
    except (OSError, TimeoutError):
        return Health(None)
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(None, 2)
    in_flight = 0
    with contextlib.suppress(ValueError, TypeError, KeyError):
        in_flight = int(bounded_json.loads(body)["inflight"])
    # 429 is as ready as it gets: all its places are taken.
    return Health(len(words) > 1 and words[1] in (b"200", b"429"), in_flight)


async def _ask(host: str, port: int) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(b"GET /_/ready HTTP/1.1\r\nHost: replica\r\nConnection: close\r\n\r\n")
        answer = b""
        while (data := await reader.read(MAX_ANSWER_BYTES)) and len(answer) < MAX_ANSWER_BYTES:
            answer += data
        return answer
    finally:
        writer.close()
