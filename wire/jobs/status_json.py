"""Jobs, dead letters and queues as the system API tells them. Instants are RFC 3339, in UTC; what is not known is null.

job      id state function namespace queue tenant method path query accepted_at not_before attempts started_at
         finished_at next_attempt_at status reason callback callback_delivery; answer, where it is asked for
delivery of a job that has ended, to its callback: state (queued, retrying, done, failed, or cancelled where its dead
         letter was thrown away) attempts tried_at next_attempt_at status reason dead_letter
delayed  functions (function namespace due: the nearest instants), until: each first one before that is told
letter   the same, and dead_at size of_callback
body     body encoding ("text", or "base64" where it is no UTF-8) size truncated
"""

from __future__ import annotations

import base64
import codecs
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from springtide.scaler.core.delayed_calls import DelayedCalls
from springtide.wire.jobs.job import (
    SHARED_LANE,
    Answer,
    Depths,
    Headers,
    Job,
    JobState,
    JobStatus,
    Progress,
    StoredLetter,
)
from springtide.wire.jobs.job_id import OF_CALLBACK

MAX_BODY = 1024 * 1024
"""Of one body that is told."""

TRUNCATED = "X-Springtide-Truncated"
"""A header of an answer that is told by itself: it went on, and the rest was not kept."""


def instant_text(at: float) -> str | None:
    """None for 0: it is not known, or has not come."""
    if not at:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def job_json(status: JobStatus, *, answer: bool = False) -> dict[str, Any]:
    progress, outcome = status.progress, status.outcome
    last_status = outcome.answer.status if outcome and outcome.answer else progress.status if progress else 0
    value = _job(status.job) | {
        "id": status.id,
        "state": str(status.state),
        "attempts": outcome.attempts if outcome else progress.attempts if progress else 0,
        "started_at": instant_text(outcome.started_at if outcome else progress.started_at if progress else 0.0),
        "finished_at": instant_text(outcome.finished_at if outcome else 0.0),
        "next_attempt_at": instant_text(progress.next_attempt_at if progress and not outcome else 0.0),
        "status": last_status or None,
        "reason": (outcome.reason if outcome else "") or None,
        "callback_delivery": _delivery(status),
    }
    if answer:
        told = outcome.answer if outcome else None
        value["answer"] = _answer(told) if told is not None else None
    return value


def delayed_json(calls: DelayedCalls) -> dict[str, Any]:
    """``until`` null: all are told."""
    functions = [
        {"function": ref.name, "namespace": ref.namespace, "due": list(map(instant_text, due))}
        for ref, due in calls.due.items()
    ]
    return {"functions": functions, "until": instant_text(calls.until) if math.isfinite(calls.until) else None}


def letter_json(stored: StoredLetter, *, answer: bool = False) -> dict[str, Any]:
    letter = stored.letter
    status = JobStatus(id=stored.id, job=letter.job, state=JobState.FAILED, outcome=letter.outcome)
    return job_json(status, answer=answer) | {
        "callback_delivery": None,
        "dead_at": instant_text(stored.stored_at),
        "size": stored.size,
        "of_callback": letter.callback,
    }


def body_json(body: bytes, *, size: int, truncated: bool = False) -> dict[str, Any]:
    """Of a larger body its beginning; of text whole characters."""
    shown = body[:MAX_BODY]
    cut = truncated or len(shown) < size
    try:
        text, encoding = _decoded(shown, cut=cut), "text"
    except UnicodeDecodeError:
        text, encoding = base64.b64encode(shown).decode(), "base64"
    return {"body": text, "encoding": encoding, "size": size, "truncated": cut}


def _decoded(body: bytes, *, cut: bool) -> str:
    """Raises UnicodeDecodeError. A ``cut`` body may end within a character."""
    return codecs.getincrementaldecoder("utf-8")().decode(body, final=not cut)


def body_of(value: Mapping[str, Any]) -> bytes:
    """What ``body_json`` was made of. Raises ValueError or KeyError."""
    body = str(value["body"])
    return base64.b64decode(body, validate=True) if value.get("encoding") == "base64" else body.encode()


def headers_json(headers: Headers) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name, []).append(value)
    return found


def depths_json(depths: Depths, *, now: float) -> dict[str, Any]:
    """``pending`` jobs wait, run or are to be tried again."""
    return {
        "at": instant_text(now),
        "queues": [
            {
                "name": depth.queue,
                "pending": sum(depth.lanes.values()),
                "oldest_at": instant_text(depth.oldest_at),
                "oldest_age_s": round(max(0.0, now - depth.oldest_at), 3) if depth.oldest_at else None,
                "dead": depth.dead,
                "functions": _functions(depth.lanes.items()),
            }
            for depth in depths.queues
        ],
        "delayed": depths.delayed,
        "callbacks": depths.callbacks,
    }


def _functions(lanes: Iterable[Any]) -> list[dict[str, Any]]:
    counts: dict[tuple[str, str], int] = {}
    for lane, count in lanes:
        ref = (lane.function.namespace, lane.function.name)
        counts[ref] = counts.get(ref, 0) + count
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [{"function": name, "namespace": namespace, "pending": count} for (namespace, name), count in ordered]


def _job(job: Job) -> dict[str, Any]:
    lane = job.lane
    return {
        "function": lane.function.name,
        "namespace": lane.function.namespace,
        "queue": lane.queue,
        "tenant": None if lane.tenant == SHARED_LANE else lane.tenant,
        "method": job.method,
        "path": job.path,
        "query": job.query,
        "accepted_at": instant_text(job.accepted_at),
        "not_before": instant_text(job.not_before),
        "callback": job.callback or None,
    }


def _delivery(status: JobStatus) -> dict[str, Any] | None:
    if not status.tells:
        return None
    told = status.delivery or Progress(state=JobState.QUEUED, attempts=0, started_at=0.0)
    return {
        "state": str(told.state),
        "attempts": told.attempts,
        "tried_at": instant_text(told.started_at),
        "next_attempt_at": instant_text(told.next_attempt_at),
        "status": told.status or None,
        "reason": told.reason or None,
        "dead_letter": status.id + OF_CALLBACK if told.state is JobState.FAILED else None,
    }


def _answer(answer: Answer) -> dict[str, Any]:
    told = {"status": answer.status, "headers": headers_json(answer.headers)}
    return told | body_json(answer.body, size=len(answer.body), truncated=answer.truncated)
