"""Which ports the parts of a local suite listen on."""

from __future__ import annotations

import contextlib
import random
import socket
import sys
from types import TracebackType

from springtide.runtime.asgi_server import bind
from springtide.runtime.errors import BadInput, Unavailable

MIN_PORT, MAX_PORT = 20_000, 32_767
"""Free ports are taken from below Linux's range for outgoing connections (32768 and up): a port from inside it
could be lent out while the part that owns it restarts."""
MAX_TRIES = 200


class PortClaims:
    """The ports this suite means to listen on, known to others that choose theirs at the same moment.

    Between the look at a port and the listener on it lie seconds of start-up. A claim is an abstract socket, which
    belongs to a network namespace as ports do, leaves no file behind and ends with whoever holds it.
    """

    def __init__(self) -> None:
        self._held: dict[int, socket.socket] = {}

    def __enter__(self) -> PortClaims:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for claim in self._held.values():
            claim.close()
        self._held.clear()

    def __contains__(self, port: object) -> bool:
        """Whether this suite has it."""
        return port in self._held

    def take(self, port: int) -> bool:
        """False when another suite, or another listener of this one, has it."""
        if port in self._held:
            return False
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            if sys.platform == "linux":
                claim.bind(f"\0springtide-port-{port}")
        except OSError:
            claim.close()
            return False
        self._held[port] = claim
        return True

    def give_back(self, port: int) -> None:
        with contextlib.suppress(KeyError):
            self._held.pop(port).close()


def literal(host: str, port: int, flag: str, claims: PortClaims) -> int:
    """``port`` itself, as the user wrote it; 0 picks a free one. Raises BadInput naming ``flag`` when it is taken."""
    if port == 0:
        return free(host, claims)
    if port in claims:
        raise BadInput(f"{flag} {port}: another listener of the suite was given this port already; choose another")
    try:
        bind(host, port).close()
    except Unavailable as error:
        cause = error.__cause__
        reason = cause.strerror if isinstance(cause, OSError) else str(error)
        raise BadInput(f"cannot listen on {host}:{port}: {reason}; choose another port with {flag}") from error
    if not claims.take(port):
        raise BadInput(f"{flag} {port}: another suite on this machine is starting on this port; choose another")
    return port


def preferred(host: str, port: int, claims: PortClaims) -> int:
    """``port`` if it can be had, or else a free one: for listeners that only our own parts talk to."""
    return port if _taken(host, port, claims) else free(host, claims)


def free(host: str, claims: PortClaims) -> int:
    """A port nobody listens on now or means to."""
    for _ in range(MAX_TRIES):
        port = random.randint(MIN_PORT, MAX_PORT)
        if _taken(host, port, claims):
            return port
    raise Unavailable(f"no free port on {host} between {MIN_PORT} and {MAX_PORT}; stop something that listens there")


def _taken(host: str, port: int, claims: PortClaims) -> bool:
    """Whether it could be had, and is ours now."""
    if not claims.take(port):
        return False
    try:
        bind(host, port).close()
    except Unavailable:
        claims.give_back(port)
        return False
    return True


def url(host: str, port: int) -> str:
    """How a client on this machine reaches a listener."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"
