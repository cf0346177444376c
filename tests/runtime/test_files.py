from __future__ import annotations

import multiprocessing
import os
import re
import signal
from pathlib import Path

import pytest

from springtide.runtime.errors import BadInput
from springtide.runtime.files import read_json, read_whole, write_atomic


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_file_is_replaced_with_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "a"
    write_atomic(file, b"one")
    write_atomic(file, b"two", mode=0o600)

    assert file.read_bytes() == b"two"
    assert file.stat().st_mode & 0o777 == 0o600
    assert names(tmp_path) == ["a"]


def test_mode_does_not_depend_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_atomic(tmp_path / "a", b"x")
    finally:
        os.umask(before)

    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


def test_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "inside").write_text("x")

    with pytest.raises(OSError, match="directory"):
        write_atomic(tmp_path / "a", b"new")

    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a" / "inside").read_text() == "x"


def test_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a")

    with pytest.raises(OSError, match="not a regular file"):
        read_whole(tmp_path / "a")
    with pytest.raises(IsADirectoryError, match=re.escape(str(tmp_path))):
        read_json(tmp_path)


def write_for_ever(file: Path, ready: object) -> None:
    number = 0
    while True:
        number += 1
        write_atomic(file, (f"{number}\n" * 20_000).encode())
        ready.set()  # type: ignore[attr-defined]


def test_writer_that_is_killed_leaves_a_whole_file(tmp_path: Path) -> None:
    file = tmp_path / "a"
    context = multiprocessing.get_context("spawn")
    for _ in range(3):
        ready = context.Event()
        writer = context.Process(target=write_for_ever, args=(file, ready))
        writer.start()
        assert ready.wait(60)
        os.kill(writer.pid or 0, signal.SIGKILL)
        writer.join()

        lines = file.read_bytes().splitlines()
        assert len(lines) == 20_000
        assert len(set(lines)) == 1


def test_json_is_read_back(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a.json", b'{"a": [1, null]}')

    assert read_json(tmp_path / "a.json") == {"a": [1, None]}


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b'{"a": 1} x'], ids=["empty", "cut", "binary", "more after"]
)
def test_what_is_not_json_is_refused_with_file_and_remedy(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(content)

    with pytest.raises(BadInput, match=r"a\.json: not readable as JSON .*restore it from a copy or move it away"):
        read_json(file)


def test_missing_file_is_told_apart_from_a_broken_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "a.json")
