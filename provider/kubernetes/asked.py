"""One small request to a pod; without a client library, for starting pods are asked every few milliseconds."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

CONNECT_S, ANSWER_S = 0.1, 1.0
"""A connection that is not there at once is tried anew: its first packet may have come before the pod's network did."""

MAX_ANSWER_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes


async def ask(
    host: str, port: int, path: str, *, connect_s: float = CONNECT_S, answer_s: float = ANSWER_S
) -> Answer | None:
    """None for whatever is no answer in time."""
    try:
        async with asyncio.timeout(connect_s):
            reader, writer = await asyncio.open_connection(host, port)
        try:
            authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n".encode())
            async with asyncio.timeout(answer_s):
                return _answer(await _read(reader))
        finally:
            writer.close()
    except (OSError, TimeoutError):
        return None


async def _read(reader: asyncio.StreamReader) -> bytes:
    data = b""
    while len(data) < MAX_ANSWER_BYTES and (more := await reader.read(MAX_ANSWER_BYTES)):
        data += more
    return data


def _answer(data: bytes) -> Answer | None:
    head, _, body = data.partition(b"\r\n\r\n")
    words = head.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        return None
    return Answer(int(words[1]), body)
