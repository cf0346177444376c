"""How jobs and what becomes of them are written: JSON in a header of the message whose payload is the body, as it is.

``v`` is the version of the format. A reader takes every version up to its own, passes over members it does not know,
and refuses a later version with ValueError, so that an older program leaves alone what a newer one stored.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from springtide.runtime import bounded_json
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.jobs.job import (
    Answer,
    CallbackJob,
    DeadLetter,
    Headers,
    Job,
    JobState,
    Lane,
    Outcome,
    Progress,
    StoredBody,
)
from springtide.wire.jobs.job_id import TOKEN

HEADER = "Springtide-Job"
CALLBACK_HEADER = "Springtide-Callback"
"""Of the dead letter of a callback: what was to be sent."""

VERSION = 1
_NOT_STORED = "it is not what is stored of a job"
MAX_HEADERS = 1000
"""Of one job; a gateway lets far fewer in."""

_Read = TypeVar("_Read")
_ENCODER = json.JSONEncoder(separators=(",", ":"))


def encode_job(job: Job) -> str:
    return _written(_job(job))


def decode_job(text: str) -> Job:
    """Raises ValueError."""
    return _read(text, _read_job)


def job_in(headers: Mapping[str, str] | None) -> Job | ValueError:
    """Of a message; the error where it holds nothing we know."""
    try:
        return decode_job((headers or {}).get(HEADER, ""))
    except ValueError as error:
        return error


def encode_outcome(job: Job, job_id: str, outcome: Outcome) -> str:
    """Without the body of the answer, which is the payload."""
    return _written({"id": job_id, "job": _job(job), "outcome": _outcome(outcome)})


def decode_outcome(text: str, body: bytes) -> tuple[str, Job, Outcome]:
    """Raises ValueError."""
    return _read(
        text, lambda value: (_text(value, "id"), _read_job(value["job"]), _read_outcome(value["outcome"], body))
    )


def encode_letter(letter: DeadLetter) -> str:
    """With the body of the last answer, as Latin-1: the payload is the job's own."""
    answer = letter.outcome.answer
    return _written(
        {
            "job": _job(letter.job),
            "outcome": _outcome(letter.outcome),
            "answer_body": (answer.body if answer else b"").decode("latin-1"),
            "callback": letter.callback,
        }
    )


def decode_letter(text: str) -> DeadLetter:
    """Raises ValueError."""

    def read(value: Mapping[str, Any]) -> DeadLetter:
        body = _text(value, "answer_body").encode("latin-1")
        return DeadLetter(
            job=_read_job(value["job"]),
            outcome=_read_outcome(value["outcome"], body),
            callback=value.get("callback") is True,
        )

    return _read(text, read)


def encode_callback(callback: CallbackJob) -> str:
    return _written(
        {
            "job": _job(callback.job),
            "id": callback.id,
            "headers": callback.headers,
            "finished_at": callback.finished_at,
        }
    )


def decode_callback(text: str) -> CallbackJob:
    """Raises ValueError."""
    return _read(
        text,
        lambda value: CallbackJob(
            job=_read_job(value["job"]),
            id=_text(value, "id"),
            headers=_headers(value),
            finished_at=_number(value, "finished_at"),
        ),
    )


def encode_progress(progress: Progress) -> bytes:
    return _written(
        {
            "state": progress.state,
            "attempts": progress.attempts,
            "started_at": progress.started_at,
            "next_attempt_at": progress.next_attempt_at,
            "status": progress.status,
            "reason": progress.reason,
        }
    ).encode()


def decode_progress(text: bytes) -> Progress:
    """Raises ValueError."""
    return _read(
        text,
        lambda value: Progress(
            state=_state(value),
            attempts=int(_number(value, "attempts")),
            started_at=_number(value, "started_at"),
            next_attempt_at=_number(value, "next_attempt_at"),
            status=int(_number(value, "status")),
            reason=str(value.get("reason", "")),
        ),
    )


def _job(job: Job) -> dict[str, Any]:
    lane = job.lane
    value: dict[str, Any] = {
        "token": job.token,
        "queue": lane.queue,
        "function": lane.function.name,
        "namespace": lane.function.namespace,
        "tenant": lane.tenant,
        "method": job.method,
        "path": job.path,
        "query": job.query,
        "headers": job.headers,
        "accepted_at": job.accepted_at,
    }
    if job.callback:
        value["callback"] = job.callback
    if job.not_before:
        value["not_before"] = job.not_before
    if job.stored_body is not None:
        value["stored_body"] = [job.stored_body.name, job.stored_body.size]
    if job.round:
        value["round"] = job.round
    if job.id:
        value["id"] = job.id
    return value


def _read_job(value: Mapping[str, Any]) -> Job:
    stored = value.get("stored_body")
    return Job(
        token=_token(value),
        lane=Lane(
            _text(value, "queue"),
            FunctionRef(_text(value, "namespace"), _text(value, "function")),
            _text(value, "tenant"),
        ),
        method=_text(value, "method"),
        path=_text(value, "path"),
        query=_text(value, "query"),
        headers=_headers(value),
        accepted_at=_number(value, "accepted_at"),
        callback=str(value.get("callback", "")),
        not_before=_number({"not_before": 0.0, **value}, "not_before"),
        stored_body=None if stored is None else StoredBody(str(stored[0]), int(stored[1])),
        round=int(_number({"round": 0, **value}, "round")),
        id=str(value.get("id", "")),
    )


def _outcome(outcome: Outcome) -> dict[str, Any]:
    answer = outcome.answer
    return {
        "state": outcome.state,
        "attempts": outcome.attempts,
        "started_at": outcome.started_at,
        "finished_at": outcome.finished_at,
        "reason": outcome.reason,
        "answer": None if answer is None else [answer.status, answer.headers, answer.truncated],
    }


def _read_outcome(value: Mapping[str, Any], body: bytes) -> Outcome:
    answer = value["answer"]
    return Outcome(
        state=_state(value),
        attempts=int(_number(value, "attempts")),
        started_at=_number(value, "started_at"),
        finished_at=_number(value, "finished_at"),
        reason=_text(value, "reason"),
        answer=None if answer is None else Answer(int(answer[0]), _pairs(answer[1]), body, answer[2] is True),
    )


def _written(value: dict[str, Any]) -> str:
    """ASCII, on one line: what a header of a message may hold."""
    return _ENCODER.encode({"v": VERSION, **value})


def _read(text: str | bytes, read: Callable[[Mapping[str, Any]], _Read]) -> _Read:
    value = bounded_json.loads(text)
    try:
        version = value["v"]
        if not isinstance(version, int) or not 1 <= version <= VERSION:
            raise ValueError(f"its format is version {str(version)[:20]}, and this program knows those up to {VERSION}")
        return read(value)
    except KeyError as error:
        raise ValueError(f"{_NOT_STORED}: it has no {error.args[0]!r}") from None
    except (TypeError, IndexError, AttributeError):
        raise ValueError(f"{_NOT_STORED}: something in it is of another kind than what is written there") from None


def _token(value: Mapping[str, Any]) -> str:
    token = value["token"]
    if not isinstance(token, str) or not TOKEN.fullmatch(token):
        raise ValueError(f"its token is {token!r:.40}, not 16 hexadecimal digits")
    return token


def _text(value: Mapping[str, Any], key: str) -> str:
    found = value[key]
    if not isinstance(found, str):
        raise _wrong(key, found, "text")
    return found


def _number(value: Mapping[str, Any], key: str) -> float:
    found = value[key]
    if not isinstance(found, int | float) or isinstance(found, bool):
        raise _wrong(key, found, "number")
    return found


def _wrong(key: str, found: object, kind: str) -> ValueError:
    return ValueError(f"{_NOT_STORED}: its {key} is {found!r:.40}, no {kind}")


def _state(value: Mapping[str, Any]) -> JobState:
    try:
        return JobState(value["state"])
    except ValueError:
        raise _wrong("state", value["state"], "state of a job") from None


def _headers(value: Mapping[str, Any]) -> Headers:
    return _pairs(value["headers"])


def _pairs(value: Any) -> Headers:
    if len(value) > MAX_HEADERS:
        raise ValueError(f"it has more than {MAX_HEADERS} headers")
    return tuple((str(name), str(content)) for name, content in value)
