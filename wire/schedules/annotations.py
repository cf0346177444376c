"""The schedules of a function, by its annotations: OpenFaaS's two, and ours for what should happen around a tick.

topic: cron-function
schedule: "*/5 * * * *; CRON_TZ=Europe/Berlin 0 6 * * *"
com.springtide.schedule.overlap: forbid           allow (default), forbid, replace
com.springtide.schedule.catch-up: all             last (default), none, all
com.springtide.schedule.catch-up-limit: 20
com.springtide.schedule.jitter: 30s
com.springtide.schedule.method, .path, .body      what is called: POST, /, nothing
com.springtide.trigger.delivery: sync             async (default): by the queue, where there is one
"""

from __future__ import annotations

import difflib
import hashlib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from springtide.runtime.durations import format_duration, parse_duration_s
from springtide.runtime.errors import BadInput
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.endpoint_stream import bounded_annotations
from springtide.wire.events.delivery_mode import ANNOTATION as DELIVERY
from springtide.wire.events.delivery_mode import DeliveryMode
from springtide.wire.schedules.expression import Schedule, parse

T = TypeVar("T")

TOPIC, SCHEDULE = "topic", "schedule"
CRON_TOPIC = "cron-function"
BETWEEN = ";"

PREFIX = "com.springtide.schedule."
OVERLAP, CATCH_UP, CATCH_UP_LIMIT = PREFIX + "overlap", PREFIX + "catch-up", PREFIX + "catch-up-limit"
JITTER, BODY, PATH, METHOD = PREFIX + "jitter", PREFIX + "body", PREFIX + "path", PREFIX + "method"
OPTIONS = (OVERLAP, CATCH_UP, CATCH_UP_LIMIT, JITTER, BODY, PATH, METHOD)

MAX_SCHEDULES = 20
MAX_CATCH_UP = 1000
DEFAULT_CATCH_UP = 100
MAX_JITTER_S = 3600.0
MAX_BODY_BYTES = 8192
MAX_PATH_CHARS = 1000
METHODS = ("POST", "GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
MAX_SHOWN = 60

_PATH = re.compile(r"/[!-~]*")


class Overlap(StrEnum):
    """What becomes of a tick while the call of the one before it has not ended."""

    ALLOW = "allow"
    FORBID = "forbid"
    """It is skipped."""
    REPLACE = "replace"
    """The call is cancelled first."""


class CatchUp(StrEnum):
    """Which ticks are sent late that nobody could send in their time."""

    NONE = "none"
    LAST = "last"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class TickOptions:
    """``catch_up_limit`` counts the newest ticks of ``CatchUp.ALL``. Seconds; ``path`` begins with a slash."""

    overlap: Overlap = Overlap.ALLOW
    catch_up: CatchUp = CatchUp.LAST
    catch_up_limit: int = DEFAULT_CATCH_UP
    jitter_s: float = 0.0
    method: str = "POST"
    path: str = "/"
    body: str = ""
    delivery: DeliveryMode = DeliveryMode.ASYNC


DEFAULT = TickOptions()


@dataclass(frozen=True, slots=True)
class FunctionSchedule:
    """One schedule of a function. ``delay_s`` is its share of the jitter: always the same, so that all who compute a
    tick, here or in another process, come to the same instant."""

    schedule: Schedule
    options: TickOptions = DEFAULT
    delay_s: float = 0.0

    def due_after(self, instant_s: float, anchor_s: float) -> float:
        """As ``Schedule.next_after``, jitter included."""
        return self.schedule.next_after(instant_s - self.delay_s, anchor_s) + self.delay_s


def schedules_of(
    ref: FunctionRef, annotations: Mapping[str, str]
) -> tuple[tuple[FunctionSchedule, ...], tuple[str, ...]]:
    """The schedules that can be read, and what is wrong: each problem with key, value and remedy.

    An option that cannot be read has its default. Another program's topic or schedule is nobody's business here.
    """
    topic = annotations.get(TOPIC, "").strip()
    if topic != CRON_TOPIC:
        return (), tuple(_without_topic(topic, annotations))
    problems: list[str] = []
    options = _options(annotations, problems)
    schedules = _schedules(annotations, problems)
    delays = [_delay_s(ref, schedule, options) for schedule in schedules]
    found = (FunctionSchedule(schedule, options, delay) for schedule, delay in zip(schedules, delays, strict=True))
    return tuple(found), tuple(problems)


def next_due(ref: FunctionRef, annotations: Mapping[str, str], *, after_s: float, anchor_s: float) -> float | None:
    """When the function's next tick is due, by the earliest of its schedules; None if it has none."""
    instants = [one.due_after(after_s, anchor_s) for one in schedules_of(ref, annotations)[0]]
    return min(instants, default=None)


def _without_topic(topic: str, annotations: Mapping[str, str]) -> list[str]:
    mine = [key for key in annotations if key.startswith(PREFIX)]
    if topic or not (mine or SCHEDULE in annotations):
        return [f"annotation {key}: has no effect; it is for {TOPIC}={CRON_TOPIC!r}" for key in mine]
    key = SCHEDULE if SCHEDULE in annotations else mine[0]
    return [f"annotation {key}: has no effect alone; add the annotation {TOPIC}={CRON_TOPIC!r}"]


def _schedules(annotations: Mapping[str, str], problems: list[str]) -> list[Schedule]:
    if SCHEDULE not in annotations:
        remedy = f"write when the function is to be called, as {SCHEDULE}='*/5 * * * *'"
        problems.append(f"annotation {SCHEDULE}: missing beside {TOPIC}={CRON_TOPIC!r}; {remedy}")
        return []
    texts = [text for text in annotations[SCHEDULE].split(BETWEEN) if text.strip()]
    if not texts:
        problems.append(f"annotation {SCHEDULE}: empty; write five fields, @hourly, @daily or @every 5m")
    if len(texts) > MAX_SCHEDULES:
        remedy = f"a function has at most {MAX_SCHEDULES}; name several values in one field, as 0,30"
        problems.append(f"annotation {SCHEDULE}: has {len(texts)} schedules; {remedy}")
    found: dict[str, Schedule] = {}
    for text in texts[:MAX_SCHEDULES]:
        try:
            schedule = parse(text)
        except BadInput as error:
            problems.append(f"annotation {SCHEDULE}={error}")
            continue
        if schedule.text in found:
            twice = (
                f"annotation {SCHEDULE}={schedule.text!r}: given more than once, and runs once; leave the others out"
            )
            problems += [] if twice in problems else [twice]
        found[schedule.text] = schedule
    return list(found.values())


def _options(annotations: Mapping[str, str], problems: list[str]) -> TickOptions:
    def read(key: str, default: T, kind: Callable[[str], T]) -> T:
        if key not in annotations:
            return default
        try:
            return kind(annotations[key])
        except ValueError as error:
            problems.append(f"annotation {key}={_shown(annotations[key])}: {error}")
            return default

    options = TickOptions(
        overlap=read(OVERLAP, DEFAULT.overlap, _one_of(Overlap)),
        catch_up=read(CATCH_UP, DEFAULT.catch_up, _one_of(CatchUp)),
        catch_up_limit=read(CATCH_UP_LIMIT, DEFAULT.catch_up_limit, _limit),
        jitter_s=read(JITTER, DEFAULT.jitter_s, _jitter_s),
        method=read(METHOD, DEFAULT.method, _method),
        path=read(PATH, DEFAULT.path, _path),
        body=read(BODY, DEFAULT.body, _body),
        delivery=read(DELIVERY, DEFAULT.delivery, _one_of(DeliveryMode)),
    )
    if options.body and BODY not in bounded_annotations(annotations):
        problems.append(f"annotation {BODY}: not told, because the annotations are too long together; shorten them")
    problems += [_unknown(key) for key in annotations if key.startswith(PREFIX) and key not in OPTIONS]
    # Most functions have no options, and then thousands share one value.
    return DEFAULT if options == DEFAULT else options


def _one_of(kind: type[T]) -> Callable[[str], T]:
    def member(text: str) -> T:
        try:
            return kind(text.strip().lower())  # type: ignore[call-arg] # an enumeration
        except ValueError:
            raise ValueError(f"write {', '.join(map(str, kind))}") from None  # type: ignore[call-overload] # as above

    return member


def _limit(text: str) -> int:
    if not (text.strip().isascii() and text.strip().isdigit()) or not 1 <= int(text[:9]) <= MAX_CATCH_UP:
        raise ValueError(f"write a number between 1 and {MAX_CATCH_UP}")
    return int(text)


def _jitter_s(text: str) -> float:
    seconds = parse_duration_s(text)
    if seconds > MAX_JITTER_S:
        raise ValueError(f"write at most {format_duration(MAX_JITTER_S)}")
    return seconds


def _method(text: str) -> str:
    method = text.strip().upper()
    if method not in METHODS:
        raise ValueError(f"write {', '.join(METHODS)}")
    return method


def _path(text: str) -> str:
    path = text.strip()
    path = path if path.startswith("/") else f"/{path}"
    if len(path) > MAX_PATH_CHARS or "#" in path or not _PATH.fullmatch(path):
        raise ValueError(f"write at most {MAX_PATH_CHARS} characters that a URL may have, as /report?day=today")
    return path


def _body(text: str) -> str:
    if len(text.encode()) > MAX_BODY_BYTES:
        raise ValueError(f"it has {len(text.encode())} bytes; write at most {MAX_BODY_BYTES}")
    return text


def _unknown(key: str) -> str:
    near = difflib.get_close_matches(key, OPTIONS, n=1, cutoff=0.0)
    return f"annotation {key}: not known; is it {near[0]}?"


def _delay_s(ref: FunctionRef, schedule: Schedule, options: TickOptions) -> float:
    """A share of the jitter by a hash of what the schedule is. In whole seconds, which floats add up without a loss."""
    if not options.jitter_s:
        return 0.0
    share = int.from_bytes(hashlib.sha256(f"{ref} {schedule.text}".encode()).digest()[:8]) / 2**64
    return float(math.floor(share * options.jitter_s))


def _shown(text: str) -> str:
    return repr(text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…")
