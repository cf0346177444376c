"""A queue in a file: JSON, a line for each job and each dead letter.

    {"v": 1, "kind": "job", "job": {…}, "body": "base64"}
    {"v": 1, "kind": "dead", "letter": {…}, "callback": {…}, "body": "base64"}    no callback unless it is one's
    {"v": 1, "kind": "piece", "data": "base64"}            of a body that is stored apart, behind the line it belongs to
    {"v": 1, "kind": "end", "jobs": 2, "dead": 1, "unreadable": 0}

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
MAX_LINE = 16 * 1024 * 1024
"""Bytes: a body in base64 and headers; what a server takes in one message is less."""


@dataclass(frozen=True, slots=True)
class JobLine:
    job: Job
    body: bytes


@dataclass(frozen=True, slots=True)
class LetterLine:
    letter: DeadLetter
    body: bytes
    callback: CallbackJob | None = None

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
        case JobLine(job, body):
            value = {"kind": "job", "job": json.loads(encode_job(job)), "body": _base64(body)}
        case LetterLine(letter, body, callback):
            value = {"kind": "dead", "letter": json.loads(encode_letter(letter)), "body": _base64(body)}
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
    value = bounded_json.loads(text)
    try:
        if value["v"] != VERSION:
            raise ValueError(f"it is version {str(value['v'])[:20]}, and this program reads version {VERSION}")
        return _decoded(value)
    except (KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise ValueError(f"it is no line of a queue's export: {error!r:.100}") from None


def _decoded(value: Mapping[str, Any]) -> Line:
    match value["kind"]:
        case "job":
            return JobLine(decode_job(json.dumps(value["job"])), _bytes(value["body"]))
        case "dead":
            told = value.get("callback")
            callback = None if told is None else decode_callback(json.dumps(told))
            return LetterLine(decode_letter(json.dumps(value["letter"])), _bytes(value["body"]), callback)
        case "piece":
            return Piece(_bytes(value["data"]))
        case "end":
            return End(int(value["jobs"]), int(value["dead"]), int(value["unreadable"]))
        case "broken":
            return Broken(str(value["reason"]))
        case kind:
            raise ValueError(f"its kind is {str(kind)[:20]!r}, which this program does not know")


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
