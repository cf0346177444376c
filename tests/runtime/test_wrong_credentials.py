"""Wrong passwords: counted, told in a bounded log, held back; right ones never wait."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import structlog

from springtide.runtime.asgi import respond
from springtide.runtime.basic_auth import Credentials, RequireBasicAuth
from springtide.runtime.wrong_credentials import WrongCredentials

pytestmark = pytest.mark.virtual_time


RIGHT, WRONG = Credentials("admin", "s3cret"), Credentials("admin", "guess")


class Guarded:
    """An application behind a password, asked without a server between."""

    def __init__(self) -> None:
        self.counted = 0
        self.app = RequireBasicAuth(self._hello, credentials=RIGHT, wrong=WrongCredentials(self._count))

    def _count(self) -> None:
        self.counted += 1

    async def _hello(self, _scope: Any, _receive: Any, send: Any) -> None:
        await respond(send, 200)

    async def ask(self, credentials: Credentials | None, **headers: str) -> tuple[int, float]:
        """The status, and how long it took."""
        loop, status = asyncio.get_running_loop(), 0
        named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        if credentials is not None:
            named.append((b"authorization", credentials.header.encode()))
        scope = {"type": "http", "method": "GET", "path": "/system/info", "headers": named, "client": ("10.0.0.9", 1)}

        async def send(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)

        started = loop.time()
        await self.app(scope, None, send)  # type: ignore[arg-type]  # nothing is received
        return status, loop.time() - started


async def test_each_wrong_password_waits_longer_and_a_right_one_never() -> None:
    guarded = Guarded()
    waits = [(await guarded.ask(WRONG))[1] for _ in range(300)]
    assert waits[0] == pytest.approx(0.01)
    assert waits == sorted(waits)
    assert waits[-1] > 0.5
    assert await guarded.ask(RIGHT) == (200, 0.0)
    assert await guarded.ask(None) == (401, 0.0)
    assert guarded.counted == 300

    await asyncio.sleep(600)
    assert (await guarded.ask(WRONG))[1] == pytest.approx(0.01, rel=0.1)


async def test_guesses_side_by_side_wait_and_hold_a_bounded_number_of_connections() -> None:
    guarded = Guarded()
    answers = await asyncio.gather(*(guarded.ask(WRONG) for _ in range(1000)))
    assert {status for status, _ in answers} == {401}
    assert sum(wait > 0 for _, wait in answers) == 100
    assert max(wait for _, wait in answers) <= 2.0
    assert guarded.counted == 1000


async def test_log_has_a_line_at_once_and_then_one_a_minute_with_how_many() -> None:
    guarded = Guarded()
    with structlog.testing.capture_logs() as lines:
        for _ in range(200):
            await guarded.ask(WRONG, x_forwarded_for="192.0.2.7\n, 10.0.0.1")
        await asyncio.sleep(300)
    assert lines[0]["times"] == 1
    assert sum(line["times"] for line in lines) == 200
    assert len(lines) <= 4
    assert lines[0]["client"] == "192.0.2.7\n, 10.0.0.1"
    assert "guess" not in str(lines)
