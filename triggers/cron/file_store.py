"""What is kept of schedules in two files of a folder: for one machine, where one process leads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import structlog

from springtide.runtime.errors import BadInput, Unavailable
from springtide.runtime.files import read_whole, set_aside, write_atomic
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.triggers.cron.kept import (
    Kept,
    Position,
    Record,
    position_from_json,
    position_json,
    records_from_json,
    records_json,
)

T = TypeVar("T")
POSITION, RECORDS = "position.json", "schedules.json"

log = structlog.get_logger(__name__)


class FileStore:
    """Implements ``kept.Store``. What cannot be read is set aside, and everything begins anew."""

    def __init__(self, folder: Path, wall: Callable[[], float]) -> None:
        self._folder = folder
        self._wall = wall
        self._records: dict[FunctionRef, Record] = {}

    def __repr__(self) -> str:
        return f"<FileStore {self._folder}>"

    async def load(self) -> Kept:
        return await asyncio.to_thread(self._load)

    async def save(self, position: Position, changed: Mapping[FunctionRef, Record | None]) -> None:
        for ref, record in changed.items():
            if record is None:
                self._records.pop(ref, None)
            else:
                self._records[ref] = record
        records = records_json(self._records) if changed else None
        await asyncio.to_thread(self._save, position_json(position), records)

    def _save(self, position: bytes, records: bytes | None) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if records is not None:
                write_atomic(self._folder / RECORDS, records, mode=0o600)
            write_atomic(self._folder / POSITION, position, mode=0o600)
        except OSError as error:
            raise Unavailable(f"{self._folder}: {error.strerror}; make room, or let us write there") from error

    def _load(self) -> Kept:
        position = self._read(POSITION, position_from_json)
        self._records = self._read(RECORDS, records_from_json) or {}
        return Kept(position=position, records=dict(self._records))

    def _read(self, name: str, parse: Callable[[bytes], T]) -> T | None:
        file = self._folder / name
        try:
            return parse(read_whole(file))
        except FileNotFoundError:
            return None
        except (BadInput, OSError) as error:
            try:
                at = set_aside(file, self._wall())
            except OSError as second:
                raise Unavailable(f"{file} cannot be read, nor set aside: {second.strerror}") from error
            log.warning("what was kept of schedules cannot be read; it begins anew", file=str(at), why=str(error))
            return None
