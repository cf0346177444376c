"""The end of connections that are not being read.

While a caller's body is not taken, its connection is not read, and the event loop tells nothing about it: not even that
it was reset. One epoll object of our own, which the loop watches, holds these connections and asks for their end only.
It costs one system call each time that reading is paused, and nothing where it is not.
"""

from __future__ import annotations

import asyncio
import select
from typing import Protocol

_GONE = select.EPOLLHUP | select.EPOLLERR
_ENDS = select.EPOLLRDHUP | select.EPOLLONESHOT
_GONE_ONLY = select.EPOLLONESHOT
"""The kernel tells of a connection that is gone whether it was asked to or not."""


class WatchedConnection(Protocol):
    def peer_stopped(self) -> None:
        """The peer has sent all it will: it has closed, or waits for an answer; the two look the same."""

    def peer_gone(self) -> None: ...


class DisconnectWatcher:
    """Reports one event of each watched connection, which must be watched again for another."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._epoll = select.epoll()
        self._watched: dict[int, WatchedConnection] = {}
        loop.add_reader(self._epoll.fileno(), self._look)

    def __repr__(self) -> str:
        return f"<DisconnectWatcher of {len(self._watched)} connections>"

    def watch(self, connection: WatchedConnection, fd: int, *, stopped: bool) -> None:
        """Tell when the peer has gone and, unless it has ``stopped`` sending already, when it stops."""
        events = _GONE_ONLY if stopped else _ENDS
        if self._watched.get(fd) is connection:
            self._epoll.modify(fd, events)
        else:
            # The kernel has forgotten whoever had this number before: it was closed.
            self._watched[fd] = connection
            self._epoll.register(fd, events)

    def forget(self, connection: WatchedConnection, fd: int) -> None:
        """The connection is closed."""
        if self._watched.get(fd) is connection:
            del self._watched[fd]

    def close(self) -> None:
        if not self._epoll.closed:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()

    def _look(self) -> None:
        for fd, events in self._epoll.poll(0):
            connection = self._watched.get(fd)
            if connection is None:
                continue
            if events & _GONE:
                connection.peer_gone()
            else:
                connection.peer_stopped()
