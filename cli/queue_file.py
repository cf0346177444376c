"""A queue in a file: written whole or not at all, read in parts that can be sent again."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from springtide.cli.terminal_text import one_line
from springtide.runtime.errors import BadInput, Unavailable
from springtide.wire.jobs.transfer_lines import MAX_LINE, Broken, End, JobLine, LetterLine, Piece, decode_line

PART_BYTES = 4 * 1024 * 1024
"""Sent at once; a job with a large body is not taken apart."""

PART_LINES = 500
STANDARD_OUTPUT = Path("-")
_OF_LINE = re.compile(r" answered 400: line (\d+): (.*)", re.DOTALL)


@contextlib.contextmanager
def written(path: Path, *, replacing: bool = True) -> Iterator[BinaryIO]:
    """The file, there under its name once all is in it, or standard output. Raises BadInput, where it is there already
    and is not to be replaced, too."""
    if path == STANDARD_OUTPUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if not replacing and path.exists():
        raise BadInput(f"{path} is there already; name another file, or say --force to have it replaced")
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(path)
    except OSError as error:
        raise BadInput(f"{error.filename or path}: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)


def copied(lines: Iterable[bytes], file: BinaryIO, *, told: Callable[[int], None]) -> End:
    """Lines of an export; the last one. Raises Unavailable where it broke off."""
    count = 0
    for text in lines:
        file.write(text + b"\n")
        try:
            line = decode_line(text)
        except ValueError as error:
            raise Unavailable(f"the gateway's line {count + 1} makes no sense: {error}") from error
        if isinstance(line, Broken):
            raise Unavailable(f"the export broke off: {one_line(line.reason)}")
        if isinstance(line, End):
            return line
        if isinstance(line, JobLine | LetterLine):
            count += 1
            told(count)
    raise Unavailable("the export broke off before its end; try again")


class Part:
    """Lines that are sent at once, and which of the file they are."""

    def __init__(self) -> None:
        self.content = bytearray()
        self._numbers: list[int] = []

    def __repr__(self) -> str:
        return f"<Part of {len(self._numbers)} lines>"

    @property
    def full(self) -> bool:
        return len(self.content) > PART_BYTES or len(self._numbers) >= PART_LINES

    def add(self, number: int, text: bytes) -> None:
        self.content += text if text.endswith(b"\n") else text + b"\n"
        self._numbers.append(number)

    def refused(self, error: BadInput) -> BadInput:
        """What a gateway says of one of the lines, by its number in the file."""
        found = _OF_LINE.search(str(error))
        if found is None or not 1 <= int(found[1]) <= len(self._numbers):
            return error
        return BadInput(f"line {self._numbers[int(found[1]) - 1]}: {found[2]}")


def parts(file: BinaryIO) -> Iterator[Part]:
    """Raises BadInput that names the line.

    Where the file ends before its last line, that is said after all that there is was given out.
    """
    waiting, ended, number = Part(), False, 0
    while text := file.readline(MAX_LINE + 1):
        number += 1
        if not text.strip():
            continue
        try:
            line = decode_line(text)
        except ValueError as error:
            raise BadInput(f"line {number}: {one_line(error)}") from error
        if isinstance(line, Broken):
            break
        if isinstance(line, End):
            ended = True
            break
        if waiting.full and not isinstance(line, Piece):
            yield waiting
            waiting = Part()
        waiting.add(number, text)
    if waiting.content:
        yield waiting
    if not ended:
        raise BadInput(f"the file ends with line {number}, and that is not the end of an export: some of it is missing")
