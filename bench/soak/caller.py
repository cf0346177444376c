"""Closed-loop callers: each makes one call after the other, over kept and over new connections, and reads with h11."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Callable

import h11

from bench.soak.tally import Answer, Call, Kind, Tally, Verdict

CALL_DEADLINE_S = 90.0
"""Longer than any time-out of the gateway: it is the gateway that must give up first."""

KINDS = (Kind.GET,) * 6 + (Kind.POST,) * 3 + (Kind.STREAM,)
FRESH = 0.25
"""How many calls come over a connection of their own."""


class Callers:
    """Some callers of one function. While ``calling`` is clear they make no new calls."""

    def __init__(self, function: str, port: int, tally: Tally, *, think_s: float) -> None:
        self.function = function
        self.calling = asyncio.Event()
        self.calling.set()
        self.in_flight = 0
        self.seen: dict[int, str] = {}
        """Processes that answered, the last one last, and the replica each is."""
        self.generations: set[str] = set()
        self._port, self._tally, self._think_s = port, tally, think_s

    async def call_for_ever(self, over: asyncio.Event) -> None:
        connection: Connection | None = None
        try:
            while not over.is_set():
                await asyncio.sleep(random.expovariate(1 / self._think_s))
                await self.calling.wait()
                if connection is not None and (connection.ended or random.random() < FRESH):
                    connection.close()
                    connection = None
                connection = await self._call(connection)
        finally:
            if connection is not None:
                connection.close()

    async def _call(self, connection: Connection | None) -> Connection | None:
        """One call; the connection if it can carry another."""
        kind = random.choice(KINDS)
        token = secrets.token_hex(16)
        body = (token * 320).encode() if kind is Kind.POST else b""
        call = Call(self.function, kind, token, body, time.monotonic(), reused=connection is not None)
        self.in_flight += 1
        try:
            connection, answer = await exchange(connection, self._port, call, self._heard)
        finally:
            self.in_flight -= 1
        if self._tally.add(call, answer) is Verdict.RIGHT and connection is not None:
            return connection
        if connection is not None:
            connection.close()
        return None

    def _heard(self, answer: Answer) -> None:
        """An answer has begun."""
        if answer.pid:
            self.seen.pop(answer.pid, None)
            self.seen[answer.pid] = answer.headers.get("x-replica", "")
            self.generations.add(answer.headers.get("x-generation", ""))


class Connection:
    """One connection and h11's idea of it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._h11 = h11.Connection(h11.CLIENT)
        self.port = int(writer.get_extra_info("sockname")[1])

    @property
    def ended(self) -> bool:
        """The other side has closed it, as far as is known."""
        return self._reader.at_eof() or self._reader.exception() is not None

    def close(self) -> None:
        self._writer.transport.abort()

    @property
    def reusable(self) -> bool:
        if self._h11.our_state is not h11.DONE or self._h11.their_state is not h11.DONE:
            return False
        self._h11.start_next_cycle()
        return True

    async def send(self, request: h11.Request, body: bytes) -> None:
        data = self._h11.send(request) or b""
        data += (self._h11.send(h11.Data(body)) or b"") if body else b""
        self._writer.write(data + (self._h11.send(h11.EndOfMessage()) or b""))
        await self._writer.drain()

    async def receive(self, answer: Answer, heard: Callable[[Answer], None]) -> None:
        """Fill ``answer`` until it is whole."""
        while True:
            event = self._h11.next_event()
            if event is h11.NEED_DATA:
                self._h11.receive_data(await self._reader.read(65536))
            elif isinstance(event, h11.Response):
                answer.first_byte = time.monotonic()
                answer.status = event.status_code
                answer.headers = {name.decode(): value.decode("latin-1") for name, value in event.headers}
                heard(answer)
            elif isinstance(event, h11.Data):
                answer.body += event.data
            elif isinstance(event, h11.EndOfMessage):
                return
            elif isinstance(event, h11.ConnectionClosed):
                raise ConnectionResetError("the connection ended without an answer")


async def exchange(
    connection: Connection | None, port: int, call: Call, heard: Callable[[Answer], None]
) -> tuple[Connection | None, Answer]:
    """Make one call; the connection when it can be used again, and what came."""
    answer = Answer()
    try:
        async with asyncio.timeout(CALL_DEADLINE_S):
            if connection is None:
                connection = Connection(*await asyncio.open_connection("127.0.0.1", port))
            answer.port = connection.port
            await connection.send(_request(call), call.body)
            await connection.receive(answer, heard)
    except (OSError, TimeoutError, h11.RemoteProtocolError, h11.LocalProtocolError) as error:
        answer.broken = f"{type(error).__name__}: {error}"
    answer.ended = time.monotonic()
    if connection is not None and (answer.broken or not connection.reusable):
        connection.close()
        connection = None
    return connection, answer


def _request(call: Call) -> h11.Request:
    seconds = random.uniform(0.02, 0.25)
    query = f"?pause={seconds:.3f}" if call.kind is Kind.STREAM else f"?work={seconds:.3f}" if seconds < 0.1 else ""
    headers = [("Host", "soak"), ("X-Token", call.token), ("X-Call-Id", call.token)]
    if call.body:
        headers.append(("Content-Length", str(len(call.body))))
    return h11.Request(
        method="POST" if call.body else "GET", target=f"/function/{call.function}{query}", headers=headers
    )
