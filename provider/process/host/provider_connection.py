"""The host's end of the connection to the provider: never blocks, never grows without bound."""

from __future__ import annotations

import selectors
import socket

from springtide.provider.process import host_protocol
from springtide.provider.process.host_protocol import Message

READ_BYTES = 262_144
MAX_UNSENT_BYTES = 16 << 20
"""A provider that does not read so much is not alive; it gets a new connection, and the whole state with it."""


class ProviderConnection:
    def __init__(self, connection: socket.socket, selector: selectors.BaseSelector) -> None:
        self._socket, self._selector = connection, selector
        self._socket.setblocking(False)  # noqa: FBT003 - the standard library's signature
        self._unread, self._unsent = b"", b""
        self.closed = False
        selector.register(connection, selectors.EVENT_READ, self)

    def __repr__(self) -> str:
        return f"<ProviderConnection {'closed' if self.closed else 'open'} unsent {len(self._unsent)}>"

    def send(self, message: Message) -> None:
        if self.closed:
            return
        self._unsent += host_protocol.encode(message)
        self._flush()

    def exchange(self, events: int) -> list[Message]:
        """Write what waits, and return what came. ``closed`` is set when the other side is gone."""
        if events & selectors.EVENT_WRITE:
            self._flush()
        if self.closed or not events & selectors.EVENT_READ:
            return []
        try:
            data = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        *lines, self._unread = (self._unread + data).split(b"\n")
        if not data or len(self._unread) > host_protocol.MAX_LINE_BYTES:
            self.close()
        return [host_protocol.decode(line) for line in lines]

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._selector.unregister(self._socket)
            self._socket.close()

    def _flush(self) -> None:
        if self.closed:
            return
        try:
            while self._unsent:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        if len(self._unsent) > MAX_UNSENT_BYTES:
            self.close()
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0)
        self._selector.modify(self._socket, wanted, self)
