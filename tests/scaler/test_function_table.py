"""What the scaler knows of functions, from what the provider pushes and from what it wrote itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from springtide.runtime.errors import Unavailable
from springtide.scaler.core import targets
from springtide.scaler.core.vocabulary import FunctionRef, Scale, Writer
from springtide.scaler.function_table import SILENT_AFTER_S, FunctionTable
from springtide.wire.endpoint_stream import Changed, Endpoint, Event, FunctionEndpoints, Heartbeat, Removed, Snapshot
from tests.loops import virtual_loop

pytestmark = pytest.mark.virtual_time

REF = FunctionRef("openfaas-fn", "fn")
FN = FunctionEndpoints(
    REF,
    replicas=2,
    version="1",
    endpoints=(Endpoint("a", "127.0.0.1", 1),),
    labels={"com.openfaas.scale.type": "capacity", "com.openfaas.scale.target": "3"},
    owner=Writer.SCALER,
)


class Provider:
    """Pushes what is put in; an error breaks the stream."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[Event | Unavailable] = asyncio.Queue()

    async def watch_endpoints(self) -> AsyncGenerator[Event, None]:
        while True:
            event = await self.told.get()
            if isinstance(event, Unavailable):
                raise event
            yield event

    async def tell(self, *events: Event | Unavailable) -> None:
        for event in events:
            self.told.put_nowait(event)
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def following(*events: Event | Unavailable) -> AsyncGenerator[tuple[FunctionTable, Provider], None]:
    provider = Provider()
    table = FunctionTable(provider, clock=virtual_loop().clock)
    task = asyncio.create_task(table.follow())
    await provider.tell(*events)
    try:
        yield table, provider
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_function_has_its_counts_owner_policy_and_loads() -> None:
    async with following(Snapshot((FN,))) as (table, _):
        known = table.get(REF)
        assert known is not None
        assert (known.function.scale, known.function.owner) == (Scale(2, 1, "1"), Writer.SCALER)
        assert [(load.type, load.target) for load in known.loads] == [(targets.CAPACITY, 3)]
        assert (known.problems, table.unread) == ((), "")


async def test_changes_and_removals_are_followed() -> None:
    async with following(Snapshot((FN,))) as (table, provider):
        await provider.tell(Changed(replace(FN, replicas=5, version="2", labels={})))
        known = table.get(REF)
        assert known is not None
        assert (known.function.scale.desired, known.loads[0].type) == (5, targets.RPS)
        await provider.tell(Removed(REF))
        assert len(table) == 0


async def test_a_write_of_ours_holds_until_the_provider_tells_of_a_later_version() -> None:
    async with following(Snapshot((FN,))) as (table, provider):
        table.wrote(REF, Scale(7, 0, "2"), replaced="1")
        await provider.tell(Changed(replace(FN, endpoints=())))  # on its way when we wrote
        known = table.get(REF)
        assert known is not None
        assert known.function.scale == Scale(7, 1, "2")
        await provider.tell(Changed(replace(FN, replicas=4, version="3")))
        known = table.get(REF)
        assert known is not None
        assert known.function.scale == Scale(4, 1, "3")


async def test_what_the_provider_told_before_it_answered_a_write_does_not_silence_it() -> None:
    async with following(Snapshot((FN,))) as (table, provider):
        await provider.tell(Changed(replace(FN, replicas=7, version="2")))
        table.wrote(REF, Scale(7, 0, "2"), replaced="1")
        await provider.tell(Changed(replace(FN, replicas=7, version="2", endpoints=(*FN.endpoints, *FN.endpoints))))
        known = table.get(REF)
        assert known is not None
        assert known.function.scale == Scale(7, 2, "2"), "replicas that became ready are the same version"


async def test_counts_are_those_of_now_only_while_the_provider_is_heard() -> None:
    async with following() as (table, provider):
        assert table.unread
        await provider.tell(Snapshot((FN,)))
        assert table.unread == ""
        await asyncio.sleep(SILENT_AFTER_S - 1)
        await provider.tell(Heartbeat())
        await asyncio.sleep(SILENT_AFTER_S - 1)
        assert table.unread == ""
        await asyncio.sleep(2)
        assert "not been heard" in table.unread
        await provider.tell(Unavailable("it went away"))
        assert table.unread == "it went away"
        assert table.get(REF) is not None, "what was known is kept"
        await asyncio.sleep(2)
        await provider.tell(Snapshot((FN,)))
        assert table.unread == ""


async def test_labels_that_are_wrong_are_told() -> None:
    wrong = replace(FN, labels={"com.openfaas.scale.max": "many"}, annotations={"com.springtide.scale.also": "x"})
    async with following(Snapshot((wrong,))) as (table, _):
        known = table.get(REF)
        assert known is not None
        assert len(known.problems) == 2


async def test_wakes_are_known_of_a_function_that_says_the_same() -> None:
    async with following(Snapshot((FN,))) as (table, provider):
        await provider.tell(Changed(replace(FN, version="3", wakes=4)))
        known = table.get(REF)
        assert known is not None
        assert known.wakes == 4
