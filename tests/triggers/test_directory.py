"""What only a folder has: when a file is complete, which are left, what becomes of those that are done with."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from springtide.runtime.errors import BadInput
from springtide.triggers.source import Received, Source
from springtide.triggers.sources import kinds
from springtide.triggers.watched_folder import FolderRules, WatchedFolder
from tests.fakes.events import MemoryFunctions, MemoryGateway
from tests.triggers.reading import DEADLINE_S, eventually, reading

QUICK = {"settle": "10ms", "interval": "10ms"}


@pytest.fixture
def incoming(tmp_path: Path) -> Path:
    (tmp_path / "uploads").mkdir()
    return tmp_path / "uploads"


def source(incoming: Path, **keys: str) -> Source:
    return kinds.build("directory", "d", {"path": str(incoming)} | QUICK | keys)


def folder(incoming: Path, *, settle_s: float = 0.0, max_bytes: int = 100, delete: bool = False) -> WatchedFolder:
    found = WatchedFolder(incoming, FolderRules(match=("*",), settle_s=settle_s, max_bytes=max_bytes, delete=delete))
    found.check()
    return found


def names(watched: WatchedFolder, now: float = 0.0, limit: int = 100) -> list[str]:
    """What a look finds; it is given back."""
    files = watched.look(now, limit).files
    for file in files:
        watched.release(file)
    return [file.name for file in files]


def written(path: Path, text: str = "text", at: float = 1000.0) -> None:
    path.write_text(text)
    os.utime(path, (at, at))


async def test_a_file_says_what_it_is_called_and_is_moved_when_it_is_done_with(incoming: Path) -> None:
    gateway, functions = MemoryGateway(), MemoryFunctions()
    functions.deploy("bill", "uploads")
    written(incoming / "größe 1.json", "{}", at=1_700_000_000.5)
    async with reading(source(incoming), gateway, functions) as copy:
        await eventually((incoming / "done" / "größe 1.json").exists)
        await copy.stop()

    [call] = gateway.calls
    told = dict(call.headers)
    assert call.body == b"{}"
    assert told[b"Content-Type"] == b"application/json"
    assert told[b"X-Topic"] == b"uploads"
    assert told[b"X-File-Name"] == "größe 1.json".encode()
    assert told[b"ce-id"] == b"gr%C3%B6%C3%9Fe%201.json-1700000000500000000-2"
    assert told[b"ce-source"] == b"/d/uploads"
    assert told[b"ce-type"] == b"com.springtide.directory.file"
    assert told[b"ce-subject"] == b"gr%C3%B6%C3%9Fe%201.json"
    assert told[b"ce-time"] == b"2023-11-14T22:13:20.500Z"
    assert list(incoming.iterdir()) == [incoming / "done"]


async def test_a_file_is_deleted_where_that_is_asked_for(incoming: Path) -> None:
    gateway, functions = MemoryGateway(), MemoryFunctions()
    functions.deploy("bill", "uploads")
    written(incoming / "one")
    async with reading(source(incoming, after="delete"), gateway, functions) as copy:
        await eventually(lambda: not list(incoming.iterdir()))
        await copy.stop()

    assert gateway.bodies("bill") == [b"text"]


def test_a_file_is_complete_when_it_has_not_changed_for_a_while(incoming: Path) -> None:
    watched = folder(incoming, settle_s=5.0)
    written(incoming / "one")

    assert names(watched, now=0.0) == []
    written(incoming / "one", "text and more")
    assert names(watched, now=5.0) == []
    assert names(watched, now=9.9) == []
    assert names(watched, now=10.0) == ["one"]


def test_a_file_that_is_open_for_writing_is_not_complete(incoming: Path) -> None:
    watched = folder(incoming)
    with (incoming / "one").open("w") as file:
        file.write("half")
        file.flush()
        assert names(watched) == []
    assert names(watched) == ["one"]


def test_what_is_no_file_of_its_own_is_no_event(incoming: Path) -> None:
    written(incoming / ".hidden")
    written(incoming / "one")
    (incoming / "link").symlink_to(incoming / "one")
    os.mkfifo(incoming / "pipe")
    (incoming / "folder").mkdir()

    assert names(folder(incoming)) == ["one"]


def test_the_oldest_come_first_and_no_more_than_wanted(incoming: Path) -> None:
    for number, name in enumerate(["c", "a", "b"]):
        written(incoming / name, at=1000.0 + number)
    watched = folder(incoming)

    assert names(watched, limit=2) == ["c", "a"]
    assert names(watched, limit=2) == ["b"]


def test_one_of_several_copies_has_a_file(incoming: Path) -> None:
    written(incoming / "one")
    first, second = folder(incoming), folder(incoming)
    [file] = first.look(0.0, 10).files

    assert names(second) == []
    first.take_away(file)
    first.release(file)
    assert names(second) == []


def test_what_cannot_be_an_event_is_told_once_and_stops_no_other(incoming: Path) -> None:
    written(incoming / "large", "x" * 101)
    written(incoming / "one")
    watched = folder(incoming, max_bytes=100)

    look = watched.look(0.0, 10)

    assert [file.name for file in look.files] == ["one"]
    assert look.left == [("large", "it has 101 bytes, more than max_bytes (100)")]
    assert watched.look(1.0, 10).left == []
    written(incoming / "large", "x" * 102)
    assert watched.look(2.0, 10).left == [("large", "it has 102 bytes, more than max_bytes (100)")]


async def test_a_file_that_is_left_is_told_in_the_log(incoming: Path) -> None:
    written(incoming / "large", "x" * 11)
    with capture_logs() as logs:
        async with source(incoming, max_bytes="10").connect() as feed:
            written(incoming / "one")
            [received] = await feed.take(10)
            await received.give_back()

    [line] = [line for line in logs if line["log_level"] == "warning"]
    assert (line["source"], line["file"]) == ("d", str(incoming / "large"))
    assert line["why"] == "it has 11 bytes, more than max_bytes (10)"


@pytest.mark.parametrize("delete", [False, True])
def test_a_file_that_is_written_anew_meanwhile_is_another_event(incoming: Path, *, delete: bool) -> None:
    written(incoming / "one", "old", at=1000.0)
    watched = folder(incoming, delete=delete)
    [file] = watched.look(0.0, 10).files
    written(incoming / ".new", "new", at=1000.0)
    (incoming / ".new").rename(incoming / "one")
    watched.take_away(file)
    watched.release(file)

    [again] = watched.look(1.0, 10).files
    assert again.body == b"new"
    watched.release(again)


def test_names_that_come_again_do_not_replace_what_is_done_with(incoming: Path) -> None:
    watched = folder(incoming)
    long = "n" * 255
    for text, at in [("one", 1000.0), ("two", 2000.0), ("three", 2000.0)]:
        written(incoming / long, text, at=at)
        [file] = watched.look(0.0, 10).files
        watched.take_away(file)
        watched.release(file)

    assert sorted(path.read_text() for path in (incoming / "done").iterdir()) == ["one", "three", "two"]


def test_what_could_not_be_taken_away_is_not_given_again(incoming: Path) -> None:
    written(incoming / "one")
    watched = folder(incoming)
    [file] = watched.look(0.0, 10).files
    (incoming / "done").rmdir()
    with pytest.raises(FileNotFoundError):
        watched.take_away(file)
    watched.release(file)
    with pytest.raises(FileNotFoundError):
        watched.look(1.0, 10)

    (incoming / "done").mkdir()
    assert watched.look(2.0, 10).files == []
    assert (incoming / "done" / "one").exists()


async def test_a_folder_that_goes_away_is_an_outage_and_it_is_read_on_when_it_is_back(incoming: Path) -> None:
    gateway, functions = MemoryGateway(), MemoryFunctions()
    functions.deploy("bill", "uploads")
    async with reading(source(incoming), gateway, functions) as copy:
        incoming.rename(incoming.with_name("away"))
        await eventually(lambda: not copy.connected)
        incoming.with_name("away").rename(incoming)
        written(incoming / "one")
        await eventually(lambda: len(gateway.jobs) == 1)
        await copy.stop()


async def test_what_a_question_found_that_was_cancelled_is_given_at_the_next(incoming: Path) -> None:
    written(incoming / "one")
    async with asyncio.timeout(DEADLINE_S), source(incoming).connect() as feed:
        found: Sequence[Received] = []
        while not found:
            taking = asyncio.create_task(feed.take(1))
            await asyncio.sleep(0)
            taking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                found = await taking
        await found[0].taken()

    assert (incoming / "done" / "one").exists()


def unusable(tmp_path: Path) -> Iterator[tuple[dict[str, str], str]]:
    (tmp_path / "file").write_text("")
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked" / "done").write_text("")
    yield {"path": str(tmp_path / "none")}, "path: .*/none: there is no such folder; create it"
    yield {"path": str(tmp_path / "file")}, "path: .*/file: it is no folder; name one"
    yield {"path": str(tmp_path), "topics": "orders"}, "path: .*/orders: there is no such folder"
    yield {"path": str(tmp_path / "blocked")}, "path: .*/blocked/done: File exists; make it a folder to write to, or"


async def test_a_folder_that_cannot_be_used_is_told_at_the_start(tmp_path: Path) -> None:
    for keys, told in unusable(tmp_path):
        with pytest.raises(BadInput, match=told):
            async with kinds.build("directory", "d", keys).connect():
                pass


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({}, "path: there is none; write path: /srv/incoming"),
        ({"path": "/a", "topics": "b/c"}, "topics: 'b/c' is no name of a folder inside path"),
        ({"path": "/a", "topics": ".."}, r"topics: '\.\.' is no name"),
        ({"path": "/a", "topics": "done"}, "topics: 'done' is no name"),
        ({"path": "/a", "match": "b/*.csv"}, r"match: 'b/\*.csv' is no pattern of a file's name"),
        ({"path": "/a", "after": "keep"}, "after: 'keep' is neither move nor delete"),
        ({"path": "/a", "max_bytes": "0"}, "max_bytes: 0 is out of range"),
        ({"path": "/a", "interval": "2h"}, "interval: 7200 is out of range"),
    ],
)
def test_what_is_wrong_with_its_keys_is_told(keys: dict[str, str], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        kinds.build("directory", "d", keys)
