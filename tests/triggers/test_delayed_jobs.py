"""Jobs that were put off, as calls that are known to come: asked for, remembered, and forgotten by nobody's silence."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from springtide.runtime.errors import SpringtideError, Unavailable, Unsupported
from springtide.scaler.core.delayed_calls import DelayedCalls
from springtide.scaler.core.prewarm import CallSource, ExpectedCall
from springtide.scaler.core.vocabulary import Function, FunctionRef, Instant, Scale
from springtide.triggers.delayed_jobs import UNSUPPORTED_S, DelayedJobs

pytestmark = pytest.mark.virtual_time

ECHO, OTHER = FunctionRef("openfaas-fn", "echo"), FunctionRef("openfaas-fn", "other")


@dataclass
class Listing:
    due: dict[FunctionRef, Sequence[float]] = field(default_factory=dict)
    failure: SpringtideError | None = None
    asked: int = 0

    async def delayed(self) -> DelayedCalls:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return DelayedCalls(dict(self.due))


def next_call(jobs: DelayedJobs, after: float, ref: FunctionRef = ECHO) -> ExpectedCall | None:
    return jobs.next_call(Function(ref, Scale(0, 0, "1")), Instant(after))


async def test_next_job_of_a_function_is_known_once_it_was_asked_for() -> None:
    listing, told = Listing({ECHO: (100.0, 200.0), OTHER: (150.0,)}), list[FunctionRef]()
    jobs = DelayedJobs(listing, interval_s=15)
    following = asyncio.create_task(jobs.follow(told.append, wanted=lambda: True))

    assert next_call(jobs, 0) is None
    await asyncio.sleep(1)
    assert sorted(told) == [ECHO, OTHER]
    assert next_call(jobs, 0) == ExpectedCall(Instant(100.0), CallSource.JOB)
    assert next_call(jobs, 100) == ExpectedCall(Instant(200.0), CallSource.JOB)
    assert next_call(jobs, 200) is None

    listing.due = {ECHO: (200.0,), OTHER: (150.0,)}
    await asyncio.sleep(15)
    assert (told[2:], next_call(jobs, 0)) == ([ECHO], ExpectedCall(Instant(200.0), CallSource.JOB))
    following.cancel()


async def test_what_was_known_stays_while_nobody_answers() -> None:
    listing = Listing({ECHO: (100.0,)})
    jobs = DelayedJobs(listing, interval_s=15)
    following = asyncio.create_task(jobs.follow(lambda _: None, wanted=lambda: True))
    await asyncio.sleep(1)

    listing.failure = Unavailable("the gateway is away")
    await asyncio.sleep(60)

    assert (listing.asked, next_call(jobs, 0)) == (5, ExpectedCall(Instant(100.0), CallSource.JOB))
    following.cancel()


@pytest.mark.parametrize(
    ("wanted", "failure", "asked"),
    [
        pytest.param(False, None, 0, id="nobody wants to know"),
        pytest.param(True, Unsupported("no queues"), 1 + 1800 // UNSUPPORTED_S, id="there are no queues"),
        pytest.param(True, None, 1 + 1800 // 15, id="there are"),
    ],
)
async def test_questions_are_few(*, wanted: bool, failure: SpringtideError | None, asked: int) -> None:
    listing = Listing(failure=failure)
    following = asyncio.create_task(DelayedJobs(listing, interval_s=15).follow(lambda _: None, wanted=lambda: wanted))

    await asyncio.sleep(1801)

    assert listing.asked == asked
    following.cancel()
