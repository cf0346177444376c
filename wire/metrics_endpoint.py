"""Reading what a part tells at its port for metrics: all that was asked for, or nothing, within bounds of time and
size."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlencode

import httpx

from springtide.runtime.errors import Unavailable, reason_of

MAX_BYTES = 64 * 1024 * 1024
"""Ten thousand functions make a third of it."""


@dataclass(frozen=True, slots=True)
class Exposition:
    """``date`` is what the other side's clock said, as HTTP writes it; None when it did not."""

    body: bytes
    date: str | None

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")


async def fetch(http: httpx.AsyncClient, url: str, *, samples: Iterable[str], deadline_s: float) -> Exposition:
    """``samples`` are the names of those wanted; who does not know that question answers with more.

    Raises Unavailable, naming the address and what went wrong.
    """
    asked = f"{url}{'&' if '?' in url else '?'}{urlencode([('name[]', name) for name in samples])}"
    return await read(http, url, asked, deadline_s=deadline_s)


async def read(http: httpx.AsyncClient, url: str, asked: str, *, deadline_s: float) -> Exposition:
    """``asked`` is read, and ``url`` is what it is called. Raises as ``fetch`` does."""
    try:
        async with asyncio.timeout(deadline_s), http.stream("GET", asked, timeout=deadline_s) as response:
            if response.status_code != 200:
                raise Unavailable(f"{url} answered {response.status_code}")
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise Unavailable(f"{url} answered more than {MAX_BYTES} bytes")
            return Exposition(bytes(body), response.headers.get("date"))
    except (TimeoutError, httpx.TimeoutException) as error:
        raise Unavailable(f"{url} did not answer within {deadline_s:g} s") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unavailable(f"{url} cannot be reached: {reason_of(error)}") from error
