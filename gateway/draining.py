"""How a gateway ends: the connections that are open, and in which order they are let go."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Protocol

from springtide.gateway.client_connection import ClientConnection

ON_THE_WAY_S = 0.25
"""How long a gateway that stops waits for requests on connections that carry none: one may be on its way."""


class WaitingCalls(Protocol):
    def __len__(self) -> int: ...

    def refuse_all(self) -> None: ...


class Draining:
    """Counts the open connections in and out. ``stopping``: each answer from now on is its connection's last."""

    def __init__(self, waiting: WaitingCalls, *, max_connections: int) -> None:
        self.stopping = False
        self.open: set[ClientConnection] = set()
        self._waiting = waiting
        self._max_connections = max_connections
        self._empty = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Draining {len(self.open)} connections{', stopping' if self.stopping else ''}>"

    def __len__(self) -> int:
        return len(self.open)

    def admit(self, client: ClientConnection) -> bool:
        """Count a connection in; False when there are too many."""
        self.open.add(client)
        return len(self.open) <= self._max_connections

    def forget(self, client: ClientConnection) -> None:
        """Count it out."""
        self.open.discard(client)
        if self.stopping and not self.open:
            self._empty.set()

    async def leave(self, max_s: float) -> None:
        """Another takes the new connections: return when those we have are closed, or after ``max_s``.

        Each answer from now on is its connection's last and says so. An idle connection is left open: if it were closed
        here, a request might be on its way. One that has been idle till the end is hardly in use any more.
        """
        self.stopping = True
        await self._until_empty(max_s)

    async def drain(self, grace_s: float) -> None:
        """Take no new requests; return when every call is answered or ``grace_s`` is over, and cut what is left.

        Calls that still wait for a replica then are not cut but answered: they have not begun.
        """
        self.stopping = True
        # A connection closed under a request would lose it. Those answered from now on are told to close.
        await self._until_empty(min(grace_s, ON_THE_WAY_S))
        for client in list(self.open):
            if not client.busy:
                client.close()
        await self._until_empty(grace_s)
        if len(self._waiting):
            self._waiting.refuse_all()
            await self._until_empty(min(grace_s, ON_THE_WAY_S))
        for client in list(self.open):
            client.abort()
        await asyncio.sleep(0)

    async def _until_empty(self, max_s: float) -> None:
        if self.open:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), max_s)
