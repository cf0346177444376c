"""What a caller asks for with an asynchronous call: pure, from the head of its request."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from springtide.gateway.http1.request import RequestHead
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.durations import format_duration, parse_duration_s
from springtide.runtime.errors import BadInput
from springtide.wire.jobs import names
from springtide.wire.jobs.callback_address import CallbackRules
from springtide.wire.jobs.job import DEFAULT_QUEUE, SHARED_LANE, Headers

QUEUE_ANNOTATION = "com.openfaas.queue"
MAX_DELAY_S = 30 * 86_400.0
MAX_KEY = 255
MAX_TENANT = 100
TENANT_LANES = 64
"""Lanes of one function: more tenants share them, so that a caller cannot make any number."""

_OURS = frozenset(
    (
        *("prefer", "x-delay", "x-not-before", "x-queue", "x-fairness-key", "idempotency-key"),
        *("expect", "host", "content-length", "x-forwarded-host", "x-forwarded-proto"),
    )
)
"""Said to the gateway, or said anew when the call is made."""

_ONCE = ("X-Callback-Url", "X-Delay", "X-Not-Before", "X-Queue", "X-Fairness-Key", "Idempotency-Key")
"""Which of two values is meant nobody knows."""

_ASYNC = re.compile(r"(?i)(?:\A|,)\s*respond-async\s*(?:[;,]|\Z)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Requested:
    """``key``: the caller's Idempotency-Key, or nothing. ``not_before`` in seconds since 1970; 0: at once.

    ``key_is_all``: whoever repeats a call under its key may write it differently, as senders of events do.
    """

    queue: str
    tenant: str
    headers: Headers
    callback: str
    not_before: float
    key: str
    key_is_all: bool = False


def prefers_async(head: RequestHead) -> bool:
    """Whether a ``Prefer`` header says ``respond-async`` (RFC 7240)."""
    return any(name.lower() == "prefer" and _ASYNC.search(value) for name, value in pairs(head.fields))


def requested(
    head: RequestHead,
    annotations: Mapping[str, str],
    *,
    rules: CallbackRules,
    credentials: Credentials | None,
    now: float,
) -> Requested:
    """``now`` in seconds since 1970. Raises BadInput that names the header."""
    found = pairs(head.fields)
    given = {name.lower(): value for name, value in found}
    if len(given) < len(found):
        _check_single(found)
    callback = given.get("x-callback-url", "")
    if callback:
        rules.check(callback)
    return Requested(
        queue=_queue(given, annotations),
        tenant=_tenant(given.get("x-fairness-key", "")),
        headers=_kept(found, credentials),
        callback=callback,
        not_before=_not_before(given, now),
        key=_key(given.get("idempotency-key", "")),
    )


def requested_by_event(
    fields: bytes, annotations: Mapping[str, str], *, credentials: Credentials | None, key: str
) -> Requested:
    """Of an event under its ``key``: how it is kept is the function's to say, not the sender's. Raises BadInput."""
    return Requested(
        queue=_queue({}, annotations),
        tenant=SHARED_LANE,
        headers=_kept(pairs(fields), credentials),
        callback="",
        not_before=0.0,
        key=key,
        key_is_all=True,
    )


def pairs(fields: bytes) -> Headers:
    """Of header lines that each have a CRLF before them."""
    lines = fields.decode("latin-1").split("\r\n")[1:]
    split = [line.partition(":") for line in lines]
    return tuple([(name, value.strip(" \t")) for name, _, value in split])


def _check_single(found: Headers) -> None:
    """Raises BadInput."""
    counts = Counter(name.lower() for name, _ in found)
    for name in _ONCE:
        if (times := counts[name.lower()]) > 1:
            raise BadInput(f"{name} is given {times} times; which is meant? Send it once")


def _kept(found: Headers, credentials: Credentials | None) -> Headers:
    """Those that the function is to see. Credentials of the system API are nobody's to keep on a disk."""
    return tuple(
        [
            (name, value)
            for name, value in found
            if (lower := name.lower()) not in _OURS
            and not (
                lower == "authorization" and credentials is not None and credentials.accepts(value.encode("latin-1"))
            )
        ]
    )


def _queue(given: Mapping[str, str], annotations: Mapping[str, str]) -> str:
    if "x-queue" in given:
        return names.checked_queue(given["x-queue"], "X-Queue")
    if QUEUE_ANNOTATION in annotations:
        return names.checked_queue(annotations[QUEUE_ANNOTATION], f"the annotation {QUEUE_ANNOTATION}")
    return DEFAULT_QUEUE


def _tenant(key: str) -> str:
    if not key:
        return SHARED_LANE
    if len(key) > MAX_TENANT:
        raise BadInput(f"X-Fairness-Key has {len(key)} characters; at most {MAX_TENANT} are kept")
    return str(int.from_bytes(hashlib.sha256(key.encode()).digest()[:4]) % TENANT_LANES)


def _key(key: str) -> str:
    if len(key) > MAX_KEY:
        raise BadInput(f"Idempotency-Key has {len(key)} characters; at most {MAX_KEY} are kept")
    return key


def _not_before(given: Mapping[str, str], now: float) -> float:
    delay, instant = given.get("x-delay"), given.get("x-not-before")
    if delay is not None and instant is not None:
        raise BadInput("both X-Delay and X-Not-Before are given; which is meant? Leave one out")
    if delay is not None:
        try:
            seconds = parse_duration_s(delay)
        except ValueError as error:
            raise BadInput(f"X-Delay: {error}") from None
        return _bounded("X-Delay", delay, seconds, now)
    if instant is not None:
        return _bounded("X-Not-Before", instant, _instant(instant) - now, now)
    return 0.0


def _bounded(header: str, text: str, delay_s: float, now: float) -> float:
    if delay_s > MAX_DELAY_S:
        longest = format_duration(MAX_DELAY_S)
        raise BadInput(f"{header} is {text[:40]!r}, further away than {longest}, the longest that a call is kept for")
    return now + delay_s if delay_s > 0 else 0.0


def _instant(text: str) -> float:
    """RFC 3339, a date as HTTP has it, or seconds since 1970."""
    try:
        return float(text) if re.fullmatch(r"\d{1,12}(\.\d{1,9})?", text) else _date(text).timestamp()
    except (ValueError, OverflowError, IndexError):
        raise BadInput(
            f"X-Not-Before is {text[:40]!r}, no instant; write it as 2026-12-24T08:00:00Z, or seconds since 1970"
        ) from None


def _date(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = parsedate_to_datetime(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
