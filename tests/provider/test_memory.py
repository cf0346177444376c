"""What MemoryProvider offers beyond the contract: replicas handed in, time, and word of what happened to them."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

import pytest

from springtide.provider.memory import MemoryProvider, ready_after
from springtide.provider.memory.logs import MAX_LINES, MAX_UNREAD, LogBuffer
from springtide.provider.memory.replicas import RETRY
from springtide.provider.ports import LogLine, LogQuery
from springtide.provider.spec import FunctionSpec, Usage
from springtide.runtime.errors import NotFound, Unavailable
from springtide.runtime.virtual_time import EPOCH
from springtide.scaler.core.policy import MIN
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE, FunctionRef, Instant
from springtide.wire.endpoint_stream import Changed, Endpoint
from tests.loops import virtual_loop

ECHO = FunctionRef(DEFAULT_NAMESPACE, "echo")
SPEC = FunctionSpec(ref=ECHO, image="x")
TWO = FunctionSpec(ref=ECHO, image="x", labels={MIN: "2"})


@dataclass(slots=True)
class Host:
    """Starts replicas in one virtual second each, unless told to fail; keeps account."""

    failures: int = 0
    asked: list[tuple[float, str]] = field(default_factory=list)
    running: set[str] = field(default_factory=set)
    stopped: Counter[str] = field(default_factory=Counter)

    async def start(self, _ref: FunctionRef, instance: str) -> Endpoint:
        self.asked.append((asyncio.get_running_loop().time(), instance))
        await asyncio.sleep(1)
        if self.failures:
            self.failures -= 1
            raise Unavailable("no such image")
        self.running.add(instance)
        return Endpoint(instance, "127.0.0.1", 40_000 + len(self.asked))

    async def stop(self, _ref: FunctionRef, instance: str) -> None:
        self.stopped[instance] += 1
        self.running.discard(instance)


@asynccontextmanager
async def hosted(*, failures: int = 0) -> AsyncIterator[tuple[MemoryProvider, Host]]:
    """Every replica that was started is stopped once in the end."""
    host = Host(failures)
    memory = MemoryProvider(virtual_loop().clock, start_replica=host.start, stop_replica=host.stop)
    yield memory, host
    await memory.aclose()
    assert host.running == set()
    assert host.stopped == Counter({instance for _, instance in host.asked})


async def scale(memory: MemoryProvider) -> tuple[int, int]:
    found = (await memory.read(ECHO)).scale
    return found.desired, found.ready


@pytest.mark.virtual_time
async def test_replica_counts_as_ready_once_it_was_started() -> None:
    async with hosted() as (memory, _):
        await memory.deploy(TWO)
        assert await scale(memory) == (2, 0)

        await asyncio.sleep(1.5)

        assert await scale(memory) == (2, 2)


@pytest.mark.virtual_time
async def test_birthday_is_the_clocks_and_survives_updates() -> None:
    async with hosted() as (memory, _):
        await asyncio.sleep(7)
        await memory.deploy(SPEC)
        await asyncio.sleep(60)
        await memory.deploy(TWO)

        assert (await memory.read(ECHO)).created_at == EPOCH + 7


@pytest.mark.virtual_time
async def test_failed_start_is_told_and_tried_again_ever_later() -> None:
    async with hosted(failures=8) as (memory, host):
        await memory.deploy(SPEC)
        await asyncio.sleep(1.25)
        assert (await memory.status(ECHO)).problem == "no such image"

        await asyncio.sleep(200)

        times = [at for at, _ in host.asked]
        pauses = [later - earlier - 1 for earlier, later in itertools.pairwise(times)]
        assert pauses == [RETRY.min_s, 1, 2, 4, 8, 16, RETRY.max_s, RETRY.max_s]
        assert len({instance for _, instance in host.asked}) == 1
        assert (await memory.status(ECHO)).problem is None
        assert await scale(memory) == (1, 1)


@pytest.mark.virtual_time
async def test_scale_down_drops_replicas_that_are_not_ready_first() -> None:
    async with hosted() as (memory, host):
        await memory.deploy(SPEC)
        await asyncio.sleep(2)
        settled = set(host.running)
        await memory.write(ECHO, 3, expect=None, decision=None)
        await asyncio.sleep(0.5)

        await memory.write(ECHO, 1, expect=None, decision=None)
        await asyncio.sleep(5)

        assert host.running == settled
        assert len(host.asked) == 3


@pytest.mark.virtual_time
async def test_rolling_update_exchanges_replicas_one_for_one() -> None:
    async with hosted() as (memory, host):
        await memory.deploy(TWO)
        await asyncio.sleep(2)
        old = set(host.running)
        counts: list[int] = []

        async def count() -> None:
            async with aclosing(memory.watch_endpoints()) as events:
                async for event in events:
                    match event:
                        case Changed(function):
                            counts.append(len(function.endpoints))

        counting = asyncio.create_task(count())
        await asyncio.sleep(0)
        await memory.update(TWO)
        await asyncio.sleep(5)
        counting.cancel()
        await asyncio.wait([counting])

        assert host.running & old == set()
        assert len(host.running) == 2
        assert set(counts) == {2}


@pytest.mark.virtual_time
async def test_update_while_an_update_is_under_way_ends_with_the_last_generation() -> None:
    async with hosted() as (memory, host):
        await memory.deploy(TWO)
        await asyncio.sleep(2)
        await memory.update(TWO)
        await asyncio.sleep(0.5)
        await memory.update(TWO)
        assert await scale(memory) == (2, 2)

        await asyncio.sleep(5)

        assert host.running == {instance for _, instance in host.asked[-2:]}


@pytest.mark.virtual_time
async def test_function_put_to_sleep_in_the_middle_of_an_update_sleeps() -> None:
    async with hosted() as (memory, host):
        await memory.deploy(TWO)
        await asyncio.sleep(2)
        await memory.update(TWO)

        await memory.write(ECHO, 0, expect=None, decision=None)
        await asyncio.sleep(5)

        assert host.running == set()
        assert await scale(memory) == (0, 0)


@pytest.mark.virtual_time
async def test_replica_that_is_lost_is_replaced() -> None:
    async with hosted() as (memory, host):
        await memory.deploy(SPEC)
        await asyncio.sleep(2)
        (lost,) = host.running

        memory.lose_replica(ECHO, lost)
        assert await scale(memory) == (1, 0)
        await asyncio.sleep(2)

        assert await scale(memory) == (1, 1)
        assert lost not in host.running


@pytest.mark.virtual_time
async def test_losing_a_replica_nobody_knows_changes_nothing() -> None:
    async with hosted() as (memory, host):
        await memory.deploy(SPEC)
        await asyncio.sleep(2)

        memory.lose_replica(ECHO, "stranger")
        await asyncio.sleep(2)

        assert len(host.asked) == 1


@pytest.mark.virtual_time
async def test_deleted_function_stops_its_replicas_also_those_that_start() -> None:
    async with hosted() as (memory, host):
        await memory.deploy(SPEC)
        await asyncio.sleep(2)
        await memory.write(ECHO, 2, expect=None, decision=None)

        await memory.delete(ECHO)
        await asyncio.sleep(5)

        assert host.running == set()
        assert sum(host.stopped.values()) == 2


@pytest.mark.virtual_time
async def test_function_deployed_anew_is_not_disturbed_by_its_former_replicas() -> None:
    async with hosted() as (memory, _):
        await memory.deploy(SPEC)
        await asyncio.sleep(0.5)
        await memory.delete(ECHO)
        await memory.deploy(TWO)

        await asyncio.sleep(5)

        assert await scale(memory) == (2, 2)


@pytest.mark.virtual_time
async def test_ready_after_waits_on_the_loops_clock() -> None:
    memory = MemoryProvider(start_replica=ready_after(3600))
    await memory.deploy(SPEC)

    await asyncio.sleep(3599)
    assert await scale(memory) == (1, 0)
    await asyncio.sleep(2)
    assert await scale(memory) == (1, 1)


async def test_usage_comes_from_what_measures_it_and_only_when_asked() -> None:
    memory = MemoryProvider(measure=lambda ref: Usage(12.5, 1024) if ref == ECHO else None)
    await memory.deploy(SPEC)

    assert (await memory.status(ECHO)).usage is None
    assert (await memory.status(ECHO, usage=True)).usage == Usage(12.5, 1024)


async def test_secret_value_is_there_for_what_stands_in_for_replicas() -> None:
    memory = MemoryProvider()
    await memory.put_secret(DEFAULT_NAMESPACE, "token", b"1", replace=False)
    await memory.put_secret(DEFAULT_NAMESPACE, "token", b"2", replace=True)

    assert memory.secret_value(DEFAULT_NAMESPACE, "token") == b"2"
    with pytest.raises(NotFound):
        memory.secret_value(DEFAULT_NAMESPACE, "other")


async def test_log_of_a_function_that_is_gone_is_dropped() -> None:
    memory = MemoryProvider()
    await memory.deploy(SPEC)
    await memory.delete(ECHO)

    memory.write_log(ECHO, "echo-1", "too late")
    await memory.deploy(SPEC)

    async with aclosing(memory.logs(LogQuery(ECHO))) as lines:
        assert [line async for line in lines] == []


def line(number: int) -> LogLine:
    return LogLine(ECHO, "echo-1", Instant(number), str(number))


async def test_log_buffer_keeps_the_newest_lines() -> None:
    buffer = LogBuffer()
    for number in range(MAX_LINES + 5):
        buffer.append(line(number))

    kept = [int(found.text) async for found in buffer.read(LogQuery(ECHO))]

    assert kept == list(range(5, MAX_LINES + 5))


async def test_follower_that_lags_loses_the_oldest_and_still_ends() -> None:
    buffer = LogBuffer()
    buffer.append(line(0))
    async with aclosing(buffer.read(LogQuery(ECHO, follow=True))) as lines:
        await anext(lines)
        for number in range(1, MAX_UNREAD + 11):
            buffer.append(line(number))
        buffer.close()

        seen = [int(found.text) async for found in lines]

    assert seen == list(range(12, MAX_UNREAD + 11))
