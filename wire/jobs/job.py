"""One asynchronous call, and what becomes of it. Instants are seconds since 1970."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from springtide.scaler.core.vocabulary import FunctionRef

DEFAULT_QUEUE = "faas-request"
"""The name that OpenFaaS gives to the queue of functions that name none."""

SHARED_LANE = "_"
"""The lane of jobs that no tenant is named for."""

Headers = tuple[tuple[str, str], ...]
"""Names and values as they came, in their order; each byte is the character of that number (Latin-1)."""


class JobState(enum.StrEnum):
    QUEUED = "queued"
    DELAYED = "delayed"
    """Its time has not come."""
    RUNNING = "running"
    RETRYING = "retrying"
    """An attempt failed, and the next one waits for its time."""
    DONE = "done"
    """The function answered, with whatever status; a status that is to be retried is not an answer."""
    FAILED = "failed"
    """Given up; a dead letter has it whole."""
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


FINAL = frozenset(state for state in JobState if state.final)


@dataclass(frozen=True, slots=True, order=True)
class Lane:
    """Jobs that go out in the order in which they came: those of one function, or of one tenant of it."""

    queue: str
    function: FunctionRef
    tenant: str = SHARED_LANE


@dataclass(frozen=True, slots=True)
class StoredBody:
    """A body too large for a message: its name in the object store, and its size in bytes."""

    name: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What was asked for. The body is not here: it travels beside it, or is stored.

    ``token`` is 62 random bits as 16 hexadecimal digits and names the job for good; ``round`` counts how often it was
    put back after it had been given up.
    """

    token: str
    lane: Lane
    method: str
    path: str
    """What follows the function's name, with its slash, or nothing; as it came, not decoded."""
    query: str
    """Without its question mark."""
    headers: Headers
    accepted_at: float
    callback: str = ""
    not_before: float = 0.0
    stored_body: StoredBody | None = None
    round: int = 0
    id: str = ""
    """The id that its caller has, where it is no longer in the place that its id tells."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a function, or the gateway in its stead, answered to an attempt; ``status`` 0: the connection was lost."""

    status: int
    headers: Headers = ()
    body: bytes = b""
    truncated: bool = False
    """The body went on; this is its beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a job ended. Kept for a day, by default; ``attempts`` counts executions that were begun."""

    state: JobState
    attempts: int
    started_at: float
    """Of the last attempt; 0 if there was none."""
    finished_at: float
    answer: Answer | None = None
    reason: str = ""
    """Why it was given up, or who cancelled it, in a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a worker tells of a job that has not ended, or of telling a job's caller. A view: it may be lost, and then
    the job counts as queued."""

    state: JobState
    attempts: int
    started_at: float
    next_attempt_at: float = 0.0
    status: int = 0
    """Of the last failed attempt; of a callback that was taken, of that."""
    reason: str = ""
    """Why a callback was given up, or had no answer the last time, in a sentence."""


def newest(*told: Progress | None) -> Progress | None:
    """Of what was told of one job in several places: a try runs before it fails, and the next one comes after that."""
    known = [progress for progress in told if progress is not None]
    return max(known, key=lambda progress: (progress.attempts, progress.state is not JobState.RUNNING), default=None)


def cancelled_waiting(progress: Progress | None, *, at: float) -> Outcome:
    """Of a job that nobody ran at that moment."""
    attempts = progress.attempts if progress else 0
    tried = f"after {attempts} attempt{'s' if attempts > 1 else ''}, while it waited for the next"
    return cancelled(progress, at=at, reason=f"it was cancelled {tried if attempts else 'before it ran'}")


def cancelled(progress: Progress | None, *, at: float, reason: str) -> Outcome:
    """Of a job that had come as far as ``progress``."""
    return Outcome(
        state=JobState.CANCELLED,
        attempts=progress.attempts if progress else 0,
        started_at=progress.started_at if progress else 0.0,
        finished_at=at,
        reason=reason,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """What is known of a job by its id."""

    id: str
    job: Job
    state: JobState
    progress: Progress | None = None
    outcome: Outcome | None = None
    delivery: Progress | None = None
    """How far telling its caller has come, where it has ended and somebody is to be told; None: nobody has tried."""

    @property
    def tells(self) -> bool:
        """Its caller is told, or was, or was to be."""
        return bool(self.job.callback) and self.state.final and self.state is not JobState.CANCELLED


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A job that was given up, whole: its body is beside it as it was with the job."""

    job: Job
    outcome: Outcome
    callback: bool = False
    """It is not the call that failed, but telling its caller: the body is that of the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLetter:
    """A dead letter as it is kept. ``sequence`` is its place among those of its queue, ``size`` its body's bytes."""

    id: str
    """The job's, with ``-callback`` behind it where its caller could not be told."""
    letter: DeadLetter
    sequence: int
    stored_at: float
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackJob:
    """The request that tells a caller of the answer; its body is beside it. ``headers`` are the request's own."""

    job: Job
    id: str
    headers: Headers
    finished_at: float


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """``lanes`` has the jobs of each, which includes those that run or are to be retried."""

    queue: str
    lanes: Mapping[Lane, int]
    oldest_at: float = 0.0
    """When the oldest job that is still there was put into the queue; 0 if there is none."""
    dead: int = 0


@dataclass(frozen=True, slots=True)
class Depths:
    queues: tuple[QueueDepth, ...]
    delayed: int = 0
    """Jobs whose time has not come, of all queues."""
    callbacks: int = 0
    """Answers that are yet to be told."""
