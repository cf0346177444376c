"""Who posts: closed loops over kept connections. With a key a post is repeated until it is accepted; without one it
counts only where it was."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

KEYED = 0.25
"""How many posts have an Idempotency-Key."""

DEADLINE_S = 30.0
AGAIN_S = 0.25


@dataclass(frozen=True, slots=True)
class Post:
    number: int
    function: str
    work_s: float
    fails: float
    keyed: bool

    def request(self) -> bytes:
        body = json.dumps({"number": self.number, "work_s": self.work_s, "fails": self.fails}).encode()
        key = f"Idempotency-Key: soak-{self.number}\r\n" if self.keyed else ""
        head = (
            f"POST /async-function/{self.function} HTTP/1.1\r\nHost: soak\r\n{key}Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


@dataclass(slots=True)
class Posted:
    """``accepted``: numbers and the ids of their jobs."""

    accepted: dict[int, str] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    """0: no answer came."""


class Posters:
    def __init__(self, port: Callable[[], int], posts: Iterator[Post], *, think_s: float) -> None:
        self._port, self._posts, self._think_s = port, posts, think_s
        self.posted = Posted()

    async def run(self, posters: int) -> Posted:
        """Until all is posted."""
        async with asyncio.TaskGroup() as group:
            for _ in range(posters):
                group.create_task(self._post_all())
        return self.posted

    async def _post_all(self) -> None:
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        for post in self._posts:
            accepted = False
            while not accepted:
                try:
                    async with asyncio.timeout(DEADLINE_S):
                        connection = connection or await asyncio.open_connection("127.0.0.1", self._port())
                        status, job = await _exchange(*connection, post)
                except (OSError, TimeoutError, EOFError, ValueError):
                    status, job = 0, ""
                self.posted.statuses[status] += 1
                accepted = status == 202
                if accepted:
                    self.posted.accepted[post.number] = job
                elif connection is not None:
                    connection[1].close()
                    connection = None
                if not accepted:
                    await asyncio.sleep(AGAIN_S)
                    if not post.keyed:
                        break
            await asyncio.sleep(random.expovariate(1 / self._think_s) if self._think_s else 0)
        if connection is not None:
            connection[1].close()


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, post: Post) -> tuple[int, str]:
    writer.write(post.request())
    await writer.drain()
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    await reader.readexactly(int(headers.get("content-length", 0)))
    return int(head[0].split()[1]), headers.get("x-call-id", "")
