"""How streams, subjects and buckets are called.

    OF_<queue>         of.job.<queue>.<namespace>.<function>.<tenant>   jobs that wait or run (work queue)
    OF_<queue>_DEAD    of.dead.<queue>.<token>                           those given up
    OF_DELAYED         of.delayed.<number>.<token>, of.due.<number>.<token>   whose time has not come, or has just come
    OF_CALLBACKS       of.callback                                       answers to be told (work queue)
    OF_RESULTS, OF_PROGRESS, OF_TRIES, OF_PLACES, OF_KEYS, OF_CRON, OF_SLEEP  key-value buckets
    OF_BODIES                                                            object store
    of.ring.<queue>, of.stop, of.ended.<token>, of.copies.<queue>        said, not stored

The names of the queues' streams are OpenFaaS's. ``<number>`` is what an id tells of its queue, in hexadecimal.
"""

from __future__ import annotations

import functools
import re

from springtide.runtime.errors import BadInput
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.jobs.job import Lane

DELAYED = "OF_DELAYED"
CALLBACKS = "OF_CALLBACKS"
RESULTS = "OF_RESULTS"
PROGRESS = "OF_PROGRESS"
TRIES = "OF_TRIES"
PLACES = "OF_PLACES"
KEYS = "OF_KEYS"
BODIES = "OF_BODIES"
CRON = "OF_CRON"
SLEEP = "OF_SLEEP"

CALLBACK_SUBJECT = "of.callback"
STOP_SUBJECT = "of.stop"
DELAYED_SUBJECTS = "of.delayed.>"
DUE_SUBJECTS = "of.due.>"

MAX_QUEUE_NAME = 40
QUEUE_NAME = re.compile(rf"[a-z0-9_-]{{1,{MAX_QUEUE_NAME}}}")
_RESERVED = {"delayed", "callbacks"}
_QUOTED = re.compile(r"[^A-Za-z0-9_-]")


def checked_queue(name: str, said_by: str) -> str:
    """``said_by``: the key that the name stands under. Raises BadInput."""
    if not QUEUE_NAME.fullmatch(name) or name in _RESERVED or name.endswith("_dead"):
        raise BadInput(
            f"{said_by} is {name[:80]!r}, which names no queue: a-z, 0-9, - and _, at most {MAX_QUEUE_NAME} of them,"
            " and neither delayed, callbacks nor anything that ends with _dead"
        )
    return name


def stream(queue: str) -> str:
    return f"OF_{queue}"


def dead_stream(queue: str) -> str:
    return f"OF_{queue}_DEAD"


def queue_of_stream(name: str) -> str | None:
    """None: it is not the stream of a queue."""
    queue = name.removeprefix("OF_")
    return queue if queue != name and QUEUE_NAME.fullmatch(queue) else None


@functools.lru_cache(maxsize=4096)
def job_subject(lane: Lane) -> str:
    ref = lane.function
    return f"of.job.{lane.queue}.{_quoted(ref.namespace)}.{_quoted(ref.name)}.{_quoted(lane.tenant)}"


def job_subjects(queue: str) -> str:
    return f"of.job.{queue}.>"


def function_subjects(queue: str, ref: FunctionRef) -> str:
    """Of all its lanes."""
    return f"of.job.{queue}.{_quoted(ref.namespace)}.{_quoted(ref.name)}.*"


def lane_of(subject: str) -> Lane | None:
    """None: no such subject is a job's."""
    words = subject.split(".")
    if len(words) != 6 or words[:2] != ["of", "job"]:
        return None
    queue, namespace, name, tenant = words[2], *map(_unquoted, words[3:])
    return Lane(queue, FunctionRef(namespace, name), tenant)


def dead_subject(queue: str, token: str) -> str:
    return f"of.dead.{queue}.{token}"


def delayed_subject(number: int, token: str) -> str:
    return f"of.delayed.{number:03x}.{token}"


def due_subject(number: int, token: str) -> str:
    return f"of.due.{number:03x}.{token}"


def record_subject(ref: FunctionRef) -> str:
    """Of what is kept of a function's schedules, in its bucket."""
    return f"function.{_quoted(ref.namespace)}.{_quoted(ref.name)}"


def function_of_record(subject: str) -> FunctionRef | None:
    """None: it is no such subject."""
    words = subject.split(".")
    if len(words) != 3 or words[0] != "function":
        return None
    return FunctionRef(*map(_unquoted, words[1:]))


def ended_subject(token: str) -> str:
    return f"of.ended.{token}"


def ring_subject(queue: str) -> str:
    return f"of.ring.{queue}"


def copies_subject(queue: str) -> str:
    """Where the workers of a queue speak to one another."""
    return f"of.copies.{queue}"


def consumer(lane: Lane) -> str:
    """The durable name of a lane's consumer: its subject's words, for a name has no dots."""
    return job_subject(lane).removeprefix(f"of.job.{lane.queue}.").replace(".", "~")


def _quoted(text: str) -> str:
    """A word of a subject; what may not stand in one is ``=`` and its hexadecimal number, as in quoted-printable."""
    return _QUOTED.sub(lambda found: "".join(f"={byte:02X}" for byte in found[0].encode()), text)


def _unquoted(word: str) -> str:
    raw = re.sub(rb"=([0-9A-F]{2})", lambda found: bytes([int(found[1], 16)]), word.encode())
    return raw.decode(errors="replace")
