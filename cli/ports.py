"""Which ports the parts of a local suite listen on."""

from __future__ import annotations

import random
from collections.abc import Collection

from springtide.runtime.asgi_server import bind
from springtide.runtime.errors import BadInput, Unavailable

MIN_PORT, MAX_PORT = 20_000, 32_767
"""Free ports are taken from below Linux's range for outgoing connections (32768 and up): a port from inside it
could be lent out while the part that owns it restarts."""
MAX_TRIES = 200


def literal(host: str, port: int, flag: str, *, taken: Collection[int] = ()) -> int:
    """``port`` itself, as the user wrote it; 0 picks a free one. Raises BadInput naming ``flag`` when it is taken."""
    if port == 0:
        return free(host, taken=taken)
    if port in taken:
        raise BadInput(f"{flag} {port}: another listener of the suite was given this port already; choose another")
    try:
        bind(host, port).close()
    except Unavailable as error:
        cause = error.__cause__
        reason = cause.strerror if isinstance(cause, OSError) else str(error)
        raise BadInput(f"cannot listen on {host}:{port}: {reason}; choose another port with {flag}") from error
    return port


def preferred(host: str, port: int, *, taken: Collection[int] = ()) -> int:
    """``port`` if it can be had, or else a free one: for listeners that only our own parts talk to."""
    return port if port not in taken and _bindable(host, port) else free(host, taken=taken)


def free(host: str, *, taken: Collection[int] = ()) -> int:
    """A port nobody listens on now."""
    for _ in range(MAX_TRIES):
        port = random.randint(MIN_PORT, MAX_PORT)
        if port not in taken and _bindable(host, port):
            return port
    raise Unavailable(f"no free port on {host} between {MIN_PORT} and {MAX_PORT}; stop something that listens there")


def _bindable(host: str, port: int) -> bool:
    try:
        bind(host, port).close()
    except Unavailable:
        return False
    return True


def url(host: str, port: int) -> str:
    """How a client on this machine reaches a listener."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"
