"""The id of a job: a UUID (version 8 of RFC 9562) that tells where the job was stored, so that it need not be noted.

bits 127-80  the sequence number in its queue's stream; 0: not told
bits  79-76  8, the version
bits  75-64  which queue: the first 12 bits of SHA-256 of its name
bits  63-62  2, the variant
bits  61-0   random: the job's ``token``
"""

from __future__ import annotations

import functools
import hashlib
import re
import secrets
import uuid
from typing import NamedTuple

from springtide.wire.jobs.job import Job

TOKEN = re.compile(r"[0-9a-f]{16}")
MAX_SEQUENCE = 2**48 - 1
OF_CALLBACK = "-callback"
"""Behind the id of a job, or its token: the dead letter of telling its caller."""


class Place(NamedTuple):
    """``queue`` is the number that ``queue_number`` has of it; ``sequence`` is 0 where the id tells none."""

    queue: int
    sequence: int
    token: str


def new_token() -> str:
    return f"{secrets.randbits(62):016x}"


@functools.lru_cache(maxsize=1024)
def queue_number(queue: str) -> int:
    return int.from_bytes(hashlib.sha256(queue.encode()).digest()[:2]) >> 4


def job_id(queue: str, sequence: int, token: str) -> str:
    """``sequence`` beyond ``MAX_SEQUENCE`` is left out: the job is then found where it is noted, or not at all."""
    told = sequence if 0 <= sequence <= MAX_SEQUENCE else 0
    number = told << 80 | 8 << 76 | queue_number(queue) << 64 | 2 << 62 | int(token, 16)
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def id_of(job: Job, sequence: int = 0) -> str:
    """What its caller knows it by. ``sequence``: its place, where its id tells that."""
    return job.id or job_id(job.lane.queue, sequence, job.token)


def place_of(text: str) -> Place | None:
    """None: no job has such an id."""
    try:
        found = uuid.UUID(text)
    except ValueError:
        return None
    number = found.int
    if str(found) != text.lower() or number >> 76 & 15 != 8 or number >> 62 & 3 != 2:
        return None
    return Place(number >> 64 & 4095, number >> 80, f"{number & (1 << 62) - 1:016x}")


def dead_name(token: str, *, callback: bool) -> str:
    """What a dead letter is stored under."""
    return token + OF_CALLBACK if callback else token
