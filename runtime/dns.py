"""One name, several copies: a headless Service's name stands for every pod behind it, and each is asked by itself."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit, urlunsplit

from springtide.runtime.errors import Unavailable

MAX_ADDRESSES = 1000


async def resolved_urls(url: str, *, deadline_s: float = 2.0) -> list[str]:
    """The URL once for each address that its host has; as it is when the host is one. Raises Unavailable."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise Unavailable(f"{url} is no URL: {error}") from error
    # With TLS the name is what the certificate is for.
    if parts.scheme != "http" or not host or _is_address(host):
        return [url]
    try:
        async with asyncio.timeout(deadline_s):
            found = await asyncio.get_running_loop().getaddrinfo(host, port or 80, type=socket.SOCK_STREAM)
    except TimeoutError as error:
        raise Unavailable(f"{host} was not resolved within {deadline_s:g} s") from error
    except (OSError, UnicodeError) as error:
        raise Unavailable(f"{host} cannot be resolved: {error}") from error
    addresses = sorted({str(where[0]) for *_, where in found})[:MAX_ADDRESSES]
    return [urlunsplit(parts._replace(netloc=_netloc(address, port))) for address in addresses]


async def all_resolved_urls(urls: Iterable[str], *, deadline_s: float = 2.0) -> list[str]:
    """The same for several, without repetitions. Raises Unavailable when one has none."""
    found = await asyncio.gather(*(resolved_urls(url, deadline_s=deadline_s) for url in urls))
    return list(dict.fromkeys(one for some in found for one in some))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _netloc(address: str, port: int | None) -> str:
    shown = f"[{address}]" if ":" in address else address
    return f"{shown}:{port}" if port is not None else shown
