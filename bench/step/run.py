"""The loads, one after the other, and what came of them."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

from bench.herd import percentile
from bench.report import Row
from bench.rest import SPRINGTIDE, suite
from bench.step.callers import Calls, callers, stream
from bench.step.functions import OWNERS, POLL_S, Functions
from springtide.runtime.basic_auth import Credentials
from springtide.scaler.core import policy
from springtide.scaler.core.vocabulary import Decision

CALLERS, LONG_S, MAX = 50, 1.0, 100
"""Twice as many replicas may be had as are needed, so that going too far is seen."""
PER_SECOND, SHORT_S = 21.0, 0.005
SETTLE_S = 20.0
"""From the deployment to the load: a scaler takes nothing away in its first seconds, and starts are over."""

AFTER_SHORT = ", after short ones"
PLAN = (
    ("long", "scaler", ""),
    ("long", "scaler", ", again"),
    ("long", "scaler", AFTER_SHORT),
    ("long", "alerts", ""),
    ("short", "scaler", ""),
    ("short", "alerts", ""),
)
"""In turns, for one would slow the other down. At first nobody knows how long a call takes; then it is known; then what
is known is no longer true."""


@dataclass(frozen=True, slots=True)
class Moment:
    """``t`` in seconds since the load began."""

    t: float
    in_flight: int
    wanted: int
    ready: int

    @property
    def counts(self) -> tuple[int, int, int]:
        return self.in_flight, self.wanted, self.ready


@dataclass(slots=True, kw_only=True)
class Course:
    """What one load did to one function. Instants in seconds since the epoch."""

    what: str
    owner: str
    call_s: float
    began: float = 0.0
    ended: float = 0.0
    moments: list[Moment] = field(default_factory=list)
    calls: Calls = field(default_factory=Calls)
    changes: list[Decision] = field(default_factory=list)
    load_average: tuple[float, float] = (0.0, 0.0)
    """Of the machine in the last minute, when the load began and when it ended."""

    @property
    def largest(self) -> int:
        return max(moment.wanted for moment in self.moments)

    def first_growth_s(self) -> float | None:
        return next((change.at - self.began for change in self.changes if change.after > change.before), None)

    def ready_s(self, count: int) -> float | None:
        """From when on so many replicas were ready."""
        return next((moment.t for moment in self.moments if moment.ready >= count), None)

    def row(self) -> Row:
        waits = [call.took_s - self.call_s for call in self.calls.ended if call.status == 200]
        back = [change.at - self.ended for change in self.changes if change.after == 1 and change.at > self.ended]
        return {
            "load": self.what,
            "owner": self.owner,
            "decided_s": _or_never(self.first_growth_s()),
            "half_ready_s": _or_never(self.ready_s(CALLERS // 2)),
            "all_ready_s": _or_never(self.ready_s(CALLERS)),
            "largest": self.largest,
            "calls": len(self.calls.ended),
            "failed": len(self.calls.ended) - len(waits),
            **{f"wait_p{share}_s": percentile(waits, share / 100) for share in (50, 95, 99)},
            "back_s": back[-1] if back else "-",
            "load_average": " → ".join(f"{load:.1f}" for load in self.load_average),
        }

    def record(self) -> Row:
        """All of it, for the file: each count when it was seen first, and each decision."""
        return {
            "load": self.what,
            "owner": self.owner,
            "load_ended_s": round(self.ended - self.began, 2),
            "counts": [
                [round(each.t, 2), *each.counts]
                for before, each in zip([None, *self.moments], self.moments, strict=False)
                if before is None or before.counts != each.counts
            ],
            "decisions": [
                [round(each.at - self.began, 2), each.before, each.after, each.detail] for each in self.changes
            ],
        }


def step(folder: Path, tell: Callable[[str], None], *, seconds: float) -> list[Course]:
    """Each load lasts ``seconds``; then it is waited until one replica is left."""
    with suite(folder, (*SPRINGTIDE, "up", "--no-samples", "--state-dir", str(folder))) as (_, run):
        user = Credentials.from_folder(folder / "secrets")
        return asyncio.run(_courses(Functions(str(run["gateway"]), user), tell, seconds))


async def _courses(functions: Functions, tell: Callable[[str], None], seconds: float) -> list[Course]:
    courses = []
    try:
        for owner, labels in OWNERS.items():
            await functions.deploy(f"long-{owner}", {**labels, policy.MAX: f"{MAX}"})
            await functions.deploy(f"short-{owner}", labels)
        await asyncio.sleep(SETTLE_S)
        for kind, owner, suffix in PLAN:
            name = f"{kind}-{owner}"
            long, short = (f"{functions.gateway}/function/{name}?seconds={each}" for each in (LONG_S, SHORT_S))
            if kind == "long":
                course = Course(what=f"{CALLERS} callers, {LONG_S:g} s{suffix}", owner=owner, call_s=LONG_S)
                load = callers(long, CALLERS)
            else:
                course = Course(what=f"{PER_SECOND:g} calls/s, {SHORT_S * 1000:g} ms", owner=owner, call_s=SHORT_S)
                load = stream(short, PER_SECOND)
            tell(f"{course.what}, owner {owner} …")
            if suffix == AFTER_SHORT:
                async with stream(short, PER_SECOND):
                    await asyncio.sleep(SETTLE_S)
            await _play(functions, name, course, load, seconds)
            courses.append(course)
    finally:
        await functions.aclose()
    return courses


async def _play(
    functions: Functions, name: str, course: Course, load: AbstractAsyncContextManager[Calls], seconds: float
) -> None:
    """One load from one replica back to one."""
    await functions.until(name, lambda wanted, ready: wanted == ready == 1)
    before = os.getloadavg()[0]
    course.began = time.time()
    watching = asyncio.create_task(_watch(functions, name, course))
    try:
        async with load as course.calls:
            await asyncio.sleep(seconds)
            course.ended = time.time()
        course.load_average = before, os.getloadavg()[0]
        await functions.until(name, lambda wanted, ready: wanted == ready == 1)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    course.changes = await functions.changes(name, course.began, to=1)


async def _watch(functions: Functions, name: str, course: Course) -> None:
    while True:
        wanted, ready = await functions.counts(name)
        course.moments.append(Moment(time.time() - course.began, course.calls.in_flight, wanted, ready))
        await asyncio.sleep(POLL_S)


def _or_never(seconds: float | None) -> float | str:
    return "never" if seconds is None else seconds
