"""How a callback is sent: never to an address that is not allowed, whatever its name resolves to, and never on by a
redirect."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpcore
import httpx

from springtide.queue_worker.callback_request import SIGNATURE, signature
from springtide.runtime.errors import BadInput, reason_of
from springtide.runtime.tls import client_context
from springtide.wire.jobs.callback_address import CallbackRules, port_of
from springtide.wire.jobs.job import Answer
from springtide.wire.jobs.ports import CallbackLease

TIMEOUT_S = 30.0
CONNECT_S = 10.0
NAMES_KNOWN_S = 30.0
"""How long the addresses of denied names are believed."""

MAX_READ = 64 * 1024
"""Bytes of its answer."""

_TIMEOUT = httpx.Timeout(TIMEOUT_S, connect=CONNECT_S).as_dict()

SocketOptions = Iterable[Any] | None


class Refused(Exception):
    """The address is not to be called."""


class DeniedNames:
    """The addresses of the hosts that ``rules`` deny by name, such as the suite's own Services: whoever writes such an
    address, or has a name of his own for it, gets no further. Names that lead nowhere deny nothing."""

    def __init__(self, rules: CallbackRules, now: Callable[[], float] = time.monotonic) -> None:
        self._rules = rules
        self._patterns = [pattern for pattern in rules.denied if pattern.resolvable]
        self._now = now
        self._known: dict[str, frozenset[str]] = {}
        self._known_until = float("-inf")
        self._lock = asyncio.Lock()

    async def refusal(self, address: str, port: int, *, named: str) -> str | None:
        """Why ``address`` is not to be called, where ``rules`` alone would let it."""
        if not self._patterns or {(address, port), (named.lower(), port)} & self._rules.gateway:
            return None
        async with self._lock:
            if self._now() >= self._known_until:
                hosts = [pattern.host for pattern in self._patterns]
                found = await asyncio.gather(*map(_addresses, hosts))
                self._known = dict(zip(hosts, found, strict=True))
                self._known_until = self._now() + NAMES_KNOWN_S
        for pattern in self._patterns:
            if pattern.port in (None, port) and address in self._known[pattern.host]:
                return f"{address} is {pattern.host}, which is not to be called at port {port} (callback_deny)"
        return None


async def _addresses(host: str) -> frozenset[str]:
    try:
        async with asyncio.timeout(CONNECT_S):
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError):
        return frozenset()
    return frozenset(str(info[4][0]) for info in found)


class CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Connects only where ``rules`` let it, by the address that was checked."""

    def __init__(self, rules: CallbackRules) -> None:
        self._rules = rules
        self._denied = DeniedNames(rules)
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: SocketOptions = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError, TimeoutError) as error:
            raise httpcore.ConnectError(f"{host} is not known: {error}") from error
        failed: httpcore.ConnectError | None = None
        for address in dict.fromkeys(str(info[4][0]) for info in found):
            named = host if host != address else ""
            refusal = self._rules.refusal(address, port, named=named)
            refusal = refusal or await self._denied.refusal(address, port, named=named)
            if refusal is not None:
                raise Refused(refusal)
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore.ConnectError as error:
                failed = error
        raise failed or httpcore.ConnectError(f"{host} has no address")

    async def connect_unix_socket(self, path: str, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        raise Refused(f"{path} is no address of a callback")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def checked_transport(rules: CallbackRules) -> httpx.AsyncHTTPTransport:
    """It connects nowhere else, follows no redirect, which is an answer like any other, and keeps no cookies."""
    transport = httpx.AsyncHTTPTransport(verify=client_context(), retries=0)
    transport._pool = httpcore.AsyncConnectionPool(
        ssl_context=client_context(), network_backend=CheckedNetwork(rules), max_connections=100
    )
    return transport


class HttpTeller:
    """Implements ``callbacks.Teller``. With a ``secret`` each is signed. What is addressed to the gateway goes to
    ``gateway_url``, where that is given: its usual name means nothing on a single machine."""

    def __init__(
        self, http: httpx.AsyncBaseTransport, rules: CallbackRules, *, secret: bytes, gateway_url: str = ""
    ) -> None:
        self._http = http
        self._rules = rules
        self._secret = secret
        self._gateway = urlsplit(gateway_url)

    def __repr__(self) -> str:
        return f"<HttpTeller, {'signing' if self._secret else 'not signing'}>"

    async def tell(self, lease: CallbackLease) -> Answer:
        callback = lease.callback
        to = self._rules.check(callback.job.callback)
        if self._gateway.netloc and ((to.hostname or "").lower(), port_of(to)) in self._rules.gateway:
            to = to._replace(scheme=self._gateway.scheme, netloc=self._gateway.netloc)
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in callback.headers]
        if self._secret:
            headers.append((SIGNATURE.encode(), signature(self._secret, lease.body).encode()))
        try:
            request = httpx.Request(
                "POST", urlunsplit(to), headers=headers, content=lease.body, extensions={"timeout": _TIMEOUT}
            )
            async with asyncio.timeout(TIMEOUT_S):
                response = await self._http.handle_async_request(request)
                try:
                    return await _answer(response)
                finally:
                    await response.aclose()
        except Refused as error:
            raise BadInput(f"X-Callback-Url: {error}") from error
        except TimeoutError:
            return Answer(0, body=f"nothing came within {TIMEOUT_S:g} s".encode())
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            return Answer(0, body=reason_of(error).encode(errors="replace"))


async def _answer(response: httpx.Response) -> Answer:
    kept = bytearray()
    async for piece in response.aiter_raw():
        kept += piece
        if len(kept) >= MAX_READ:
            break
    headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers.raw)
    return Answer(response.status_code, headers, bytes(kept[:MAX_READ]))
