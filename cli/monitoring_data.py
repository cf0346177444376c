"""What Prometheus and Alertmanager keep on disk, when they cannot read it: set aside, so that they start without it.

Each of them ends at its start over one damaged file, and alerts are not worth a suite that does not run.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from springtide.runtime.errors import reason_of
from springtide.runtime.files import read_whole, set_aside

SNAPSHOTS = ("nflog", "silences")
"""Alertmanager's: which notifications were sent, and what is silenced."""

_NOT_THE_DATA = ("loading configuration", "address already in use", "web-config", "permission denied")
_STORAGE = re.compile(r"opening storage failed: (\S+?):? ")

Clock = Callable[[], float]


def mend_alertmanager(data: Path, said: str, *, now: Clock = time.time) -> str | None:
    """``said`` is what it wrote as it ended. It names no file: those go that do not look whole, or else all."""
    if in_the_way := _cleared(data, now(), files=SNAPSHOTS):
        return in_the_way
    lowered = said.lower()
    if "level=error" not in lowered or any(other in lowered for other in _NOT_THE_DATA):
        return None
    files = [data / name for name in SNAPSHOTS if (data / name).is_file()]
    return put_away([file for file in files if not _whole(file)] or files, now())


def mend_prometheus(data: Path, said: str, *, now: Clock = time.time) -> str | None:
    """The part of its database that it names, or else the whole: the folder of a block, the log, its newest chunks."""
    if in_the_way := _cleared(data, now(), files=("lock", "queries.active"), folders=("chunks_head", "wal", "wbl")):
        return in_the_way
    if "opening storage failed" not in said or "lock" in said:
        return None
    named = _STORAGE.search(said)
    inside = Path(named[1]) if named is not None else data
    if inside != data and inside.is_relative_to(data):
        return put_away([data / inside.relative_to(data).parts[0]], now())
    return put_away([data], now())


def _cleared(data: Path, now: float, *, files: Iterable[str] = (), folders: Iterable[str] = ()) -> str | None:
    """What is no file, or no folder, where one is kept: neither program says so in words that could be told apart."""
    wrong = [data / name for name in files if os.path.lexists(data / name) and not (data / name).is_file()]
    wrong += [data / name for name in folders if os.path.lexists(data / name) and not (data / name).is_dir()]
    return put_away(wrong, now)


def put_away(damaged: Iterable[Path], now: float, *, into: Path | None = None) -> str | None:
    """A sentence about each; None when there is none. ``into`` is the folder for them, if not that they are in."""
    told = []
    for path in damaged:
        try:
            told.append(f"{path} is damaged and was set aside as {set_aside(path, now, into=into).name}")
        except FileNotFoundError:
            continue
        except OSError as error:
            told.append(f"{path} is damaged and cannot be set aside: {error.strerror or reason_of(error)}")
    return "; ".join(told) or None


def _whole(file: Path) -> bool:
    """Whether it is a row of messages, each after its length, to the last byte."""
    try:
        data = read_whole(file)
    except OSError:
        return False
    at = 0
    while at < len(data):
        length = shift = 0
        while True:
            if at >= len(data) or shift > 63:
                return False
            byte = data[at]
            length |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if byte < 0x80:
                break
        at += length
    return at == len(data)
