"""A queue in a file: JSON, a line for each job and each dead letter.

    {"v": 1, "kind": "job", "job": {…}, "body": "base64"}
    {"v": 1, "kind": "dead", "letter": {…}, "callback": {…}, "body": "base64"}    no callback unless it is one's
    {"v": 1, "kind": "end", "jobs": 2, "dead": 1, "unreadable": 0}

A large body is behind its line, which says ``"pieces": 300000``, the bytes of it, in place of it:

    {"v": 1, "kind": "piece", "data": "base64"}

``job``, ``letter`` and ``callback`` are what ``message`` writes. A file without its end is not whole.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from springtide.runtime import bounded_json
from springtide.wire.jobs.job import CallbackJob, DeadLetter, Job
from springtide.wire.jobs.message import (
    decode_callback,
    decode_job,
    decode_letter,
    encode_callback,
    encode_job,
    encode_letter,
)

VERSION = 1
_NO_LINE = "this is no line that springtide queue export has written"
MAX_PIECE = 128 * 1024
"""Bytes of a body in one line, so that who reads a line holds up nobody else."""

MAX_LINE = 2 * 1024 * 1024
"""Bytes: of a job, its headers; of a dead letter, the beginning of its last answer, too."""

MAX_BODY = 2**40


@dataclass(frozen=True, slots=True)
class JobLine:
    """``pieces``: bytes of its body that are in the lines behind it."""

    job: Job
    body: bytes
    pieces: int = 0


@dataclass(frozen=True, slots=True)
class LetterLine:
    letter: DeadLetter
    body: bytes
    callback: CallbackJob | None = None
    pieces: int = 0

    @property
    def job(self) -> Job:
        return self.letter.job


@dataclass(frozen=True, slots=True)
class Piece:
    data: bytes


@dataclass(frozen=True, slots=True)
class End:
    """What was written before it; ``unreadable`` was left out."""

    jobs: int
    dead: int
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class Broken:
    """Whoever wrote could not go on."""

    reason: str


Line = JobLine | LetterLine | Piece | End | Broken


def encode_line(line: Line) -> bytes:
    match line:
        case JobLine(job):
            value = {"kind": "job", "job": json.loads(encode_job(job)), **_body(line)}
        case LetterLine(letter, callback=callback):
            value = {"kind": "dead", "letter": json.loads(encode_letter(letter)), **_body(line)}
            if callback is not None:
                value["callback"] = json.loads(encode_callback(callback))
        case Piece(data):
            value = {"kind": "piece", "data": _base64(data)}
        case End(jobs, dead, unreadable):
            value = {"kind": "end", "jobs": jobs, "dead": dead, "unreadable": unreadable}
        case Broken(reason):
            value = {"kind": "broken", "reason": reason}
    return json.dumps({"v": VERSION, **value}, separators=(",", ":")).encode() + b"\n"


def decode_line(text: bytes) -> Line:
    """Raises ValueError."""
    try:
        value = bounded_json.loads(text)
    except ValueError:
        raise ValueError(f"{_NO_LINE}: it is not JSON") from None
    try:
        if value["v"] != VERSION:
            raise ValueError(f"it is version {str(value['v'])[:20]}, and this program reads version {VERSION}")
        return _decoded(value)
    except KeyError as error:
        raise ValueError(f"{_NO_LINE}: it has no {error.args[0]!r}") from None
    except binascii.Error:
        raise ValueError(f"{_NO_LINE}: a body in it is not base64") from None
    except (TypeError, AttributeError):
        raise ValueError(f"{_NO_LINE}: something in it is of another kind than what is written there") from None


def _decoded(value: Mapping[str, Any]) -> Line:
    match value["kind"]:
        case "job":
            return JobLine(decode_job(json.dumps(value["job"])), _bytes(value["body"]), _size(value))
        case "dead":
            told = value.get("callback")
            callback = None if told is None else decode_callback(json.dumps(told))
            letter = decode_letter(json.dumps(value["letter"]))
            return LetterLine(letter, _bytes(value["body"]), callback, _size(value))
        case "piece":
            return Piece(_bytes(value["data"]))
        case "end":
            return End(*(_whole_number(value, key) for key in ("jobs", "dead", "unreadable")))
        case "broken":
            return Broken(str(value["reason"]))
        case kind:
            raise ValueError(f"its kind is {str(kind)[:20]!r}, which this program does not know")


def _body(line: JobLine | LetterLine) -> dict[str, Any]:
    return {"body": _base64(line.body), **({"pieces": line.pieces} if line.pieces else {})}


def _size(value: Mapping[str, Any]) -> int:
    return _whole_number({"pieces": 0, **value}, "pieces")


def _whole_number(value: Mapping[str, Any], key: str) -> int:
    found = value[key]
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found <= MAX_BODY:
        raise ValueError(f"{_NO_LINE}: its {key} is {str(found)[:40]!r}, no whole number from 0 to {MAX_BODY}")
    return found


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
