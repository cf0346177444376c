"""Values that tests of the queue worker are made of."""

from __future__ import annotations

from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.jobs.job import SHARED_LANE, Answer, Job, Lane, Outcome
from springtide.wire.jobs.job import JobState as State
from springtide.wire.jobs.job_id import new_token

QUEUE = "mail"
INTERNAL = ("X-OpenFaaS-Internal", "gateway")


def ref(name: str = "echo") -> FunctionRef:
    return FunctionRef("openfaas-fn", name)


def lane(name: str = "echo", tenant: str = SHARED_LANE) -> Lane:
    return Lane(QUEUE, ref(name), tenant)


def a_job(
    name: str = "echo",
    *,
    tenant: str = SHARED_LANE,
    callback: str = "",
    not_before: float = 0.0,
    accepted_at: float = 0.0,
    headers: tuple[tuple[str, str], ...] = (),
) -> Job:
    return Job(
        token=new_token(),
        lane=lane(name, tenant),
        method="POST",
        path="/rest",
        query="a=b",
        headers=headers,
        accepted_at=accepted_at,
        callback=callback,
        not_before=not_before,
    )


def answer(status: int = 200, *headers: tuple[str, str], body: bytes = b"answer", truncated: bool = False) -> Answer:
    return Answer(status, headers, body, truncated)


def outcome(state: State = State.DONE, attempts: int = 1, said: Answer | None = None) -> Outcome:
    return Outcome(state=state, attempts=attempts, started_at=10.0, finished_at=12.5, answer=said)
