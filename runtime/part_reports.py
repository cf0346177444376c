"""How a process of several parts tells its supervisor of each: datagrams on its standard input, which is a socket.

An empty one is a beat. They come for as long as the process's event loop turns.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import json
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

BEAT_EVERY_S = 2.0
MAX_WHY_CHARS = 2000
MAX_BYTES = 64 * 1024


class Happening(enum.StrEnum):
    READY = "ready"
    DIED = "died"
    FAILED = "failed"
    STOPPED = "stopped"
    KILLED = "killed"


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to a part. ``why`` is a sentence for a person, without the part's name."""

    child: str
    what: Happening
    why: str
    again_in_s: float | None = None
    """When it is started again."""

    @property
    def detail(self) -> str:
        return self.why if self.again_in_s is None else f"{self.why}; starting again in {self.again_in_s:g} s"


Report = Callable[[Event], None]


class Reporter:
    """The process's end. Nothing waits for a supervisor that does not read: what does not fit is not told."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        channel.setblocking(False)  # noqa: FBT003 - the standard library's signature

    def __repr__(self) -> str:
        return f"<Reporter {self._channel.fileno()}>"

    def tell(self, event: Event) -> None:
        self._send(json.dumps([event.child, event.what, event.why[:MAX_WHY_CHARS], event.again_in_s]).encode())

    async def beat(self) -> None:
        """For ever."""
        while True:
            self._send(b"")
            await asyncio.sleep(BEAT_EVERY_S)

    def _send(self, datagram: bytes) -> None:
        with contextlib.suppress(OSError):
            self._channel.send(datagram)


class Reports:
    """The supervisor's end, for one process. Use on the event loop."""

    def __init__(self, parts: Sequence[str], report: Report) -> None:
        self._report = report
        self._unheard = set(parts)
        self._first = asyncio.Event()
        self._failed: Event | None = None
        self._heard = False
        self._ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._ours.setblocking(False)  # noqa: FBT003 - the standard library's signature
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._ours, self._read)

    def __repr__(self) -> str:
        return f"<Reports, none yet of {sorted(self._unheard)}>"

    async def first(self) -> Event | None:
        """Wait until every part has said that it is ready, or that it is not: the first that is not."""
        await self._first.wait()
        return self._failed

    async def silence(self, longest_s: float) -> None:
        """Returns once nothing was heard for about so long, this process's own halts not counted."""
        silent = 0
        while silent < 2:
            self._heard = False
            await asyncio.sleep(longest_s / 2)
            silent = 0 if self._heard else silent + 1

    def close(self) -> None:
        self._loop.remove_reader(self._ours)
        self._ours.close()
        self.theirs.close()

    def _read(self) -> None:
        self._heard = True
        try:
            datagram = self._ours.recv(MAX_BYTES)
        except OSError:
            return
        if not datagram:
            return
        part, what, why, again_in_s = json.loads(datagram)
        event = Event(part, Happening(what), why, again_in_s)
        if event.what is Happening.FAILED and part in self._unheard and self._failed is None:
            self._failed = event
        self._unheard.discard(part)
        self._report(event)
        if not self._unheard:
            self._first.set()
