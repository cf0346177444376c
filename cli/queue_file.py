"""A queue in a file: written whole or not at all, read in parts that can be sent again."""

from __future__ import annotations

import contextlib
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


@contextlib.contextmanager
def written(path: Path | None) -> Iterator[BinaryIO]:
    """The file, there under its name once all is in it; None: standard output. Raises BadInput."""
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
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


def parts(file: BinaryIO) -> Iterator[bytes]:
    """Lines that are sent at once. Raises BadInput that names the line.

    Where the file ends before its last line, that is said after all that there is was given out.
    """
    waiting, lines, ended, number = bytearray(), 0, False, 0
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
        if lines and not isinstance(line, Piece) and (len(waiting) > PART_BYTES or lines >= PART_LINES):
            yield bytes(waiting)
            waiting, lines = bytearray(), 0
        waiting += text if text.endswith(b"\n") else text + b"\n"
        lines += 1
    if waiting:
        yield bytes(waiting)
    if not ended:
        raise BadInput(f"the file ends with line {number}, and that is not the end of an export: some of it is missing")
