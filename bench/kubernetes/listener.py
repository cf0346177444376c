"""A function that answers with the instant at which it began to listen, in seconds since the epoch."""

from __future__ import annotations

import os
import socket
import time

READY = b"/_/"


def serve(host: str, port: int) -> None:
    with socket.create_server((host, port), backlog=128) as listening:
        began = repr(time.time()).encode()
        while True:
            connection, _ = listening.accept()
            with connection:
                answer(connection, began)


def answer(connection: socket.socket, began: bytes) -> None:
    """Requests without a body, one after the other, until the caller closes."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    head = b""
    while b"\r\n\r\n" not in head:
        more = connection.recv(65536)
        if not more:
            return
        head += more
    body = b"{}" if head.split(None, 2)[1].startswith(READY) else began
    connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


if __name__ == "__main__":
    serve(os.environ["HOST"], int(os.environ["PORT"]))
