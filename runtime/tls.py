"""What a client of ours needs to talk TLS, once for all clients of a process."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Iterable
from typing import Any

import httpx


class _LateContext(ssl.SSLContext):
    """httpx's own context, made for the first connection that wants one. By itself it trusts nobody."""

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        _context().set_alpn_protocols(alpn_protocols)

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        return _context().wrap_bio(*args, **options)

    def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:
        return _context().wrap_socket(*args, **options)


@functools.cache
def client_context() -> ssl.SSLContext:
    """As httpx makes one for each client. That takes a megabyte and 20 ms, also where all addresses are http://."""
    return _LateContext(ssl.PROTOCOL_TLS_CLIENT)


@functools.cache
def _context() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)
