"""One worker's place: a listening socket that stays, and the worker that serves it now."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import structlog

from springtide.gateway.workers.member import Member
from springtide.runtime.backoff import RESTART, STEADY_AFTER_S
from springtide.runtime.errors import Unavailable, reason_of

log = structlog.get_logger(__name__)

Hire = Callable[[int, socket.socket], Awaitable[Member]]


class Slot:
    """Replaces its worker whenever it ends, and on request."""

    def __init__(self, number: int, listener: socket.socket, hire: Hire) -> None:
        """``hire`` starts a worker; it raises Unavailable when there is no process."""
        self.number = number
        self._listener = listener
        self._hire = hire
        self._member: Member | None = None
        self._ready_at = 0.0
        self._changing = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<Slot {self.number} {self._member!r}>"

    @property
    def filled(self) -> bool:
        """Its worker serves; False while another is being started for it."""
        return self._member is not None and not self._member.leaving.is_set()

    async def start(self) -> str:
        """Once; returns why there is no worker, or an empty text."""
        async with self._changing:
            return await self._fill()

    async def keep(self) -> None:
        """Start another worker whenever the one there begins to end, for ever: at once, later when that goes on."""
        failures = 0 if self._member is not None else 1
        while True:
            member = self._member
            if member is None:
                await asyncio.sleep(RESTART.delay_s(failures))
                failures += 1
                await self._refill()
                continue
            await member.leaving.wait()
            if await self._vacate(member):
                failures = 0 if self._steady() else failures

    async def renew(self) -> Member | None:
        """Another worker takes over; returns the one that was there. That one stays when the other does not start."""
        async with self._changing:
            old = self._member
            why = await self._fill()
        if why:
            log.error("a gateway worker was not replaced: the new one did not start", place=self.number, why=why)
            return None
        return old

    async def _refill(self) -> None:
        async with self._changing:
            why = await self._fill() if self._member is None else ""
        if why:
            log.error("a gateway worker did not start", place=self.number, why=why)

    async def _vacate(self, member: Member) -> bool:
        """The worker has ended or is about to; False when another has taken over already."""
        async with self._changing:
            if member is not self._member:
                return False
            self._member = None
        why = member.why or "it was asked to end and finishes its calls"
        log.warning("a gateway worker ended", place=self.number, process=member.process.pid, why=why)
        return True

    async def _fill(self) -> str:
        try:
            member = await self._hire(self.number, self._listener)
        except Unavailable as error:
            return reason_of(error)
        why = await member.ready()
        if why:
            await member.stop()
            return why
        self._member = member
        self._ready_at = asyncio.get_running_loop().time()
        log.info("a gateway worker serves", place=self.number, process=member.process.pid)
        return ""

    def _steady(self) -> bool:
        return asyncio.get_running_loop().time() - self._ready_at >= STEADY_AFTER_S
