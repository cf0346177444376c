"""What a client of ours needs to talk TLS, once for all clients of a process."""

from __future__ import annotations

import functools
import ssl

import httpx


@functools.cache
def client_context() -> ssl.SSLContext:
    """As httpx makes one for each client: a megabyte of certificates and 20 ms, also where all addresses are http://."""
    return httpx.create_ssl_context(trust_env=False)
