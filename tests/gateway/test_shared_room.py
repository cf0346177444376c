"""Room of replicas that several workers of a gateway give calls: what each sees of the others, and takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from springtide.gateway import shared_room
from springtide.gateway.shared_room import TURN_S, RoomMemory, SharedRoom, SharedRooms
from tests.gateway.harness import Conversation, ServedPlane, data_plane, get, ref, replica, response

ROWS = 4
ADDRESS = "127.0.0.1:1"


@pytest.fixture
def memory() -> Iterator[RoomMemory]:
    made = RoomMemory.create(ROWS)
    yield made
    made.close()


def rooms_of(memory: RoomMemory, row: int) -> SharedRooms:
    """Those of another process, which has the memory by its descriptor."""
    return SharedRooms(RoomMemory(memory.descriptor, ROWS), row)


def opened(memory: RoomMemory, row: int, address: str = ADDRESS) -> SharedRoom:
    room = rooms_of(memory, row).open(address)
    assert room is not None
    return room


def test_calls_of_all_workers_count(memory: RoomMemory) -> None:
    one, two, elsewhere = opened(memory, 0), opened(memory, 1), opened(memory, 2, "127.0.0.1:2")

    one.take(3)
    two.take()

    assert (one.in_use(), two.in_use(), elsewhere.in_use()) == (4, 4, 0)
    assert two.has_room(5, 0.0)
    assert not two.has_room(4, 0.0)
    one.leave()
    assert two.has_room(4, 0.0)


def test_worker_takes_no_more_than_its_part_while_others_wait(memory: RoomMemory) -> None:
    one, two = opened(memory, 0), opened(memory, 1)
    one.take(3)
    assert one.has_room(6, 0.0)

    two.want(on=True)

    assert not one.has_room(6, 0.0)
    assert two.has_room(6, 0.0)
    two.want(on=False)
    assert one.has_room(6, 0.0)


@pytest.mark.parametrize("limit", [1, 2, 4, 5])
def test_what_a_division_leaves_over_goes_round(memory: RoomMemory, limit: int) -> None:
    rooms = [opened(memory, row) for row in range(3)]
    for room in rooms:
        room.want(on=True)

    parts = []
    for turn in range(3):
        at = (turn + 0.5) * TURN_S
        found = dict.fromkeys(rooms, 0)
        for room in rooms:
            while room.has_room(limit, at):
                room.take()
                found[room] += 1
        for room, calls in found.items():
            for _ in range(calls):
                room.leave()
        parts.append(list(found.values()))

    assert [sum(each) for each in parts] == [limit] * 3
    assert [sum(each) for each in zip(*parts, strict=True)] == [limit] * 3


def test_worker_that_ended_counts_no_more(memory: RoomMemory) -> None:
    one, two = opened(memory, 0), opened(memory, 1)
    one.take(5)
    one.want(on=True)
    assert not two.has_room(5, 0.0)

    memory.clear(0)

    assert two.in_use() == 0
    assert not two.concerns_others()


def test_replica_that_two_objects_stand_for_is_counted_once(memory: RoomMemory) -> None:
    """As when its endpoint changes: the old one finishes its calls while the new one is given others."""
    rooms, two = rooms_of(memory, 0), opened(memory, 1)
    old, new = rooms.open(ADDRESS), rooms.open(ADDRESS)
    assert old is not None
    assert new is not None
    old.take()
    new.take()

    old.leave()
    old.close()

    assert two.in_use() == 1


def test_places_are_used_again(memory: RoomMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_room, "PLACES", 3)
    small = RoomMemory.create(ROWS)
    rooms = SharedRooms(small, 0)
    kept = [rooms.open(f"127.0.0.1:{port}") for port in range(3)]
    assert rooms.open("127.0.0.1:9") is None

    assert kept[1] is not None
    kept[1].close()

    again = rooms.open("127.0.0.1:9")
    assert again is not None
    again.take()
    assert kept[0] is not None
    assert kept[0].in_use() == 0
    small.close()


# Two data planes, as two workers have them.


@asynccontextmanager
async def two_planes(memory: RoomMemory) -> AsyncIterator[tuple[ServedPlane, ServedPlane]]:
    async with AsyncExitStack() as stack:
        one, two = [await stack.enter_async_context(data_plane(rooms=rooms_of(memory, row))) for row in range(2)]
        yield one, two


class Held:
    """Answers when it is told to; ``most`` is how many calls it had at once."""

    def __init__(self) -> None:
        self.let_go = asyncio.Semaphore(0)
        self.now = self.most = 0

    async def __call__(self, conversation: Conversation) -> None:
        while True:
            await conversation.request()
            self.now += 1
            self.most = max(self.most, self.now)
            await self.let_go.acquire()
            self.now -= 1
            await conversation.send(response())


async def status(gateway: ServedPlane) -> int:
    async with gateway.connect() as caller:
        await caller.send(get())
        return (await caller.answer()).status


@pytest.mark.uvloop
async def test_worker_takes_the_room_that_another_one_leaves(memory: RoomMemory) -> None:
    handler = Held()
    async with two_planes(memory) as (one, two), replica(handler, max_inflight=5) as server:
        for gateway in (one, two):
            gateway.publish("echo", [server])

        first = [asyncio.create_task(status(one)) for _ in range(5)]
        await one.until(lambda: handler.now == 5)
        second = [asyncio.create_task(status(two)) for _ in range(5)]
        await two.until(lambda: two.route().metrics.held == 5)
        for ended in range(1, 6):
            handler.let_go.release()
            await two.until(lambda ended=ended: len(server.received) == 5 + ended)  # type: ignore[misc]

        for _ in range(5):
            handler.let_go.release()
        assert await asyncio.gather(*first, *second) == [200] * 10
        assert handler.most == 5
        assert two.route().metrics.refused == {}


@pytest.mark.uvloop
async def test_worker_without_calls_of_its_own_is_not_starved(memory: RoomMemory) -> None:
    handler = Held()
    async with two_planes(memory) as (busy, other), replica(handler, max_inflight=1) as server:
        for gateway in (busy, other):
            gateway.publish("echo", [server])
        many = [asyncio.create_task(status(busy)) for _ in range(200)]
        await busy.until(lambda: busy.route().metrics.held == 199)
        one = asyncio.create_task(status(other))
        await other.until(lambda: other.route().metrics.held == 1)

        while not one.done():
            handler.let_go.release()
            served = len(server.received)
            await busy.until(lambda served=served: len(server.received) > served or one.done())  # type: ignore[misc]

        assert busy.route().metrics.held > 0
        for task in many:
            task.cancel()
        await asyncio.gather(*many, return_exceptions=True)


@pytest.mark.uvloop
async def test_replica_that_is_gone_has_no_place_any_more(memory: RoomMemory) -> None:
    async with two_planes(memory) as (one, _), replica(max_inflight=5) as server:
        one.publish("echo", [server])
        assert any(memory.flags)

        one.remove("echo")

        assert not any(memory.flags)
        assert one.plane.table.of(ref("echo")) is None
