"""What became of ticks' calls after they were stored: asked of the queue, which keeps it for a day.

The queue knows it by each call's ``Idempotency-Key``, which follows from function, schedule and instant. So a part that
was away learns how ticks ended that another one sent, and nothing has to be written down for that.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from springtide.runtime.backoff import Backoff
from springtide.runtime.errors import NotFound, SpringtideError, Unsupported
from springtide.scaler.core.ports import Clock
from springtide.triggers.cron.entry import MAX_RUNS, Entry, Outcome, Run
from springtide.triggers.cron.gateway import TickCall, TickGateway, TickJob
from springtide.triggers.cron.owed import newest
from springtide.wire.jobs.job import JobState

T = TypeVar("T")

KEPT_S = 86_400.0
"""For as long the queue knows keys, and what became of calls."""
AT_ONCE = 50
"""Calls that one question is about."""
QUESTIONS = 4
"""On their way at the same time, while a person waits."""
MAX_LEARNT = 2000
"""Calls that are asked about for one look."""
LEARN_S = 2.0
PAUSE_S = 0.05
"""Between two questions about what was before: nobody waits for the answers."""
ASK_AGAIN = Backoff(1.0, 60.0)


class Outcomes:
    """``recall`` once, at the beginning of a term; ``learn`` when somebody looks."""

    def __init__(self, gateway: TickGateway, clock: Clock) -> None:
        self._gateway = gateway
        self._clock = clock

    def __repr__(self) -> str:
        return f"<Outcomes by {self._gateway!r}>"

    async def recall(self, entries: Collection[Entry]) -> None:
        """The last runs that earlier leaders sent. Tried until the gateway answers; nothing where it has no queue."""
        for some in _in_pieces(list(entries), AT_ONCE // MAX_RUNS):
            calls = {call.claim: (entry, due, call) for entry in some for due, call in self._before(entry)}
            if not calls:
                continue
            found = await self._of_calls([call for _, _, call in calls.values()])
            if found is None:
                return
            for name, job in found.items():
                entry, due, _ = calls[name]
                entry.recall(_after(Run(due, job.accepted_at, Outcome.QUEUED, job.id), job))
            await asyncio.sleep(PAUSE_S)

    async def learn(self, entries: Collection[Entry]) -> None:
        """How the calls ended that had not, the newest first: as far as that is answered within ``LEARN_S``."""
        oldest = self._clock.wall() - KEPT_S
        waiting: dict[str, tuple[Entry, Run]] = {}
        for entry, run in _newest_first(entries):
            if run.outcome is Outcome.QUEUED and run.job and run.at > oldest:
                waiting[run.job] = entry, run
                if len(waiting) == MAX_LEARNT:
                    break
        places = asyncio.Semaphore(QUESTIONS)

        async def ask(ids: Sequence[str]) -> None:
            with contextlib.suppress(SpringtideError):
                async with places:
                    found = await self._gateway.jobs(ids)
                for job_id, job in found.items():
                    entry, run = waiting[job_id]
                    entry.replace(run, _after(run, job))

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEARN_S), asyncio.TaskGroup() as group:
                for ids in _in_pieces(list(waiting), AT_ONCE):
                    group.create_task(ask(ids))

    def _before(self, entry: Entry) -> Iterator[tuple[float, TickCall]]:
        first = max(entry.since + entry.timed.delay_s, self._clock.wall() - KEPT_S)
        if entry.begun_after > first:
            for due in newest(entry.timed, first, entry.begun_after, anchor_s=entry.anchor, most=MAX_RUNS):
                yield due, entry.call_of(due)

    async def _of_calls(self, calls: Sequence[TickCall]) -> dict[str, TickJob] | None:
        """None where there is no queue that could tell."""
        failures = 0
        while True:
            try:
                return dict(await self._gateway.jobs_of(calls))
            except (NotFound, Unsupported):
                return None
            except SpringtideError:
                failures += 1
                await asyncio.sleep(ASK_AGAIN.delay_s(failures))


def _in_pieces(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[begin : begin + size] for begin in range(0, len(items), size))


def _newest_first(entries: Collection[Entry]) -> Iterator[tuple[Entry, Run]]:
    for back in range(1, MAX_RUNS + 1):
        yield from ((entry, entry.runs[-back]) for entry in entries if len(entry.runs) >= back)


def _after(run: Run, job: TickJob) -> Run:
    """``run`` once it is known how its call is."""
    match job.state:
        case JobState.DONE if 200 <= job.status < 300:
            outcome, why = Outcome.CALLED, ""
        case JobState.DONE:
            outcome, why = Outcome.FAILED, f"it answered {job.status}"
        case JobState.FAILED:
            outcome, why = Outcome.FAILED, job.reason
        case JobState.CANCELLED:
            outcome, why = Outcome.CANCELLED, ""
        case _:
            return run
    return replace(run, outcome=outcome, note="; ".join(filter(None, (run.note, why))))
