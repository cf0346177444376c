"""GatewayPeriods over real sockets: every gateway tells, or nothing is known."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from springtide.runtime.errors import Unavailable
from springtide.scaler.sources.busy_periods import GatewayPeriods
from springtide.wire import busy_periods
from springtide.wire.busy_periods import BusyReport, FunctionPeriods, Period
from tests.fakes.http import HttpServer

pytestmark = pytest.mark.uvloop


def told(life: str, *, ahead_s: float = 0.0) -> BusyReport:
    at = time.time() + ahead_s
    return BusyReport(at, life, at - 100, {"echo.openfaas-fn": FunctionPeriods([Period(at - 50, at - 40, 3)])})


@asynccontextmanager
async def against(
    *answers: tuple[int, bytes], deadline_s: float = 3.0
) -> AsyncIterator[tuple[GatewayPeriods, list[str]]]:
    """A source that asks a gateway for each answer, and what they were asked."""
    asked: list[str] = []
    async with AsyncExitStack() as stack:
        servers = []
        for status, body in answers:

            async def answer(path: str, status: int = status, body: bytes = body) -> tuple[int, bytes]:
                asked.append(path)
                return status, body

            servers.append(HttpServer(answer))
            await servers[-1].start()
            stack.push_async_callback(servers[-1].stop)
        urls = [f"http://127.0.0.1:{server.port}/metrics" for server in servers]
        source = GatewayPeriods(urls, deadline_s=deadline_s)
        stack.push_async_callback(source.aclose)
        yield source, asked


async def test_all_gateways_are_asked_for_what_ended_since() -> None:
    answers = [told("one"), told("two")]
    async with against(*((200, busy_periods.encode(answer)) for answer in answers)) as (source, asked):
        found = await source.told(1234.5, time.time())

    assert sorted(one.gateway for one in found.values()) == ["one", "two"]
    assert set(asked) == {"/busy-periods?since=1234.500"}


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        pytest.param(503, b"a worker does not answer", "answered 503", id="one that does not know now"),
        pytest.param(404, b"not found", "answered 404", id="one of an older version"),
        pytest.param(200, b"<html>", "not busy periods", id="something else"),
        pytest.param(200, busy_periods.encode(told("x", ahead_s=3600)), "clock", id="one whose clock is wrong"),
    ],
)
async def test_one_gateway_that_does_not_tell_makes_everything_unknown(status: int, body: bytes, why: str) -> None:
    async with against((200, busy_periods.encode(told("one"))), (status, body)) as (source, _):
        with pytest.raises(Unavailable, match=why):
            await source.told(0, time.time())


async def test_gateway_that_is_not_there_is_named() -> None:
    source = GatewayPeriods(["http://127.0.0.1:9"])
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:9"):
        await source.told(0, time.time())
    await source.aclose()
