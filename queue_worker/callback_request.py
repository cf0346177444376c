"""What a callback is sent: the function's own headers, and what its queue worker says of the call. Pure."""

from __future__ import annotations

import hashlib
import hmac

from springtide.runtime.http_headers import HOP_BY_HOP
from springtide.wire.jobs.job import Headers, Job, JobState, Outcome
from springtide.wire.jobs.status_json import TRUNCATED

OURS = "x-springtide-"
SIGNATURE = "X-Springtide-Signature-256"
JOB_ID = "X-Springtide-Job-Id"
CALL_ID = "X-Call-Id"

_NOT_TOLD = frozenset((*(name.decode() for name in HOP_BY_HOP), "content-length", "date", "expect", "host", "server"))


def callback_headers(job: Job, job_id: str, outcome: Outcome, *, max_attempts: int, version: str) -> Headers:
    """``X-Retry`` equal to ``X-Retry-Max`` says that the call was given up, and is not so where its last try worked.

    ``X-Call-Id`` is the caller's own, where it gave one; the id that it was answered is told in any case.
    """
    answer = outcome.answer
    status = answer.status if answer is not None and answer.status else 503
    retries = max(0, outcome.attempts - 1)
    max_retries = retries if outcome.state is JobState.FAILED else max(max_attempts - 1, retries + 1)
    ours = {
        CALL_ID: call_id(job, job_id),
        JOB_ID: job_id,
        "X-Duration-Seconds": f"{max(0.0, outcome.finished_at - outcome.started_at):.6f}",
        "X-Function-Status": str(status),
        "X-Function-Name": job.lane.function.name,
        "X-Retry": str(retries),
        "X-Retry-Max": str(max_retries),
        "User-Agent": f"queue-worker/{version}",
    }
    if answer is not None and answer.truncated:
        ours[TRUNCATED] = "true"
    taken = {name.lower() for name in ours}
    theirs = (
        (name, value)
        for name, value in (answer.headers if answer is not None else ())
        if name.lower() not in _NOT_TOLD and name.lower() not in taken and not name.lower().startswith(OURS)
    )
    return (*theirs, *ours.items())


def call_id(job: Job, job_id: str) -> str:
    return next((value for name, value in job.headers if name.lower() == "x-call-id" and value), job_id)


def signature(secret: bytes, body: bytes) -> str:
    """Of a callback's body, as GitHub's webhooks have it: ``sha256=`` and the HMAC in hexadecimal."""
    return "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
