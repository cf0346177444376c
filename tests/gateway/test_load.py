"""``/system/load`` of real gateways: what is told, to whom, and what deaths and slow readers do to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from springtide.gateway.load_counts import MonotonicLoad
from springtide.gateway.load_streams import MAX_LOAD_STREAMS, LoadStreams
from springtide.provider.spec import FunctionSpec
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire import load_stream
from springtide.wire.load_stream import End, Load, LoadLine, decode
from tests.gateway.harness import Conversation, client, echo, get, post
from tests.gateway.pooled import load, more, pooled, stopped
from tests.gateway.test_system_api import whole

ECHO = "echo.openfaas-fn"


class Reader:
    """What one stream says, added up as a scaler would."""

    def __init__(self, lines: AsyncIterator[bytes]) -> None:
        self._lines = lines
        self.known: dict[str, Load] = {}
        self.line = LoadLine(0.0)
        self.ended = False

    async def next(self) -> LoadLine | End | None:
        """None where the stream breaks off."""
        text = b""
        with contextlib.suppress(httpx.TransportError):
            text = await anext(self._lines, b"")
        if not text:
            return None
        line = decode(text)
        if isinstance(line, End):
            self.ended = True
            return line
        self.line = line
        for name, now in line.functions.items():
            if now is None:
                self.known.pop(name, None)
                continue
            before = self.known.get(name)
            assert before is None or (now.started >= before.started and now.completed >= before.completed)
            self.known[name] = now
        return line

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            assert await self.next() is not None, self.known

    def is_now(self, started: int, completed: int, in_flight: int, waiting: int = 0, name: str = ECHO) -> bool:
        return self.known.get(name) == Load(started, completed, in_flight, waiting)


@contextlib.asynccontextmanager
async def reading(http: httpx.AsyncClient) -> AsyncIterator[Reader]:
    async with http.stream("GET", "/system/load", params={"watch": "true"}) as answer:
        assert answer.status_code == 200
        chunks = answer.aiter_raw()
        lines = load_stream.lines(chunks)
        yield Reader(lines)


async def never(conversation: Conversation) -> None:
    await conversation.request()
    await conversation.gone()


async def test_calls_are_told_as_they_begin_wait_and_end() -> None:
    async with whole() as suite, reading(suite.http) as reader:
        await suite.deploy(labels={"com.openfaas.scale.min": "1"})
        await reader.until(lambda: ECHO in reader.known)
        async with client(suite.gateway.port) as caller:
            await caller.send(post(b"hello"))
            await caller.answer()

        await reader.until(lambda: reader.is_now(1, 1, 0))
        route = suite.route
        route.metrics.begin(suite.gateway._deps.clock.wall())
        route.metrics.held += 1
        await reader.until(lambda: reader.is_now(2, 1, 1, 1))
        route.metrics.held -= 1
        route.metrics.end(200, 0.1, suite.gateway._deps.clock.wall())
        await reader.until(lambda: reader.is_now(2, 2, 0))

        line = await reader.next()
        assert isinstance(line, LoadLine)
        assert line.functions == {}, "a line comes though nothing changed"


async def test_deleted_function_is_told_and_one_look_needs_no_stream() -> None:
    async with whole() as suite, reading(suite.http) as reader:
        await suite.deploy()
        await reader.until(lambda: ECHO in reader.known)
        one = await suite.http.get("/system/load")
        await suite.http.request("DELETE", "/system/functions", json={"functionName": "echo"})
        await reader.until(lambda: ECHO not in reader.known)

    look = decode(one.content)
    assert isinstance(look, LoadLine)
    assert look.functions == {ECHO: Load(0, 0, 0, 0)}
    assert one.headers["content-type"] == "application/json"


async def test_wrong_password_reads_nothing() -> None:
    async with whole() as suite:
        answer = await suite.http.get("/system/load", params={"watch": "true"}, auth=("admin", "wrong"))

    assert answer.status_code == 401


async def test_more_streams_than_there_are_places_are_refused() -> None:
    async with whole() as suite, contextlib.AsyncExitStack() as stack:
        for _ in range(MAX_LOAD_STREAMS):
            reader = await stack.enter_async_context(reading(suite.http))
            await reader.next()
        refused = await suite.http.get("/system/load", params={"watch": "true"})

    assert refused.status_code == 429


async def test_gateway_that_ends_says_so() -> None:
    async with whole() as suite, reading(suite.http) as reader:
        await reader.next()
        stopping = asyncio.create_task(suite.gateway.stop())
        await reader.until(lambda: reader.ended)
        await stopping


async def test_all_workers_calls_are_told_by_whichever_is_asked() -> None:
    async with pooled(echo) as suite, reading(suite.http) as reader:
        for _ in range(20):  # connections of their own: the kernel deals them out
            assert await suite.call() == 200

        await reader.until(lambda: reader.is_now(20, 20, 0))


async def test_counters_outlive_a_worker_and_its_calls_under_way_do_not() -> None:
    async with pooled(never) as suite, contextlib.AsyncExitStack() as stack:
        reader = await stack.enter_async_context(reading(suite.http))
        callers = [await stack.enter_async_context(client(suite.pool.port)) for _ in range(20)]
        for caller in callers:
            await caller.send(get())
        await reader.until(lambda: reader.is_now(20, 0, 20))
        before = reader.line.gateway
        for pids in suite.pool.pids().values():
            os.kill(pids[0], signal.SIGKILL)  # the one that serves the stream, too
        while await reader.next() is not None:
            pass
        await suite.until_whole_without(-1)

        anew = await stack.enter_async_context(reading(suite.http))
        await anew.until(lambda: anew.known.get(ECHO, Load(0, 0, 9, 0)).in_flight == 0)

        assert anew.known[ECHO].started >= 20
        assert anew.line.gateway == before, "so that a reader knows that counters go on"
        assert not reader.ended


async def test_calls_of_all_workers_add_up_to_what_callers_saw() -> None:
    async with pooled() as suite, reading(suite.http) as reader:
        async with load(suite) as seen:
            await more(seen)
            await reader.until(lambda: reader.known.get(ECHO, Load(0, 0, 0, 0)).completed > 50)

        done = seen["right"]
        await reader.until(lambda: reader.is_now(done, done, 0))


async def test_worker_that_hangs_is_named_and_the_others_are_told_on() -> None:
    async with pooled(echo, hung_after_s=600.0) as suite, contextlib.AsyncExitStack() as stack:
        reader = await stack.enter_async_context(reading(suite.http))
        await reader.next()
        (serving,) = {member.process.pid for member in suite.pool._load._wanted}  # type: ignore[attr-defined]
        (other,) = suite.pids() - {serving}
        with stopped(other):
            await reader.until(lambda: "1 of 2 workers" in reader.line.partial)
        await reader.until(lambda: not reader.line.partial)


async def test_gateway_of_several_workers_says_that_it_ends() -> None:
    async with pooled(echo) as suite, reading(suite.http) as reader:
        await reader.next()
        stopping = asyncio.create_task(suite.pool.stop())
        await reader.until(lambda: reader.ended)
        await stopping


async def test_five_thousand_functions_come_in_one_line() -> None:
    async with pooled(echo) as suite:
        for number in range(5000):
            await suite.provider.deploy(FunctionSpec(ref=FunctionRef("openfaas-fn", f"f-{number}"), image="any"))
        async with reading(suite.http) as reader:
            await reader.until(lambda: len(reader.known) == 5001)


class Told:
    """A feed in the hands of a test."""

    def __init__(self) -> None:
        self.lines: asyncio.Queue[LoadLine] = asyncio.Queue()

    async def follow(self) -> AsyncIterator[LoadLine]:
        while True:
            yield await self.lines.get()


@pytest.mark.virtual_time
async def test_slow_reader_is_told_the_newest_of_everything_it_missed() -> None:
    feed = Told()
    streams = LoadStreams(feed)  # type: ignore[arg-type]
    lines = streams.lines()
    feed.lines.put_nowait(LoadLine(1.0, {"a": Load(0, 0, 0, 0), "b": Load(0, 0, 0, 0), "c": Load(1, 0, 1, 0)}))
    await anext(lines)
    for number in range(1, 1001):
        feed.lines.put_nowait(LoadLine(1.0 + number, {"a": Load(number, number, 0, 0), "c": None}))
    await asyncio.sleep(1)

    line = await anext(lines)
    await lines.aclose()

    assert line == LoadLine(1001.0, {"a": Load(1000, 1000, 0, 0), "c": None})


def test_counters_that_begin_anew_are_told_as_going_on() -> None:
    counters = MonotonicLoad()
    counters.changes([("a", Load(10, 8, 2, 1))])

    assert counters.changes([("a", Load(1, 0, 1, 0))]) == {"a": Load(11, 8, 1, 0)}
    assert counters.changes([("a", Load(3, 2, 1, 0))]) == {"a": Load(13, 10, 1, 0)}
    assert counters.changes([("a", Load(3, 2, 1, 0))]) == {}
    assert counters.changes([("a", None), ("b", None)]) == {"a": None}
    assert counters.changes([("a", Load(1, 1, 0, 0))]) == {"a": Load(1, 1, 0, 0)}
