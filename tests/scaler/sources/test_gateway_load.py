"""GatewayLoad against real servers that say what the test wants, and against real gateways."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from springtide.gateway.service import Gateway, GatewayDeps, build
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.clock import SystemClock
from springtide.scaler.core.demand import LoadSample
from springtide.scaler.core.observation import Calls
from springtide.scaler.core.vocabulary import FunctionRef, Instant, NoData
from springtide.scaler.sources.gateway_load import GatewayLoad
from springtide.wire.load_stream import End, Load, LoadLine, encode
from tests.gateway.harness import echo, until
from tests.gateway.pooled import pooled, stopped
from tests.gateway.test_system_api import whole

ECHO = FunctionRef("openfaas-fn", "echo")
NAME = "echo.openfaas-fn"
CREDENTIALS = Credentials("admin", "secret")


class Time:
    """Goes on when the test says so. The wall is ``EPOCH`` ahead."""

    def __init__(self) -> None:
        self.moment, self.epoch = 100.0, 1_000_000.0

    def now(self) -> float:
        return self.moment

    def wall(self) -> float:
        return self.moment + self.epoch


class LoadServer:
    """A gateway as far as its load goes: ``tell`` says a line to whoever listens, on the stream that is open."""

    def __init__(self) -> None:
        self.streams: list[asyncio.StreamWriter] = []
        self.authorization = ""
        self.connections = 0
        self.port = 0
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    def cut(self) -> None:
        for writer in self.streams:
            writer.close()
        self.streams.clear()

    def tell(self, line: LoadLine | End | bytes) -> None:
        body = line if isinstance(line, bytes) else encode(line)
        (writer,) = self.streams
        writer.write(b"%x\r\n%b\r\n" % (len(body), body))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            assert head.startswith("GET /system/load?watch=true ")
            self.authorization = next(
                (line.partition(": ")[2] for line in head.split("\r\n") if line.lower().startswith("authorization")), ""
            )
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            self.connections += 1
            self.streams.append(writer)
            await reader.read()


class Source:
    """The source under test, and the clock it has."""

    def __init__(self, load: GatewayLoad, time: Time) -> None:
        self.load, self.time = load, time

    def calls(self) -> Calls | NoData:
        return self.load.calls(ECHO, Instant(self.time.wall()))

    def numbers(self) -> tuple[float, ...] | None:
        """Started, completed, in flight, waiting."""
        calls = self.calls()
        return None if isinstance(calls, NoData) else _numbers(calls.sample)

    async def until(self, *numbers: float) -> None:
        await until(lambda: self.numbers() == numbers)


def _numbers(sample: LoadSample) -> tuple[float, ...]:
    return (sample.started, sample.completed, sample.in_flight, sample.waiting)


@contextlib.asynccontextmanager
async def listening(*urls: str, credentials: Credentials | None = CREDENTIALS) -> AsyncIterator[Source]:
    time = Time()
    load = GatewayLoad(urls, credentials, clock=time)
    running = asyncio.create_task(load.run())
    try:
        yield Source(load, time)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await load.aclose()


@contextlib.asynccontextmanager
async def told(count: int = 1) -> AsyncIterator[tuple[Source, list[LoadServer]]]:
    """A source that listens to so many gateways, which have said nothing."""
    servers = [LoadServer() for _ in range(count)]
    for server in servers:
        await server.start()
    try:
        async with listening(*(server.url for server in servers)) as source:
            await until(lambda: all(server.streams for server in servers))
            yield source, servers
    finally:
        for server in servers:
            await server.stop()


def line(at: float, *numbers: int, life: str = "a", partial: str = "") -> LoadLine:
    return LoadLine(at, {NAME: Load(*numbers)} if numbers else {}, life, partial)


async def test_counters_begin_at_the_first_line_and_grow_with_each() -> None:
    async with told() as (source, (gateway,)):
        assert isinstance(source.calls(), NoData)
        gateway.tell(line(5.0, 1000, 990, 10, 4))
        await source.until(0, 0, 10, 4)
        gateway.tell(line(6.0, 1007, 1000, 7, 1))
        await source.until(7, 10, 7, 1)
        gateway.tell(line(7.0))
        gateway.tell(line(8.0, 1008, 1000, 8, 1))
        await source.until(8, 10, 8, 1)

        assert gateway.authorization == CREDENTIALS.header


async def test_unlisted_function_is_not_known_and_neither_is_a_deleted_one() -> None:
    async with told() as (source, (gateway,)):
        gateway.tell(line(5.0))
        await until(lambda: source.calls() == NoData("no gateway knows this function"))
        gateway.tell(line(6.0, 3, 3, 0, 0))
        await source.until(3, 3, 0, 0)
        gateway.tell(LoadLine(7.0, {NAME: None}, "a"))
        await until(lambda: source.calls() == NoData("no gateway knows this function"))


async def test_gateways_are_summed_and_one_that_has_said_nothing_is_silent() -> None:
    async with told(2) as (source, (one, two)):
        one.tell(line(5.0, 0, 0, 2, 1))
        await source.until(0, 0, 2, 1)
        first = source.calls()
        two.tell(line(6.0, 7, 4, 3, 0, life="b"))
        await source.until(0, 0, 5, 1)

        assert isinstance(first, Calls)
        assert first.silent == (two.url,)
        assert source.load.silent() == ()


async def test_gateway_that_says_nothing_for_three_seconds_is_named_and_left_out() -> None:
    async with told(2) as (source, (one, two)):
        one.tell(line(5.0, 0, 0, 2, 0))
        two.tell(line(5.0, 0, 0, 3, 0, life="b"))
        await source.until(0, 0, 5, 0)
        source.time.moment += 3.0
        assert source.load.silent() == ()
        source.time.moment += 0.5
        two.tell(line(8.5, 4, 4, 3, 0, life="b"))
        await source.until(4, 4, 3, 0)
        calls = source.calls()
        source.time.moment += 4.0
        nothing = source.calls()

        assert isinstance(calls, Calls)
        assert calls.silent == (one.url,)
        assert isinstance(nothing, NoData)
        assert one.url in nothing.why
        assert two.url in nothing.why


async def test_stream_that_breaks_is_read_anew_and_counters_go_on() -> None:
    async with told() as (source, (gateway,)):
        gateway.tell(line(5.0, 10, 8, 2, 0))
        await source.until(0, 0, 2, 0)
        gateway.cut()
        await until(lambda: bool(gateway.streams))
        gateway.tell(line(7.0, 16, 11, 5, 0))

        await source.until(6, 3, 5, 0)


async def test_restarted_gateway_counts_from_its_first_line_and_the_sum_keeps_what_it_has() -> None:
    async with told() as (source, (gateway,)):
        gateway.tell(line(5.0, 10, 8, 2, 0))
        gateway.tell(line(6.0, 15, 14, 1, 0))
        await source.until(5, 6, 1, 0)
        gateway.cut()
        await until(lambda: bool(gateway.streams))
        gateway.tell(line(9.0, life="b"))  # it does not know its functions yet
        gateway.tell(line(10.0, 1, 0, 1, 0, life="b"))
        await source.until(6, 6, 1, 0)


async def test_gateway_that_ends_is_dropped_with_its_calls_and_is_not_silent() -> None:
    async with told(2) as (source, (one, two)):
        one.tell(line(5.0, 0, 0, 9, 9))
        two.tell(line(5.0, 0, 0, 1, 0, life="b"))
        await source.until(0, 0, 10, 9)
        one.tell(line(6.0, 5, 5, 9, 9))
        await source.until(5, 5, 10, 9)
        one.tell(End())
        await one.stop()
        await source.until(5, 5, 1, 0)
        source.time.moment += 2.9
        two.tell(line(7.9, 2, 1, 2, 0, life="b"))
        await source.until(7, 6, 2, 0)
        source.time.moment += 2.9

        assert source.load.silent() == ()


async def test_gateway_away_while_others_are_heard_makes_no_burst() -> None:
    async with told(2) as (source, (one, two)):
        one.tell(line(5.0, 0, 0, 0, 0))
        two.tell(line(5.0, 0, 0, 0, 0, life="b"))
        await source.until(0, 0, 0, 0)
        for second in range(1, 11):
            source.time.moment += 1.0
            two.tell(line(5.0 + second, second, second, 0, 0, life="b"))
            await source.until(second, second, 0, 0)
        one.tell(line(15.0, 1000, 1000, 0, 0))

        await source.until(110, 110, 0, 0)


async def test_only_gateway_away_loses_nothing() -> None:
    async with told() as (source, (gateway,)):
        gateway.tell(line(5.0, 0, 0, 0, 0))
        await source.until(0, 0, 0, 0)
        source.time.moment += 10.0
        gateway.tell(line(15.0, 1000, 1000, 0, 0))

        await source.until(1000, 1000, 0, 0)


async def test_partial_numbers_are_used_and_named() -> None:
    async with told() as (source, (gateway,)):
        gateway.tell(line(5.0, 0, 0, 1, 0))
        await source.until(0, 0, 1, 0)
        source.time.moment += 3.5
        gateway.tell(line(8.5, 6, 0, 7, 0, partial="1 of 2 workers do not tell their numbers"))
        await source.until(6, 0, 7, 0)
        calls = source.calls()

        assert isinstance(calls, Calls)
        assert calls.silent == (gateway.url,)


async def test_what_is_no_line_drops_the_stream_and_is_told_once() -> None:
    with capture_logs() as logs:
        async with told() as (source, (gateway,)):
            for connection in range(1, 4):
                await until(lambda: bool(gateway.streams))
                gateway.tell(b'{"at": 1, "functions": {"echo.openfaas-fn": [1, 2]}}\n')
                gateway.streams.clear()
                await until(lambda seen=connection: gateway.connections > seen)  # type: ignore[misc]
            await until(lambda: bool(gateway.streams))
            gateway.tell(line(5.0, 0, 0, 1, 0))
            await source.until(0, 0, 1, 0)

    told_of = [log for log in logs if log["event"] == "a gateway does not tell its load"]
    assert len(told_of) == 1
    assert "not 4 numbers" in told_of[0]["why"]


@pytest.mark.parametrize("apart_s", [0.0, 7200.0, -7200.0])
async def test_sample_is_as_old_as_its_line_whatever_the_gateways_clock_says(apart_s: float) -> None:
    async with told() as (source, (gateway,)):
        begun = source.time.wall()
        gateway.tell(line(begun + apart_s, 0, 0, 1, 0))
        await source.until(0, 0, 1, 0)
        source.time.moment += 1.5  # so late comes what was true half a second ago
        gateway.tell(line(begun + apart_s + 1.0, 1, 0, 2, 0))
        await source.until(1, 0, 2, 0)
        calls = source.calls()

        assert isinstance(calls, Calls)
        assert calls.sample.at == pytest.approx(begun + 1.0)


async def test_clock_of_ours_that_is_set_back_sets_back_the_samples() -> None:
    async with told() as (source, (gateway,)):
        gateway.tell(line(5.0, 0, 0, 1, 0))
        await source.until(0, 0, 1, 0)
        source.time.epoch -= 3600.0
        calls = source.calls()

        assert isinstance(calls, Calls)
        assert calls.sample.at == pytest.approx(source.time.wall())


async def test_whoever_waits_is_woken_by_each_line() -> None:
    async with told() as (source, (gateway,)):
        for at in (5.0, 6.0):
            gateway.tell(line(at))
            await source.load.heard.wait()
            source.load.heard.clear()


async def test_name_that_is_not_found_is_silent() -> None:
    async with listening("http://no-such-gateway.invalid:8080") as source:
        assert source.load.silent() == ("http://no-such-gateway.invalid:8080",)
        assert isinstance(source.calls(), NoData)


async def test_wrong_password_is_told_and_silent() -> None:
    with capture_logs() as logs:
        async with whole() as suite, listening(suite.url, credentials=Credentials("admin", "wrong")) as source:
            await until(lambda: any("401" in str(log.get("why")) for log in logs))

            assert source.load.silent() == (suite.url,)


async def test_gateway_that_is_restarted_and_two_gateways_of_one_provider() -> None:
    async with whole() as suite, contextlib.AsyncExitStack() as stack:
        await suite.deploy()
        second = await _another(suite.gateway)
        stack.push_async_callback(second.stop)
        source = await stack.enter_async_context(listening(suite.url, f"http://127.0.0.1:{second.port}"))
        await source.until(0, 0, 0, 0)
        await until(lambda: source.load.silent() == ())
        await suite.http.post("/function/echo", content=b"hello")
        await source.until(1, 1, 0, 0)
        await second.stop()
        await suite.http.post("/function/echo", content=b"hello")
        await source.until(2, 2, 0, 0)

        assert source.load.silent() == ()


async def _another(gateway: Gateway) -> Gateway:
    """A second one in front of the same provider."""
    settings = replace(gateway._settings, port=0, metrics_port=0)
    another = build(settings, GatewayDeps(CREDENTIALS, CollectorRegistry(), SystemClock()))
    await another.start()
    return another


async def test_worker_that_is_killed_takes_no_counts_along() -> None:
    async with pooled(echo) as suite, listening(f"http://127.0.0.1:{suite.pool.port}") as source:
        await source.until(0, 0, 0, 0)
        for _ in range(10):
            assert await suite.call() == 200
        await source.until(10, 10, 0, 0)
        for pids in suite.pool.pids().values():
            os.kill(pids[0], signal.SIGKILL)
        await until(lambda: len(suite.pool.serving()) < 2)
        await until(lambda: suite.pool.serving() == {1, 2})
        for _ in range(10):
            assert await suite.call() == 200

        await source.until(20, 20, 0, 0)


async def test_gateway_whose_worker_hangs_is_silent_till_it_goes_on() -> None:
    async with pooled(echo, hung_after_s=600.0) as suite:
        source_clock: Callable[[], float] = asyncio.get_running_loop().time
        async with listening(f"http://127.0.0.1:{suite.pool.port}") as source:
            await source.until(0, 0, 0, 0)
            (one, *_) = sorted(suite.pids())
            begun = source_clock()
            with stopped(one):
                while not source.load.silent():
                    source.time.moment = 100.0 + source_clock() - begun
                    await asyncio.sleep(0.01)
            await until(lambda: source.load.silent() == ())
