"""One worker as the master sees it: its process, its channel, the numbers it has told."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, Protocol

import structlog

from springtide.gateway.workers.fork_server import ForkServer, Process
from springtide.gateway.workers.launch import Launch
from springtide.gateway.workers.messages import Channel, Kind, Message, Row
from springtide.gateway.workers.totals import Told
from springtide.runtime.errors import Unavailable
from springtide.scaler.core.vocabulary import FunctionRef

POLL_S = 1.25
"""A worker that has told its numbers so lately is not asked again. Longer than the second between two lines of load."""
HUNG_LOOKS = 10
"""In so many parts it is waited for an answer."""

READY_MARGIN_S = 20.0
"""How long a start may take beyond its wait for the provider."""

STOP_MARGIN_S = 3.0
"""What stopping may take beyond the grace of the calls in flight."""

log = structlog.get_logger(__name__)


class Master(Protocol):
    """What a worker needs from those above it."""

    hung_after_s: float
    """A worker that does not answer for so long answers no caller either: it is killed."""

    def told(self, member: Member, rows: Iterable[Row], gone: Iterable[FunctionRef]) -> None:
        """What a worker tells of functions, and which it has no more, or anew."""

    def gone(self, functions: list[FunctionRef]) -> None:
        """A worker has heard that these were deleted."""

    async def counts(self) -> Mapping[str, float]:
        """Calls answered by all workers, by function."""

    def watch_load(self, member: Member, *, on: bool) -> None:
        """A worker wants to be told the load of all, or no longer."""


class Member:
    """Started by ``Member.start``; over when ``over`` is set: its process has ended, its last words are read."""

    def __init__(self, launch: Launch, process: Process, channel: Channel, master: Master) -> None:
        self.launch, self.process = launch, process
        self.told = Told()
        self.told_at = asyncio.get_running_loop().time()
        """When it told its numbers last, by the loop's clock."""
        self.leaving = asyncio.Event()
        """It takes no new calls: it is finishing those it has, or over."""
        self.over = asyncio.Event()
        self.why = ""
        """How it ended."""
        self._channel, self._master = channel, master
        self._ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._questions = itertools.count(1)
        self._asked: dict[int, asyncio.Future[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._reading = self._spawn(self._read())
        self._spawn(self._poll())
        self._spawn(self._end())

    def __repr__(self) -> str:
        return f"<Member {self.launch.number} {self.process!r}>"

    @classmethod
    async def start(
        cls, forks: ForkServer, launch: Launch, listener: socket.socket, master: Master, *descriptors: int
    ) -> Member:
        """``descriptors``: what it is given besides. Raises Unavailable when there is no process."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await forks.fork(launch, [listener.fileno(), theirs.fileno(), *descriptors])
            except BaseException:
                ours.close()
                raise
        return cls(launch, process, await Channel.over(ours), master)

    async def ready(self) -> str:
        """Return once it serves, with an empty text; or with why it does not."""
        ended = asyncio.ensure_future(self.over.wait())
        limit_s = self.launch.settings.first_snapshot_s + READY_MARGIN_S
        first: list[asyncio.Future[Any]] = [self._ready, ended]
        try:
            await asyncio.wait(first, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
        if self._ready.done():
            return self._ready.result()
        if not self.over.is_set():
            self.kill(f"was not ready within {limit_s:g} s")
            await self.over.wait()
        return self.why

    async def numbers(self, deadline_s: float | None) -> None:
        """Return once ``told`` is as of now, or the worker is over. Raises Unavailable when it does not answer."""
        number = next(self._questions)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        if self._reading.done():
            answer.set_result(None)
        self._channel.send(Message(Kind.ASK, number))
        try:
            await asyncio.wait_for(answer, deadline_s)
        except TimeoutError as error:
            who = f"worker {self.launch.number} (process {self.process.pid})"
            raise Unavailable(f"{who} did not tell its numbers within {deadline_s} s") from error
        finally:
            del self._asked[number]

    def send(self, message: Message) -> None:
        self._channel.send(message)

    async def leave(self) -> None:
        """Another has its place: let it answer what still comes over the connections it has, and end. See ``stop``."""
        self.leaving.set()
        # A call may come at the very end of the grace of connections, and then has its own.
        await self._end_on(Kind.LEAVE, 2 * self.launch.settings.grace_s)

    async def stop(self) -> None:
        """Let it finish its calls; kill it when that takes longer than it may."""
        await self._end_on(Kind.STOP, self.launch.settings.grace_s)

    def kill(self, why: str) -> None:
        self.why = self.why or why
        self.process.kill()

    async def _end_on(self, request: Kind, most_s: float) -> None:
        self._channel.send(Message(request))
        try:
            await asyncio.wait_for(self.over.wait(), most_s + STOP_MARGIN_S)
        except TimeoutError:
            self.kill("did not stop in time")
            await self.over.wait()

    async def _read(self) -> None:
        while (message := await self._channel.receive()) is not None:
            self._hear(message)
        for number in self._asked:
            self._answered(number)

    def _hear(self, message: Message) -> None:
        match message.kind:
            case Kind.ROWS:
                gone = self.told.rows(message.content)
                self._master.told(self, (Row(*values) for values in message.content["rows"]), gone)
                if gone:
                    self._master.gone(gone)
            case Kind.NUMBERS:
                self.told.summary(message.content)
                self.told_at = asyncio.get_running_loop().time()
                self._answered(message.number)
            case Kind.ASK_COUNTS:
                self._spawn(self._tell_counts(message.number))
            case Kind.WATCH_LOAD:
                self._master.watch_load(self, on=message.content["on"])
            case Kind.READY:
                self._serves("")
            case Kind.LEAVING:
                self.leaving.set()
                self._spawn(self.stop())
            case Kind.FAILED:
                self.why = self.why or str(message.content["why"])
                self._serves(self.why)

    def _serves(self, problem: str) -> None:
        if not self._ready.done():
            self._ready.set_result(problem)

    def _answered(self, number: int) -> None:
        answer = self._asked.get(number)
        if answer is not None and not answer.done():
            answer.set_result(None)

    async def _poll(self) -> None:
        """Its numbers, so that little is lost when it dies; and whether it still answers, once it has begun to."""
        await asyncio.wait([self._ready])
        while True:
            asking = self._spawn(self.numbers(None))
            # In parts, so that a pause of our own is not taken for one of the worker's: its answer is read in between.
            for _ in range(HUNG_LOOKS):
                if not asking.done():
                    await asyncio.wait([asking], timeout=self._master.hung_after_s / HUNG_LOOKS)
            if not asking.done():
                self.kill(f"did not answer for {self._master.hung_after_s:g} s")
            pause_s = POLL_S
            while pause_s > 0:
                await asyncio.sleep(pause_s)
                # Whoever asked it for a reason of his own, a scrape or a reader of the load, spares it this question.
                pause_s = self.told_at + POLL_S - asyncio.get_running_loop().time()

    async def _tell_counts(self, number: int) -> None:
        self._channel.send(Message(Kind.COUNTS, number, await self._master.counts()))

    async def _end(self) -> None:
        # Its end of the channel is the last thing that a worker closes, or it has died.
        await asyncio.wait([self._reading])
        try:
            how = await asyncio.wait_for(asyncio.shield(self.process.ended), STOP_MARGIN_S)
        except TimeoutError:
            self.kill("closed its channel and did not end")
            self.leaving.set()  # whoever should tell us of the end may hang as well: its place need not wait for that
            how = await asyncio.shield(self.process.ended)
        self.why = f"{self.why}: {how}" if self.why else how
        for task in self._tasks - {asyncio.current_task()}:
            task.cancel()
        with contextlib.suppress(ConnectionError):
            await self._channel.close()
        self.leaving.set()
        self.over.set()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=f"gateway worker {self.launch.number}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
