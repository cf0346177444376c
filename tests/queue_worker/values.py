"""Values that tests of the queue worker are made of."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass

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


@dataclass(slots=True)
class Held:
    """A lease of nobody's: implements ``ports.Lease`` as far as calls and metrics need it."""

    job: Job
    pieces: list[bytes]
    id: str = "an-id"
    deliveries: int = 1

    @property
    def size(self) -> int:
        return sum(map(len, self.pieces))

    async def body(self) -> AsyncGenerator[bytes]:
        for piece in self.pieces:
            yield piece

    async def extend(self) -> None: ...
    async def hand_back(self, delay_s: float) -> None: ...
    async def settle(self) -> None: ...


def answer(status: int = 200, *headers: tuple[str, str], body: bytes = b"answer", truncated: bool = False) -> Answer:
    return Answer(status, headers, body, truncated)


def outcome(state: State = State.DONE, attempts: int = 1, said: Answer | None = None) -> Outcome:
    return Outcome(state=state, attempts=attempts, started_at=10.0, finished_at=12.5, answer=said)
