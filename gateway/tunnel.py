"""What follows a 101: bytes in both directions until both sides have ended, or one is gone, or nothing moves."""

from __future__ import annotations

from collections.abc import Callable

from springtide.gateway.client_connection import ClientConnection
from springtide.gateway.deadlines import DeadlineQueue
from springtide.gateway.replica_connection import ReplicaConnection
from springtide.gateway.timeouts import TimedTunnel


class Tunnel:
    """Takes the call's place on both connections; ``finished`` is called once, at the end.

    It is told whether the time was over, because nothing came from either side.
    """

    __slots__ = (
        "_client",
        "_client_ended",
        "_connection",
        "_finished",
        "_idle",
        "_over",
        "_replica_ended",
        "request_open",
    )

    def __init__(
        self,
        idle: DeadlineQueue[TimedTunnel],
        caller: ClientConnection,
        connection: ReplicaConnection,
        finished: Callable[[bool], None],
    ) -> None:
        self.request_open = True
        self._idle = idle
        self._client = caller
        self._connection = connection
        self._finished = finished
        self._client_ended = False
        self._replica_ended = False
        self._over = False

    def __repr__(self) -> str:
        return f"<Tunnel {'over' if self._over else 'open'}>"

    def open(self, data: bytes) -> None:
        """Begin, with what came behind the 101."""
        self._client.handle_with(self)
        self._connection.switch(self)
        self._idle.start(self)
        early = self._client.take(-1)
        self._client.resume()
        if early:
            self._connection.write(early)
        if data:
            self._client.write(data)

    def timed_out(self) -> None:
        self._end(silent=True)

    # From the caller.

    def request_data(self, data: bytes) -> bytes:
        self._idle.start(self)
        self._connection.write(data)
        return b""

    def client_left(self) -> None:
        self._end()

    def client_ended(self) -> bool:
        self._client_ended = True
        self._connection.end_writing()
        if self._replica_ended:
            self._end()
        return True

    def client_stopped(self) -> None:
        """What has not been read yet is passed on first."""

    def client_full(self) -> None:
        self._connection.pause()

    def client_drained(self) -> None:
        self._connection.resume()

    # From the replica.

    def tunnelled(self, data: bytes) -> None:
        self._idle.start(self)
        self._client.write(data)

    def tunnel_ended(self) -> None:
        self._replica_ended = True
        self._client.end_writing()
        if self._client_ended:
            self._end()

    def replica_lost(self, why: str) -> None:  # noqa: ARG002 - the caller sees the end, not the reason
        self._end()

    def replica_full(self) -> None:
        self._client.pause()

    def replica_drained(self) -> None:
        self._client.resume()

    def _end(self, *, silent: bool = False) -> None:
        if self._over:
            return
        self._over = True
        self._idle.stop(self)
        self._connection.close()
        self.request_open = False
        self._finished(silent)
