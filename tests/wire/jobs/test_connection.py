"""The connection to a server that is not there."""

from __future__ import annotations

import asyncio

import pytest

from springtide.runtime.errors import Unavailable
from springtide.wire.jobs.nats.connection import Connection
from springtide.wire.jobs.settings import BrokerSettings

CALLERS = 20


async def test_callers_that_wait_for_the_same_attempt_are_told_its_end_together() -> None:
    """Otherwise each would make one of its own after the other, and the last would wait for minutes."""
    begun = 0

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal begun
        begun += 1
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        connection = Connection(BrokerSettings(nats_url=(f"nats://127.0.0.1:{port}",)), name="test")
        with pytest.raises(Unavailable):
            await connection.client()
        one, begun = begun, 0

        ends = await asyncio.gather(*(connection.client() for _ in range(CALLERS)), return_exceptions=True)

        assert all(isinstance(end, Unavailable) and str(port) in str(end) for end in ends)
        assert 0 < begun < one * CALLERS / 4
        begun = 0
        with pytest.raises(Unavailable):
            await connection.client()
        assert begun > 0, "who comes later tries anew"
