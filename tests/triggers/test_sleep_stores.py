"""Wherever it is kept, what was learned of pauses is read as it was written, within a kilobyte a function."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from springtide.runtime.errors import BadInput, Conflict, Unavailable
from springtide.scaler.core.keepalive import history as histories
from springtide.scaler.core.keepalive.account import Account
from springtide.scaler.core.keepalive.forecasts import Outcome, Score
from springtide.scaler.core.keepalive.history import History
from springtide.scaler.core.keepalive.windows import Window
from springtide.scaler.core.vocabulary import FunctionRef, Instant
from springtide.triggers.sleep import kept
from springtide.triggers.sleep.file_store import FILE, SPARE_LINES, FileStore
from springtide.triggers.sleep.kept import Kept, Position, Store
from springtide.triggers.sleep.nats_store import NatsStore
from springtide.triggers.sleep.watching import Heard, Watched
from springtide.wire.jobs.nats.broker import Broker
from tests.nats_server import NatsServer

A, B = FunctionRef("openfaas-fn", "a"), FunctionRef("other.space", "b")
GATEWAYS = {"http://10.0.0.1:8082": Heard("f" * 32, 1000.25), "http://10.0.0.2:8082": Heard("e" * 32, 1000.5)}
POSITION = Position(1000.25, GATEWAYS)

Open = Callable[[], Store]
"""Another copy's, over the same."""


@pytest.fixture(params=["file", "nats"])
@asynccontextmanager
async def opened(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Open]:
    async with AsyncExitStack() as stack:
        if request.param == "file":
            yield lambda: FileStore(tmp_path / "cron")
        else:
            server: NatsServer = request.getfixturevalue("server")
            first = _broker(server, stack)
            bucket = await first.streams.sleep()
            await (await first.connection.jetstream()).purge_stream(bucket)
            yield lambda: NatsStore(_broker(server, stack))


def _broker(server: NatsServer, stack: AsyncExitStack) -> Broker:
    broker = Broker(server.settings, name="test")
    stack.push_async_callback(broker.aclose)
    return broker


async def test_what_was_written_is_read_by_another_copy(opened: Open) -> None:
    store = opened()
    assert await store.load() == Kept()
    await store.save(POSITION, {A: "one", B: "two"})

    assert await opened().load() == Kept(POSITION, {A: "one", B: "two"})


async def test_later_save_wins_and_what_is_gone_is_removed(opened: Open) -> None:
    store = opened()
    await store.load()
    await store.save(Position(1.0), {A: "one", B: "two"})
    await store.save(Position(2.0), {A: None, B: "three"})
    await store.save(Position(3.0), {})

    assert await opened().load() == Kept(Position(3.0), {B: "three"})


async def test_copy_that_was_overtaken_changes_nothing(server: NatsServer) -> None:
    async with AsyncExitStack() as stack:
        old, new = (NatsStore(_broker(server, stack)) for _ in range(2))
        await old.load()
        await old.save(Position(1.0), {A: "old"})
        await new.load()
        await new.save(Position(2.0), {A: "new"})
        with pytest.raises(Conflict):
            await old.save(Position(1.5), {A: "older"})

        found = await new.load()
        assert (found.position, found.records[A]) == (Position(2.0), "new")


async def test_file_does_not_grow_for_ever_and_saves_only_append(tmp_path: Path) -> None:
    store, file = FileStore(tmp_path), tmp_path / FILE
    await store.save(POSITION, {A: "x" * 100})
    first = file.stat().st_ino
    await store.save(POSITION, {A: "y" * 100})
    assert file.stat().st_ino == first
    for number in range(SPARE_LINES):
        await store.save(Position(float(number)), {A: f"{number}"})

    assert file.stat().st_ino != first
    assert len(file.read_bytes().splitlines()) < 1.1 * SPARE_LINES
    assert (await FileStore(tmp_path).load()).records == {A: f"{SPARE_LINES - 1}"}


@pytest.mark.parametrize("torn", [b'{"position": "{', b"\x00\x00\x00", b'{"name": "a"}\n', b"[]\n", b'"position"\n'])
async def test_line_that_was_torn_costs_nothing_but_itself(tmp_path: Path, torn: bytes) -> None:
    await FileStore(tmp_path).save(POSITION, {A: "one"})
    with (tmp_path / FILE).open("ab") as file:
        file.write(torn)

    again = FileStore(tmp_path)
    assert await again.load() == Kept(POSITION, {A: "one"})
    await again.save(POSITION, {B: "two"})
    assert await FileStore(tmp_path).load() == Kept(POSITION, {A: "one", B: "two"})
    assert len((tmp_path / FILE).read_bytes().splitlines()) == 3


async def test_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "cron").write_text("a file in its place")
    with pytest.raises(Unavailable, match="make room"):
        await FileStore(tmp_path / "cron").save(POSITION, {})


def a_long_life() -> History:
    history = History()
    at = 1_700_000_000.0
    for number in range(4000):
        history = histories.ended(histories.started(history, Instant(at), 3), Instant(at + 1.5))
        at += (5.0, 90.0, 500.0, 3000.0)[number % 4]
    return history


def test_record_of_a_function_comes_back_and_has_a_kilobyte_at_most() -> None:
    watched = Watched(a_long_life(), None, {"f" * 32: (1_700_000_000.123, 12345), "e" * 32: (1_700_000_100.5, 7)})
    score = Score((Outcome.HIT,) * 4 + (Outcome.WASTED,) * 4, (3, 4, -1))
    at = 1_700_000_000.123
    ages = ((0.0, 240.0), (480.5, 1920.0), (3840.0, 7680.0), (15360.0, 30720.0), (61440.0, math.inf))
    windows = tuple(Window(at + since, at + until) for since, until in ages)
    account = Account(19675, -1234.5, Instant(at), windows)
    text = kept.record(watched, score, account)

    assert kept.from_record(text) == (watched, score, account)
    assert len(text) <= 1024


@pytest.mark.parametrize("account", [None, Account(19675, 900.0)])
def test_account_without_a_pause_comes_back_too(account: Account | None) -> None:
    text = kept.record(Watched(a_long_life()), Score(), account)

    assert kept.from_record(text) == (Watched(a_long_life()), Score(), account)


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", '{"h": "?"}', '{"h": "", "c": {"x": 1}}', '{"h": "", "s": ["good"]}'),
        *('{"h": "", "a": [1, 2]}', '{"h": "", "a": [1, 2, 3, [[4]]]}', '{"h": "", "a": [1, 1e999, null, []]}'),
    ],
)
def test_record_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="no history"):
        kept.from_record(text)
