"""One small HTTP request that asks whether somebody is there; by hand, for some are asked every few milliseconds."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

CONNECT_S, ANSWER_S = 0.1, 1.0
"""A connection that is not there at once is tried anew: its first packet may have come before the network did."""

MAX_ANSWER_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes


async def probe(
    host: str, port: int, path: str, *, connect_s: float = CONNECT_S, answer_s: float = ANSWER_S
) -> Answer | None:
    """``GET path``. None for whatever is no answer in time; never raises for what the other side does or does not."""
    try:
        return await fetch(host, port, path, connect_s=connect_s, answer_s=answer_s)
    except (OSError, TimeoutError):
        return None


async def fetch(
    host: str,
    port: int,
    path: str,
    *,
    connect_s: float | None = None,
    answer_s: float | None = None,
    authorization: str = "",
) -> Answer | None:
    """``GET path`` over a connection of its own. None for what is no HTTP; raises OSError or TimeoutError when nothing
    comes. ``authorization`` is the header's value.
    """
    async with asyncio.timeout(connect_s):
        reader, writer = await asyncio.open_connection(host, port)
    try:
        if writer.is_closing():  # Closed as soon as it was accepted; uvloop's transports refuse to be written to then.
            raise ConnectionResetError("the connection was closed at once")
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        shown = f"Authorization: {authorization}\r\n" if authorization else ""
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {authority}\r\n{shown}Connection: close\r\n\r\n".encode())
        async with asyncio.timeout(answer_s):
            return _parse(await _read(reader))
    finally:
        writer.close()


async def _read(reader: asyncio.StreamReader) -> bytes:
    data = b""
    while len(data) < MAX_ANSWER_BYTES and (more := await reader.read(MAX_ANSWER_BYTES)):
        data += more
    return data


def _parse(data: bytes) -> Answer | None:
    head, _, body = data.partition(b"\r\n\r\n")
    words = head.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        return None
    return Answer(int(words[1]), body)
