"""A server that leaves writes unanswered: who finds that waits for it, and nobody after."""

from __future__ import annotations

import asyncio

import pytest

from springtide.runtime.errors import Unavailable
from springtide.wire.jobs.nats.unstored import TRIAL_S, Unstored

pytestmark = pytest.mark.virtual_time
ANSWER_S = 10.0


class Server:
    """Answers writes after ``takes_s``; whoever waits does so for ten seconds."""

    def __init__(self) -> None:
        self.takes_s = 0.0
        self.writes = 0
        self.unstored = Unstored()

    async def write(self) -> str:
        self.writes += 1
        async with asyncio.timeout(ANSWER_S):
            await asyncio.sleep(self.takes_s)
        return "stored"

    async def asked(self, stream: str = "OF_mail") -> tuple[str | type[Exception], float]:
        """What came of it, and after how long."""
        began = asyncio.get_running_loop().time()
        try:
            came: str | type[Exception] = await self.unstored.answered(stream, self.write)
        except (Unavailable, TimeoutError) as error:
            came = type(error)
        return came, round(asyncio.get_running_loop().time() - began, 2)


async def test_only_those_wait_who_came_before_it_was_known() -> None:
    server = Server()
    assert await server.asked() == ("stored", 0.0)
    server.takes_s = 60.0
    first = await asyncio.gather(*(server.asked() for _ in range(3)))
    assert first == [(TimeoutError, ANSWER_S)] * 3
    assert await asyncio.gather(*(server.asked() for _ in range(3))) == [
        (Unavailable, TRIAL_S),
        (Unavailable, 0.0),
        (Unavailable, 0.0),
    ]
    assert server.writes == 1 + 3 + 1


async def test_one_at_a_time_tries_for_as_long_as_it_lasts() -> None:
    server = Server()
    server.takes_s = 60.0
    await server.asked()
    for _ in range(100):
        await server.asked()
        await asyncio.sleep(0.9)
    assert 9 <= server.writes <= 12


async def test_an_answer_ends_it_also_one_for_which_nobody_waits_any_more() -> None:
    server = Server()
    server.takes_s = 60.0
    await server.asked()
    server.takes_s = 5.0
    assert await server.asked() == (Unavailable, TRIAL_S)
    assert len(server.unstored) == 1
    await asyncio.sleep(5.0)
    assert len(server.unstored) == 0
    assert await server.asked() == ("stored", 5.0)


async def test_other_streams_are_stored_to_meanwhile() -> None:
    server = Server()
    server.takes_s = 60.0
    await server.asked()
    server.takes_s = 0.0
    assert await server.asked("OF_other") == ("stored", 0.0)
    assert len(server.unstored) == 1


async def test_a_server_that_was_started_anew_is_believed() -> None:
    server = Server()
    server.takes_s = 60.0
    await server.asked()
    trial = asyncio.create_task(server.asked())
    await asyncio.sleep(0.1)
    server.unstored.forget()
    server.takes_s = 3.0
    assert await server.asked() == ("stored", 3.0)
    assert await trial == (Unavailable, TRIAL_S)
    await asyncio.sleep(ANSWER_S)
    assert len(server.unstored) == 0, "what the one before left unanswered says nothing of this one"


async def test_what_a_trial_raises_is_its_callers() -> None:
    server = Server()
    server.takes_s = 60.0
    await server.asked()

    async def refused() -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await server.unstored.answered("OF_mail", refused)
    assert await server.asked() == (Unavailable, TRIAL_S)
