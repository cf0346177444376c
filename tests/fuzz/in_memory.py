"""An event loop in which connections are objects and time jumps: a whole conversation takes less than a millisecond."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from springtide.gateway.client_connection import ClientConnection
from springtide.runtime.virtual_time import VirtualTimeLoop

HIGH_WATER_BYTES, LOW_WATER_BYTES = 256, 64
"""Little, so that small inputs fill it."""


class Transport(asyncio.Transport):
    """The gateway's end of a connection, which behaves as an event loop's does: what happens is told later.

    ``hear`` gets what is written to it. While ``stalled`` the other side reads nothing, and the protocol is told to
    pause once much is waiting.
    """

    def __init__(self, loop: Loop, protocol: Any) -> None:
        super().__init__()
        self._loop, self.protocol = loop, protocol
        self.hear: Callable[[bytes], None] = lambda _: None
        self.written = bytearray()
        self.closing = self.lost = self.aborted = self.eof_sent = False
        self.stalled = self.full = self.reading_paused = False
        self.left = False
        """The other side ended or broke the connection."""
        self._unread_end = self._unread_reset = False
        self._waiting = b""  # written, and not read by the other side
        self._arrived = b""  # sent by the other side, and not read
        protocol.connection_made(self)

    # What the protocol asks for.

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else default

    def write(self, data: Any) -> None:
        assert not self.eof_sent, "written after its end"
        if self.closing:
            return
        if self._unread_reset:
            self._lose(BrokenPipeError("broken pipe"))
            return
        if self.stalled:
            self._waiting += data
            if len(self._waiting) > HIGH_WATER_BYTES and not self.full:
                self.full = True
                self.protocol.pause_writing()
            return
        self._leave(bytes(data))

    def __repr__(self) -> str:
        return f"<Transport of {self.protocol!r}>"

    def get_write_buffer_size(self) -> int:
        return len(self._waiting)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.eof_sent = True

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        assert not self.closing
        assert not self.reading_paused
        self.reading_paused = True

    def resume_reading(self) -> None:
        assert not self.closing
        assert self.reading_paused
        self.reading_paused = False
        self._loop.call_soon(self._read)

    def close(self) -> None:
        """As the real one: what was written still leaves, as soon as the other side reads it."""
        if not self.closing:
            self.closing = True
            if not self._waiting:
                self._loop.call_soon(self._lost, None)

    def abort(self) -> None:
        self.aborted = not self.lost
        self._waiting = b""
        self._lose(None)

    # What the other side does.

    def receive(self, data: bytes) -> bool:
        """Bytes arrive, and are read now or once they are wanted; False when nobody will ever read them."""
        if self.closing or self.left:
            return False
        self._arrived += data
        self._read()
        return True

    def end(self) -> None:
        """The other side will send no more."""
        if self.closing or self.left:
            return
        self.left = self._unread_end = True
        self._read()
        if self.reading_paused and isinstance(self.protocol, ClientConnection):
            self.protocol.peer_stopped()

    def reset(self) -> None:
        """The other side is gone. Who is not reading learns of it where connections that are not read are watched."""
        self._waiting = self._arrived = b""
        self.left = self._unread_reset = True
        if self.closing:
            self._lose(ConnectionResetError("reset"))
            return
        self._read()
        if self.reading_paused and isinstance(self.protocol, ClientConnection):
            self.protocol.peer_gone()

    def _read(self) -> None:
        """What has arrived, then the end."""
        if self.closing or self.reading_paused:
            return
        if self._unread_reset:
            self._lose(ConnectionResetError("reset"))
            return
        data, self._arrived = self._arrived, b""
        if data:
            self.protocol.data_received(data)
        if self._unread_end and not self.closing and not self.reading_paused:
            self._unread_end = False
            if not self.protocol.eof_received():
                self.close()

    def stall(self) -> None:
        """Stop reading, or read again."""
        self.stalled = not self.stalled
        if not self.stalled:
            self.take(len(self._waiting))

    def take(self, count: int) -> None:
        """Read so many bytes of what is waiting."""
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        if taken:
            self._leave(taken)
        if self.closing and not self._waiting and not self.lost:
            self._loop.call_soon(self._lost, None)
        elif self.full and not self.closing and len(self._waiting) <= LOW_WATER_BYTES:
            self.full = False
            self.protocol.resume_writing()

    def _leave(self, data: bytes) -> None:
        self.written += data
        self._loop.call_soon(self.hear, data)

    def _lose(self, error: Exception | None) -> None:
        if not self.closing or self.stalled:
            self.closing = True
            self._loop.call_soon(self._lost, error)

    def _lost(self, error: Exception | None) -> None:
        if not self.lost:
            self.lost = True
            self.protocol.connection_lost(error)


class Loop(VirtualTimeLoop):
    """Every connection that is opened becomes a Transport, given to ``connected``."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[dict[str, Any]] = []
        self.connected: Callable[[Transport], None] = lambda _: None
        self.set_exception_handler(lambda _, context: self.errors.append(context))

    async def create_connection(self, protocol_factory: Callable[[], Any], *_: Any, **__: Any) -> Any:
        await asyncio.sleep(0)
        protocol = protocol_factory()
        transport = Transport(self, protocol)
        self.connected(transport)
        return transport, protocol

    async def create_unix_connection(self, protocol_factory: Callable[[], Any], *_: Any, **__: Any) -> Any:
        return await self.create_connection(protocol_factory)
