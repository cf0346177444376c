"""One small HTTP request to a replica; by hand, for starting replicas are asked every few milliseconds."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from springtide.runtime import bounded_json

READY_PATH, HEALTH_PATH = "/_/ready", "/_/health"
"""What watchdogs answer about themselves."""

CONNECT_S, ANSWER_S = 0.1, 1.0
"""A connection that is not there at once is tried anew: its first packet may have come before the pod's network did."""

MAX_ANSWER_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    status: int
    body: bytes

    @property
    def in_flight(self) -> int | None:
        """The calls in flight, which our own watchdog says beside being ready; None when it is another's."""
        try:
            return int(bounded_json.loads(self.body)["inflight"])
        except (ValueError, TypeError, KeyError):
            return None


async def probe(
    host: str, port: int, path: str, *, connect_s: float = CONNECT_S, answer_s: float = ANSWER_S
) -> ProbeAnswer | None:
    """``GET path``. None for whatever is no answer in time; never raises for what a replica does or does not do."""
    try:
        return await fetch(host, port, path, connect_s=connect_s, answer_s=answer_s)
    except (OSError, TimeoutError):
        return None


async def fetch(
    host: str, port: int, path: str, *, connect_s: float | None = None, answer_s: float | None = None
) -> ProbeAnswer | None:
    """``GET path``. None for what is no HTTP; raises OSError or TimeoutError when nothing comes."""
    async with asyncio.timeout(connect_s):
        reader, writer = await asyncio.open_connection(host, port)
    try:
        if writer.is_closing():  # Closed as soon as it was accepted; uvloop's transports refuse to be written to then.
            raise ConnectionResetError("the connection was closed at once")
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n".encode())
        async with asyncio.timeout(answer_s):
            return _parse(await _read(reader))
    finally:
        writer.close()


async def _read(reader: asyncio.StreamReader) -> bytes:
    data = b""
    while len(data) < MAX_ANSWER_BYTES and (more := await reader.read(MAX_ANSWER_BYTES)):
        data += more
    return data


def _parse(data: bytes) -> ProbeAnswer | None:
    head, _, body = data.partition(b"\r\n\r\n")
    words = head.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        return None
    return ProbeAnswer(int(words[1]), body)
