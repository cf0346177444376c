"""Histories in a file of a folder, for one machine: each save appends what has changed, a line each, and now and then
the file is written anew. A line that is broken, for the machine lost power in it, is passed over."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

import structlog

from springtide.runtime import bounded_json
from springtide.runtime.errors import BadInput, Unavailable
from springtide.runtime.files import read_whole, write_atomic
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.triggers.sleep.kept import Kept, Position, position_from_json, position_json

FILE = "sleep.jsonl"
SPARE_LINES = 1000
"""Beyond twice the functions there are: then the file is written anew."""

log = structlog.get_logger(__name__)


class FileStore:
    """Implements ``kept.Store``."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        self._records: dict[FunctionRef, str] = {}
        self._lines = 0

    def __repr__(self) -> str:
        return f"<FileStore {self._file}>"

    async def load(self) -> Kept:
        return await asyncio.to_thread(self._load)

    async def save(self, position: Position, changed: Mapping[FunctionRef, str | None]) -> None:
        for ref, text in changed.items():
            if text is None:
                self._records.pop(ref, None)
            else:
                self._records[ref] = text
        told = [*(_line(ref, text) for ref, text in changed.items()), _position(position)]
        anew = not self._lines or self._lines + len(told) > 2 * len(self._records) + SPARE_LINES
        if anew:
            told = [*(_line(ref, text) for ref, text in self._records.items()), _position(position)]
        await asyncio.to_thread(self._write, told, anew=anew)

    def _write(self, told: list[str], *, anew: bool) -> None:
        text = "".join(f"{line}\n" for line in told).encode()
        try:
            if anew:
                self._lines = 0
                self._file.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(self._file, text, mode=0o600)
            else:
                with self._file.open("ab") as file:
                    file.write(text)
        except OSError as error:
            self._lines = 0
            raise Unavailable(f"{self._file}: {error.strerror}; make room, or let us write there") from error
        self._lines += len(told)

    def _load(self) -> Kept:
        try:
            text = read_whole(self._file)
        except FileNotFoundError:
            return Kept()
        except OSError as error:
            raise Unavailable(f"{self._file} cannot be read: {error.strerror}") from error
        position, broken = None, 0
        self._records, self._lines = {}, 0
        for line in text.split(b"\n"):
            if not line:
                continue
            try:
                position = self._take(line) or position
            except (BadInput, KeyError, TypeError, ValueError):
                broken += 1
        if broken:
            log.warning("lines of what was learned of pauses cannot be read", file=str(self._file), lines=broken)
        # Broken lines go with the next save.
        self._lines = 0 if broken or not text.endswith(b"\n") else text.count(b"\n")
        return Kept(position, dict(self._records))

    def _take(self, line: bytes) -> Position | None:
        value = bounded_json.loads(line)
        if "position" in value:
            return position_from_json(str(value["position"]))
        ref = FunctionRef(str(value["namespace"]), str(value["name"]))
        if value["record"] is None:
            self._records.pop(ref, None)
        else:
            self._records[ref] = str(value["record"])
        return None


def _line(ref: FunctionRef, text: str | None) -> str:
    value = {"namespace": ref.namespace, "name": ref.name, "record": text}
    return json.dumps(value, separators=(",", ":"))


def _position(position: Position) -> str:
    return json.dumps({"position": position_json(position)}, separators=(",", ":"))
