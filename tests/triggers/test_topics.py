"""Who wants what: read of annotations, kept by what the provider pushes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from springtide.triggers.topics import Topics, wish
from springtide.wire.events.delivery_mode import ANNOTATION, DeliveryMode
from tests.fakes.events import MemoryFunctions, ref

ASYNC, SYNC = DeliveryMode.ASYNC, DeliveryMode.SYNC


def test_a_delivery_that_is_none_is_told_and_is_the_default() -> None:
    said = wish({"topic": "a", ANNOTATION: "soon"}, delimiter=",", default=SYNC)

    assert said.mode is SYNC
    assert said.problems == (f"{ANNOTATION}: 'soon' is neither sync nor async; it is sync here",)


@pytest.fixture
@asynccontextmanager
async def followed() -> AsyncIterator[tuple[Topics, MemoryFunctions]]:
    functions = MemoryFunctions()
    functions.deploy("bill", "orders,invoices")
    functions.deploy("other")
    topics = Topics(functions, delimiter=",", default=ASYNC)
    following = asyncio.create_task(topics.follow())
    await topics.known.wait()
    try:
        yield topics, functions
    finally:
        following.cancel()


@pytest.mark.virtual_time
async def test_changes_are_known_when_they_are_pushed(followed: tuple[Topics, MemoryFunctions]) -> None:
    topics, functions = followed
    assert topics.wanting(("orders",)) == {ref("bill"): ASYNC}

    functions.deploy("ship", "orders", com__springtide__trigger__delivery="sync")
    await asyncio.sleep(0)
    assert topics.wanting(("orders", "invoices")) == {ref("bill"): ASYNC, ref("ship"): SYNC}

    functions.deploy("bill", "invoices")
    functions.remove("ship")
    await asyncio.sleep(0)
    assert topics.wanting(("orders",)) == {}
    assert topics.wants(ref("bill"), ("orders", "invoices"))
    assert not topics.wants(ref("ship"), ("orders",))


@pytest.mark.virtual_time
async def test_what_was_known_counts_while_the_provider_is_away(followed: tuple[Topics, MemoryFunctions]) -> None:
    topics, functions = followed
    functions.disconnect()
    await asyncio.sleep(0.1)
    assert topics.wanting(("orders",)) == {ref("bill"): ASYNC}

    functions.remove("bill")
    functions.deploy("late", "orders")
    await asyncio.sleep(1.0)
    assert topics.wanting(("orders",)) == {ref("late"): ASYNC}
