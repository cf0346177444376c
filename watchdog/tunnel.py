"""What follows a 101: bytes in both directions until both sides have ended, or one is gone, or nothing moves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

MAX_IDLE_S = 3600.0
"""Whoever needs a tunnel that is silent for longer sends pings. Gateways have a shorter limit, by which it is ended."""
CLOSE_S = 5.0
"""For one side to take the last bytes of the other, once that is gone."""


class Tunnel:
    """Joins two connections that speak something else than HTTP from now on."""

    def __init__(
        self, caller: asyncio.Transport, program: asyncio.Transport, on_end: Callable[[], None] = lambda: None
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._ends = (_End(self, program), _End(self, caller))
        self._on_end = on_end
        self._open = 2
        self._moved_at = self._loop.time()
        self._timer = self._loop.call_later(MAX_IDLE_S, self._check_idle)
        for transport, end in zip((caller, program), self._ends):
            transport.set_protocol(end)
        for transport in (caller, program):
            if transport.is_closing():
                self._close()

    def __repr__(self) -> str:
        return f"<Tunnel {'over' if self._over.done() else 'open'}>"

    async def over(self) -> None:
        """Wait for its end; cancelled, it ends at once."""
        try:
            await self._over
        finally:
            for end in self._ends:
                end.other.abort()

    def moved(self) -> None:
        self._moved_at = self._loop.time()

    def side_lost(self) -> None:
        """One connection is gone. The other is sent what is left, and ends."""
        self._open -= 1
        if self._open:
            self._close()
        else:
            self._finish()

    def side_ended(self) -> bool:
        """One side has sent all it will; True when the other has, too."""
        if all(end.ended for end in self._ends):
            self._close()
            return True
        return False

    def _close(self) -> None:
        for end in self._ends:
            end.other.close()
        self._timer.cancel()
        self._timer = self._loop.call_later(CLOSE_S, self._finish)

    def _finish(self) -> None:
        if not self._over.done():
            self._timer.cancel()
            self._over.set_result(None)
            self._on_end()

    def _check_idle(self) -> None:
        left_s = self._moved_at + MAX_IDLE_S - self._loop.time()
        if left_s <= 0:
            self._close()
        else:
            self._timer = self._loop.call_later(left_s, self._check_idle)


class _End(asyncio.Protocol):
    """Reads one connection and writes to the other."""

    def __init__(self, tunnel: Tunnel, other: asyncio.Transport) -> None:
        self._tunnel, self.other = tunnel, other
        self.ended = False

    def data_received(self, data: bytes) -> None:
        self._tunnel.moved()
        if not self.other.is_closing():
            self.other.write(data)

    def eof_received(self) -> bool:
        self.ended = True
        if not self._tunnel.side_ended() and self.other.can_write_eof() and not self.other.is_closing():
            self.other.write_eof()
        return True

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - the other side sees the end
        self._tunnel.side_lost()

    def pause_writing(self) -> None:
        self.other.pause_reading()

    def resume_writing(self) -> None:
        self.other.resume_reading()
