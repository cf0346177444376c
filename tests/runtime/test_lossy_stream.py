"""Output that nobody takes: nothing is raised, nothing waits."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from springtide.runtime.lossy_stream import LossyStream, append_to


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def fill(write: int) -> None:
    os.set_blocking(write, False)
    try:
        while True:
            os.write(write, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(write, True)


def test_full_disk_costs_the_lines_and_counts_them() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        stream = LossyStream(full)

        stream.write("one\n")
        print("two", file=stream, flush=True)

        assert stream.lost == 2


def test_closed_file_takes_nothing(tmp_path: Path) -> None:
    file = append_to(tmp_path / "log")
    stream = LossyStream(file)
    file.close()

    stream.write("a line\n")

    assert (stream.lost, (tmp_path / "log").read_text()) == (1, "")


def test_reader_that_is_gone_is_not_missed() -> None:
    read, write = os.pipe()
    os.close(read)
    stream = LossyStream(write)

    stream.write("a line\n")

    assert stream.lost == 1
    os.close(write)


def test_reader_that_reads_no_more_is_not_waited_for(pipe: tuple[int, int]) -> None:
    read, write = pipe
    fill(write)
    stream = LossyStream(write)

    stream.write("lost\n")
    waiting = os.read(read, 1 << 20)
    stream.write("found\n")

    assert b"lost" not in waiting
    assert (os.read(read, 100), stream.lost) == (b"found\n", 0)


def test_line_of_which_half_was_taken_spoils_no_other(pipe: tuple[int, int]) -> None:
    read, write = pipe
    stream = LossyStream(write)

    stream.write("y" * 200_000 + "\n")
    cut = os.read(read, 1 << 20)
    stream.write("next\n")

    assert set(cut) == {ord("y")}
    assert os.read(read, 100) == b"\nnext\n"


def test_text_that_is_no_unicode_is_escaped(pipe: tuple[int, int]) -> None:
    read, write = pipe

    LossyStream(write).write("\udc80\n")

    assert os.read(read, 100) == b"\\udc80\n"


def test_log_that_cannot_be_opened_takes_nothing_and_a_folder_that_was_removed_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    with append_to(tmp_path / "log") as nowhere:
        nowhere.write(b"lost")
    with append_to(tmp_path / "logs" / "log") as log:
        log.write(b"kept")

    assert (tmp_path / "logs" / "log").read_bytes() == b"kept"


STARTS = """
import os, sys
from springtide.runtime.lossy_stream import adopt_standard_streams, hold_standard_descriptors
hold_standard_descriptors()
file = open(sys.argv[1], "w")
adopt_standard_streams()
print("to nobody", flush=True)
print("to nobody", file=sys.stderr)
file.close()
"""


def test_output_the_caller_closed_does_not_go_into_the_next_file_that_is_opened(tmp_path: Path) -> None:
    command = f'"{sys.executable}" -c "$0" "{tmp_path}/file" >&- 2>&-'

    done = subprocess.run(["sh", "-c", command, STARTS], timeout=300, check=False)

    assert (done.returncode, (tmp_path / "file").read_text()) == (0, "")
