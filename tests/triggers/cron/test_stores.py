"""Wherever it is kept, what was sent of schedules is read as it was written, and who was overtaken writes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from springtide.runtime.errors import Conflict
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.triggers.cron.file_store import POSITION, RECORDS, FileStore
from springtide.triggers.cron.kept import Kept, Position, Record, Sent, Store
from springtide.triggers.cron.nats_store import NatsStore
from springtide.wire.jobs import names
from springtide.wire.jobs.nats.broker import Broker
from tests.fakes.ticks import MemoryCronStore
from tests.nats_server import NatsServer

A, B = FunctionRef("openfaas-fn", "a"), FunctionRef("other.space", "b")
EVERY = "CRON_TZ=Asia/Tokyo */5 * * * MON-FRI"
POSITION_OF_ALL = Position(at=1000.5, behind={(A, EVERY): 990.0}, sent={(B, "@daily"): Sent(980.0, "job-1")})
RECORDS_OF_ALL = {
    A: Record({EVERY: 900.0, "@daily": 901.5}),
    B: Record({"@daily": 902.0}, 950.0, {"@daily": Sent(960.0, "job-2")}),
}


Open = Callable[[], Store]
"""Another copy's, over the same."""


@pytest.fixture(params=["memory", "file", "nats"])
@asynccontextmanager
async def opened(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Open]:
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            memory = MemoryCronStore()
            yield lambda: memory
        elif request.param == "file":
            yield lambda: FileStore(tmp_path / "cron", lambda: 0.0)
        else:
            server: NatsServer = request.getfixturevalue("server")
            first = _broker(server, stack)
            bucket = await first.streams.cron()
            await (await first.connection.jetstream()).purge_stream(bucket)
            yield lambda: NatsStore(_broker(server, stack))


def _broker(server: NatsServer, stack: AsyncExitStack) -> Broker:
    broker = Broker(server.settings, name="test")
    stack.push_async_callback(broker.aclose)
    return broker


async def test_nothing_is_kept_at_first(opened: Open) -> None:
    assert await opened().load() == Kept()


async def test_what_was_written_is_read_by_another_copy(opened: Open) -> None:
    store = opened()
    await store.load()
    await store.save(POSITION_OF_ALL, RECORDS_OF_ALL)

    assert await opened().load() == Kept(position=POSITION_OF_ALL, records=RECORDS_OF_ALL)


async def test_only_what_changed_is_written_again_and_what_is_gone_is_removed(opened: Open) -> None:
    store = opened()
    await store.load()
    await store.save(Position(at=1.0), RECORDS_OF_ALL)
    await store.save(Position(at=2.0), {A: None})
    await store.save(Position(at=3.0), {})

    assert await opened().load() == Kept(position=Position(at=3.0), records={B: RECORDS_OF_ALL[B]})


async def test_function_that_was_removed_may_come_again(opened: Open) -> None:
    store = opened()
    await store.load()
    await store.save(Position(at=1.0), {A: RECORDS_OF_ALL[A]})
    await store.save(Position(at=2.0), {A: None})
    await store.save(Position(at=3.0), {A: Record({"@daily": 5.0})})

    assert (await opened().load()).records == {A: Record({"@daily": 5.0})}


async def test_copy_that_was_overtaken_changes_nothing(server: NatsServer) -> None:
    async with AsyncExitStack() as stack:
        old, new = (NatsStore(_broker(server, stack)) for _ in range(2))
        await old.load()
        await old.save(Position(at=10.0), {A: Record({"@daily": 1.0})})
        await new.load()
        await new.save(Position(at=20.0), {A: Record({"@daily": 1.0}, paused_at=15.0)})

        with pytest.raises(Conflict):
            await old.save(Position(at=11.0), {A: Record({"@daily": 1.0})})
        with pytest.raises(Conflict):
            await old.save(Position(at=11.0), {})

        assert await new.load() == Kept(
            position=Position(at=20.0), records={A: Record({"@daily": 1.0}, paused_at=15.0)}
        )


@pytest.mark.parametrize("name", [POSITION, RECORDS])
async def test_file_that_cannot_be_read_is_set_aside(tmp_path: Path, name: str) -> None:
    await FileStore(tmp_path, lambda: 0.0).save(POSITION_OF_ALL, RECORDS_OF_ALL)
    (tmp_path / name).write_text('{"at": "soon"}')

    kept = await FileStore(tmp_path, lambda: 0.0).load()

    assert (kept.position is None) == (name == POSITION)
    assert (not kept.records) == (name == RECORDS)
    assert [file.name for file in tmp_path.glob(f"{name}.damaged-*")] == [f"{name}.damaged-19700101T000000Z"]


def test_subject_of_a_record_names_its_function() -> None:
    assert names.function_of_record(names.record_subject(B)) == B
    assert names.function_of_record("position") is None
