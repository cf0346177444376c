"""What is asked of a broker. Every method that talks to it has a deadline of its own.

All raise Unavailable where the broker is away, does not answer or cannot write; nothing is then known of whether what
was to be stored is. Each write that is repeated with the same values is made once.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from springtide.scaler.core.delayed_calls import DelayedCalls
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.jobs.job import (
    CallbackJob,
    DeadLetter,
    Depths,
    Job,
    JobState,
    JobStatus,
    Lane,
    Outcome,
    Progress,
    StoredBody,
    StoredLetter,
)
from springtide.wire.jobs.transfer_lines import Line


class Claim(NamedTuple):
    """What is noted of an idempotency key: whose job it stands for, and a digest of what was asked for."""

    token: str
    fingerprint: str
    claimed_at: float
    id: str = ""
    """Empty until the job is known to be stored."""


class JobStore(Protocol):
    """What a gateway needs."""

    async def submit(self, job: Job, body: bytes) -> str:
        """Store a job, delayed where its ``not_before`` is to come; the id for its caller. It returns when the job is
        on disk. The body is empty where the job has a stored one. Raises TooMany when the queue is full."""
        ...

    async def store_body(self, token: str, chunks: AsyncIterator[bytes]) -> StoredBody:
        """Raises what ``chunks`` raises, and then nothing is kept."""
        ...

    async def discard_body(self, body: StoredBody) -> None: ...

    async def claim(self, key: str, claim: Claim) -> Claim:
        """What is noted under ``key``: this claim, if nothing was. Forgotten after a day."""
        ...

    async def confirm(self, key: str, claim: Claim) -> None:
        """Note the ``id``."""
        ...

    async def claimed(self, key: str) -> Claim | None:
        """What is noted under ``key``; None: nothing is."""
        ...

    async def stored_under(self, lane: Lane, token: str, since: float) -> str:
        """The id of a queued or delayed job whose claim, made at ``since``, was not confirmed; empty: there is none."""
        ...

    async def find(self, job_id: str) -> JobStatus | None: ...

    async def ended(self, job_id: str, wait_s: float) -> JobStatus | None:
        """As ``find``, but once it has ended, or after ``wait_s``."""
        ...

    async def remove(self, job_id: str) -> JobStatus | None:
        """Take a job away that does not run, with its body and its outcome noted; else what ``find`` says. One that was
        taken by a worker at the same moment may run."""
        ...

    async def stop_running(self, job_id: str) -> None:
        """Tell the workers that whoever runs it is to end it."""
        ...

    async def forbid(self, job_id: str) -> None:
        """Note that a job which has not ended was cancelled: whoever is given it once more settles it, and a worker
        that ends it all the same has the last word."""
        ...

    async def depths(self) -> Depths: ...


class Lease(Protocol):
    """A job that a worker has: nobody else gets it until ``ack_wait`` after the last ``extend``."""

    @property
    def job(self) -> Job: ...
    @property
    def id(self) -> str:
        """What its caller knows it by."""
        ...

    @property
    def deliveries(self) -> int:
        """How often it was given to a worker, this time included. Not each has begun a call."""
        ...

    @property
    def size(self) -> int:
        """Bytes of its body."""
        ...

    def body(self) -> AsyncGenerator[bytes]:
        """In pieces. Raises NotFound where a stored one is gone."""
        ...

    async def extend(self) -> None: ...

    async def hand_back(self, delay_s: float) -> None:
        """Let anybody have it, after a time."""
        ...

    async def settle(self) -> None:
        """It is done with, for good: returns when the broker has said that it knows. Its stored body goes, too."""
        ...


class CallbackLease(Protocol):
    @property
    def callback(self) -> CallbackJob: ...
    @property
    def body(self) -> bytes: ...
    @property
    def attempt(self) -> int: ...
    async def extend(self) -> None: ...
    async def hand_back(self, delay_s: float) -> None: ...
    async def settle(self) -> None: ...


class JobSource(Protocol):
    """What a worker needs, of one queue."""

    async def backlog(self) -> Mapping[Lane, int]:
        """How many jobs are in each lane that has any, those included that run or wait to be retried."""
        ...

    def rings(self) -> AsyncGenerator[Lane]:
        """Lanes into which a job has come. Some rings are lost."""
        ...

    def stops(self) -> AsyncGenerator[str]:
        """Tokens of jobs that are to be ended. Some are lost."""
        ...

    async def take(self, lane: Lane, limit: int, wait_s: float) -> Sequence[Lease]:
        """At most ``limit`` jobs; after ``wait_s`` at the latest, with what there is."""
        ...

    def forget(self, lane: Lane) -> None:
        """Nothing came for long: what is kept for the lane here may go. The broker forgets by itself, for other workers
        may just have taken a job from it."""
        ...

    async def take_callbacks(self, limit: int, wait_s: float) -> Sequence[CallbackLease]: ...

    async def move_due(self, limit: int, wait_s: float) -> int:
        """Put delayed jobs whose time has come into their queues; how many."""
        ...

    async def begun(self, lease: Lease) -> int:
        """How many calls of a job were begun before it was given out this time, by what was told of them; as many as
        there were deliveries where that may be lost."""
        ...

    async def outcome(self, job: Job) -> Outcome | None:
        """How a job ended in this round of it, though it is not settled: whoever had it was stopped in between, or it
        was cancelled."""
        ...

    async def tell(self, token: str, progress: Progress) -> None:
        """A view for people: returns at once, and may be lost."""
        ...

    async def tell_delivery(self, token: str, progress: Progress) -> None:
        """As ``tell``, of telling the caller of a job that has ended."""
        ...

    def max_answer(self) -> int:
        """Bytes of an answer's body that can be stored; a longer one is to be shortened."""
        ...

    async def store_outcome(self, job: Job, job_id: str, outcome: Outcome) -> None: ...

    async def store_callback(self, callback: CallbackJob, body: bytes) -> None: ...

    async def store_dead(self, letter: DeadLetter, lease: Lease | CallbackLease) -> None:
        """Its body included."""
        ...


class CopyChannel(Protocol):
    """What the workers of a queue tell one another."""

    async def say(self, text: bytes) -> None:
        """To all of them, this one included. It may be lost."""
        ...

    def heard(self) -> AsyncGenerator[bytes]: ...


class Wanted(NamedTuple):
    """Which jobs; empty: of any queue, of any function."""

    queue: str = ""
    function: FunctionRef | None = None
    states: frozenset[JobState] = frozenset(JobState)


class JobList(Protocol):
    async def jobs(self, wanted: Wanted, limit: int) -> tuple[list[JobStatus], bool]:
        """Those that have not ended, in the order in which they go out, those whose time has not come, and the last
        that ended, newest first; and whether these are all. Without the bodies of answers."""
        ...


class DelayedList(Protocol):
    async def nearest(self, limit: int) -> DelayedCalls:
        """When delayed jobs are due, at most so many instants, those of just now included."""
        ...


class DeadLetters(Protocol):
    """What people do with those that were given up. Ids are those of ``StoredLetter``."""

    async def queues(self) -> Sequence[str]:
        """All there are, by name."""
        ...

    def letters(self, queue: str, *, after: int = 0) -> AsyncGenerator[StoredLetter]:
        """Oldest first, those behind a sequence number."""
        ...

    async def letter(self, letter_id: str) -> tuple[StoredLetter, bytes]:
        """With its body, which is empty where it is stored apart. Raises NotFound."""
        ...

    async def put_back(self, letter_id: str) -> None:
        """Queue it again, its attempts and its age counted anew, under the id it has. Raises NotFound, and TooMany
        where its queue is full. Repeated after a crash it is queued once; a callback may be sent twice."""
        ...

    async def purge(self, letter_id: str) -> None:
        """Forget it, with its stored body. Raises NotFound."""
        ...


class TakenIn(NamedTuple):
    """Of an import: what came, and how much was there already."""

    jobs: int
    dead: int
    there: int


class Transfer(Protocol):
    """A queue out of one broker and into another, ids and bodies kept."""

    def export(self, queue: str) -> AsyncGenerator[Line]:
        """All that has not ended, and the dead letters; ``End`` is the last line. Nothing is taken away."""
        ...

    async def take_in(self, lines: AsyncIterator[Line]) -> TakenIn:
        """Those that are not there yet: repeated it adds nothing. Raises BadInput, and TooMany when a queue is full."""
        ...
