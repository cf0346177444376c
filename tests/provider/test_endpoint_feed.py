from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from springtide.provider.endpoint_feed import EndpointFeed
from springtide.scaler.core.ownership import Scalers
from springtide.scaler.core.vocabulary import FunctionRef, Writer
from springtide.wire.endpoint_stream import Changed, Event, FunctionEndpoints, Removed, Snapshot, merge


def function(name: str, replicas: int = 1) -> FunctionEndpoints:
    return FunctionEndpoints(FunctionRef("openfaas-fn", name), replicas, "1")


async def unread(events: AsyncGenerator[Event, None]) -> list[Event]:
    """What a watcher can read now without waiting."""
    found: list[Event] = []
    while True:
        reading = asyncio.ensure_future(anext(events))
        for _ in range(3):
            await asyncio.sleep(0)
        if not reading.done():
            reading.cancel()
            await asyncio.wait([reading])
            return found
        found.append(reading.result())


async def test_changes_of_one_function_are_coalesced_into_the_latest() -> None:
    feed = EndpointFeed()
    async with aclosing(feed.watch()) as events:
        assert await anext(events) == Snapshot(())
        for replicas in range(5):
            feed.publish(function("a", replicas))
        feed.publish(function("b"))
        feed.publish(function("c"))
        feed.remove(function("c").ref)

        assert await unread(events) == [
            Changed(replace(function("a", 4), wakes=1)),
            Changed(function("b")),
            Removed(function("c").ref),
        ]


async def test_what_is_published_again_unchanged_is_not_told() -> None:
    feed = EndpointFeed()
    feed.publish(function("a"))
    async with aclosing(feed.watch()) as events:
        await anext(events)
        feed.publish(function("a"))
        feed.remove(function("stranger").ref)

        assert await unread(events) == []


async def test_snapshot_is_sorted() -> None:
    feed = EndpointFeed()
    for name in ("c", "a", "b"):
        feed.publish(function(name))
    async with aclosing(feed.watch()) as events:
        assert await anext(events) == Snapshot((function("a"), function("b"), function("c")))


async def test_watcher_too_far_behind_starts_over_with_a_snapshot() -> None:
    feed = EndpointFeed(most_unread=3)
    async with aclosing(feed.watch()) as slow:
        await anext(slow)
        for name in "abcde":
            feed.publish(function(name))

        assert await anext(slow) == Snapshot(tuple(function(name) for name in "abcde"))

        feed.publish(function("f"))
        assert await anext(slow) == Changed(function("f"))


async def test_watcher_that_left_is_forgotten() -> None:
    feed = EndpointFeed()
    async with aclosing(feed.watch()) as events:
        await anext(events)
        assert repr(feed) == "<EndpointFeed 0 functions, 1 watchers>"

    assert repr(feed) == "<EndpointFeed 0 functions, 0 watchers>"


STEPS = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from([None, 0, 1, 2]), st.booleans()), max_size=30)


@given(steps=STEPS, most_unread=st.integers(1, 4))
async def test_every_watcher_ends_up_with_the_table(
    steps: list[tuple[str, int | None, bool]], most_unread: int
) -> None:
    """Whatever happens, and whenever a watcher reads, merging what it read gives the table as it is."""

    feed = EndpointFeed(most_unread=most_unread)
    truth: dict[FunctionRef, FunctionEndpoints] = {}
    async with aclosing(feed.watch()) as events:
        seen = merge({}, [await anext(events)])
        for name, replicas, reads in steps:
            found = function(name, replicas or 0)
            if replicas is None:
                feed.remove(found.ref)
                truth.pop(found.ref, None)
            else:
                feed.publish(found)
                before = truth.get(found.ref, found)
                truth[found.ref] = replace(found, wakes=before.wakes + (before.replicas == 0 < found.replicas))
            if reads:
                seen = merge(seen, await drained(events, feed))
        seen = merge(seen, await drained(events, feed))
    assert seen == truth


async def drained(events: AsyncGenerator[Event, None], feed: EndpointFeed) -> list[Event]:
    """All there is to read, up to a mark published for that."""
    mark = function("mark")
    feed.remove(mark.ref)
    feed.publish(mark)
    found: list[Event] = []
    async for event in events:
        found.append(event)
        if mark.ref in merge({}, [event]):
            break
    feed.remove(mark.ref)
    async for event in events:
        found.append(event)
        if event == Removed(mark.ref) or isinstance(event, Snapshot):
            return found
    return found


async def test_owner_is_told_by_the_labels_and_by_what_runs_here() -> None:
    feed = EndpointFeed(Scalers(loop=True))
    follows = FunctionRef("openfaas-fn", "follows")
    feed.publish(FunctionEndpoints(follows, 1, "1", labels={"com.openfaas.scale.type": "capacity"}))
    feed.publish(FunctionEndpoints(FunctionRef("openfaas-fn", "plain"), 1, "1"))

    async with aclosing(feed.watch()) as events:
        snapshot = await anext(events)

    assert isinstance(snapshot, Snapshot)
    assert [function.owner for function in snapshot.functions] == [Writer.SCALER, Writer.ALERT]


async def test_wakes_are_counted_that_no_watcher_sees() -> None:
    feed, ref = EndpointFeed(), FunctionRef("openfaas-fn", "naps")
    feed.publish(FunctionEndpoints(ref, 1, "1"))

    async with aclosing(feed.watch()) as events:
        await anext(events)
        for replicas in (0, 2, 0, 1, 3):
            feed.publish(FunctionEndpoints(ref, replicas, str(replicas)))
        newest = await anext(events)

    assert isinstance(newest, Changed)
    assert (newest.function.replicas, newest.function.wakes) == (3, 2)
