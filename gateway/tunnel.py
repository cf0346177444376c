"""What follows a 101: bytes in both directions until both sides have ended, or one is gone, or nothing moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from springtide.gateway.caller import Caller
    from springtide.gateway.deadlines import DeadlineQueue
    from springtide.gateway.upstream import Upstream


class Tunnel:
    """Takes the place of the exchange on both connections; ``finished`` is called once, at the end."""

    __slots__ = (
        "_caller",
        "_caller_ended",
        "_finished",
        "_idle",
        "_over",
        "_upstream",
        "_upstream_ended",
        "request_open",
    )

    def __init__(
        self, idle: DeadlineQueue[Tunnel], caller: Caller, upstream: Upstream, finished: Callable[[], None]
    ) -> None:
        self.request_open = True
        self._idle = idle
        self._caller = caller
        self._upstream = upstream
        self._finished = finished
        self._caller_ended = False
        self._upstream_ended = False
        self._over = False

    def __repr__(self) -> str:
        return f"<Tunnel {'over' if self._over else 'open'}>"

    def open(self, data: bytes) -> None:
        """Begin, with what came behind the 101."""
        self._caller.handle_with(self)
        self._upstream.switch(self)
        self._idle.start(self)
        early = self._caller.take(-1)
        self._caller.resume()
        if early:
            self._upstream.write(early)
        if data:
            self._caller.write(data)

    def timed_out(self) -> None:
        self._end()

    # From the caller.

    def request_data(self, data: bytes) -> bytes:
        self._idle.start(self)
        self._upstream.write(data)
        return b""

    def caller_left(self) -> None:
        self._end()

    def caller_ended(self) -> bool:
        self._caller_ended = True
        self._upstream.end_writing()
        if self._upstream_ended:
            self._end()
        return True

    def caller_stopped(self) -> None:
        """What has not been read yet is passed on first."""

    def caller_full(self) -> None:
        self._upstream.pause()

    def caller_drained(self) -> None:
        self._upstream.resume()

    # From the replica.

    def tunnelled(self, data: bytes) -> None:
        self._idle.start(self)
        self._caller.write(data)

    def tunnel_ended(self) -> None:
        self._upstream_ended = True
        self._caller.end_writing()
        if self._caller_ended:
            self._end()

    def upstream_lost(self, why: str) -> None:  # noqa: ARG002 - the caller sees the end, not the reason
        self._end()

    def upstream_full(self) -> None:
        self._caller.pause()

    def upstream_drained(self) -> None:
        self._caller.resume()

    def _end(self) -> None:
        if self._over:
            return
        self._over = True
        self._idle.stop(self)
        self._upstream.close()
        self.request_open = False
        self._finished()
