"""The public port as several listening sockets, one per worker; the kernel deals new connections out among them."""

from __future__ import annotations

import socket

from springtide.runtime.asgi_server import bind


def bind_shared(host: str, port: int, count: int) -> list[socket.socket]:
    """``count`` sockets bound to one port, not yet listening. Raises Unavailable when somebody has it."""
    if port:
        # A port that is shared would let a second gateway in as well: it must be free for one that does not share.
        bind(host, port).close()
    bound: list[socket.socket] = []
    try:
        for _ in range(count):
            bound.append(bind(host, port, shared=True))
            port = int(bound[0].getsockname()[1])
    except BaseException:
        close_all(bound)
        raise
    return bound


def close_all(listeners: list[socket.socket]) -> None:
    for listener in listeners:
        listener.close()
