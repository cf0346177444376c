"""Waking functions ahead of the calls that are known to come, by ``scaler.core.prewarm``.

It keeps a table of functions by the provider's stream, which also shows how long their starts take. Each function has
one instant at which it is looked at next: when it is due to be woken, when its call's time has come, or now, for its
count changed. A copy that does not lead looks and remembers like one that does, and writes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from prometheus_client import CollectorRegistry

from springtide.runtime.backoff import Backoff
from springtide.runtime.deadlines import within
from springtide.runtime.errors import SpringtideError
from springtide.runtime.service import BackgroundTask
from springtide.scaler.core import prewarm
from springtide.scaler.core.ports import Clock, ExpectedCalls, Leadership, Recorder, ScaleTarget
from springtide.scaler.core.prewarm import CallSource, ExpectedCall, Lead, Met, Upcoming, WakeHistory
from springtide.scaler.core.vocabulary import Decision, Function, FunctionRef, Instant, Reason, Writer
from springtide.scaler.function_table import Followed, FunctionTable
from springtide.scaler.provider_notes import ProviderNotes
from springtide.scaler.scale_writer import ScaleWriter
from springtide.triggers.delayed_jobs import DelayedJobs
from springtide.triggers.prewarm_metrics import PrewarmMetrics
from springtide.triggers.prewarm_settings import PrewarmSettings
from springtide.wire.decision_log import Recorders
from springtide.wire.instruments import DecisionCounter
from springtide.wire.leadership import Always

RETRY_S = 0.5
"""Until a function that is due is looked at again: it could not be written, or another copy leads."""
MAX_SLEEP_S = 10.0
"""The clock on the wall may be set."""
MAX_LATE_S = 5.0
"""A look that comes later, for the process was stopped, does not tell how a call was met."""
_TRIED_AGAIN = (Reason.NO_DATA, Reason.OVER_BUDGET)
MAX_RECALLS = 10
RECALL_AGAIN = Backoff(0.2, 5.0)


class StartKeeper(Protocol):
    async def keep_start(self, ref: FunctionRef, longest_s: float) -> None:
        """Within a deadline. Raises SpringtideError."""


class Forecasts(ExpectedCalls, Protocol):
    """Calls that are only likely, which may not cost whatever they like."""

    def refused(self, ref: FunctionRef, now: Instant) -> str:
        """Why the function is not to be woken for its forecast now; empty if it may be."""

    def woken(self, ref: FunctionRef, now: Instant) -> None:
        """It was."""


class PastChanges(Protocol):
    async def changes(self) -> Sequence[Decision]:
        """Changes of counts that were told before this process began, in their order. Raises SpringtideError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrewarmDeps:
    """What it works with. Of what ``expected`` and ``jobs`` know of a function the earliest call counts."""

    functions: FunctionTable
    expected: Sequence[ExpectedCalls]
    jobs: DelayedJobs | None = None
    forecasts: Forecasts | None = None
    target: ScaleTarget
    keeper: StartKeeper
    past: PastChanges
    registry: CollectorRegistry
    recorder: Recorder
    clock: Clock
    leadership: Leadership = field(default_factory=Always)
    paused: Callable[[FunctionRef], bool] = lambda _: False
    """Whether a person has stopped a function's schedules for now; asked when it is due, for that comes and goes."""


@dataclass(slots=True)
class _Watched:
    """A function that may sleep."""

    history: WakeHistory = field(default_factory=WakeHistory)
    upcoming: Upcoming | None = None
    """Until its call was looked at; then the next one."""
    look_at: float | None = None
    told: tuple[ExpectedCall, Reason] | None = None
    """The last hold: one that is repeated for a call is told once."""


class Prewarming:
    """See ``runtime.service.Service``. ``news`` is for sources that have heard of other calls of a function."""

    name = "pre-warming"

    def __init__(self, settings: PrewarmSettings, deps: PrewarmDeps) -> None:
        self._settings, self._deps = settings, deps
        more: list[ExpectedCalls | None] = [deps.jobs, deps.forecasts]
        self._sources = [*deps.expected, *(source for source in more if source is not None)]
        self._metrics = PrewarmMetrics(deps.registry)
        self._recorder = Recorders([DecisionCounter(deps.registry, Writer.PREWARM), deps.recorder])
        self._writer = ScaleWriter(
            deps.target,
            clock=deps.clock,
            recorder=self._recorder,
            deadline_s=settings.prewarm_deadline_s,
            log_event="woken ahead",
            leadership=deps.leadership,
        )
        self._starts = ProviderNotes(
            deps.keeper.keep_start, clock=deps.clock, outage="how long functions take to start is not kept"
        )
        self._watched: dict[FunctionRef, _Watched] = {}
        self._left_zero_at: dict[FunctionRef, list[Instant]] = {}
        """Before this process began, of functions that it has not heard of yet."""
        self._looks: list[tuple[float, FunctionRef]] = []
        """A heap; an entry that is not its function's ``look_at`` any more says nothing."""
        self._sooner = asyncio.Event()
        self._writes = asyncio.Semaphore(settings.prewarm_concurrency)
        self._writing: set[FunctionRef] = set()
        self._task = BackgroundTask(self.name)
        deps.functions.listen(self._changed)

    def __repr__(self) -> str:
        expecting = sum(watched.upcoming is not None for watched in self._watched.values())
        return f"<Prewarming {len(self._watched)} functions that may sleep, {expecting} with calls to come>"

    async def start(self) -> None:
        self._task.start(self.run())

    async def stop(self) -> None:
        await self._task.stop()
        await self._starts.aclose()

    async def wait(self) -> None:
        await self._task.wait()

    async def run(self) -> None:
        """For ever."""
        self._left_zero_at = await self._recalled()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._deps.functions.follow(), name="functions")
            if self._deps.jobs is not None:
                group.create_task(self._deps.jobs.follow(self.news, wanted=self._wanted), name="delayed jobs")
            group.create_task(self._look_for_ever(group), name="looks")
            group.create_task(self._take_over_for_ever(), name="terms")

    async def _recalled(self) -> dict[FunctionRef, list[Instant]]:
        """When functions left zero before this process began, as far as that is known: asked of the provider before it
        tells of functions, and a while is waited for that."""
        found: dict[FunctionRef, list[Instant]] = {}
        for failures in range(1, MAX_RECALLS + 1):
            try:
                past = await within(self._settings.prewarm_deadline_s, "past decisions", self._deps.past.changes())
            except SpringtideError:
                await asyncio.sleep(RECALL_AGAIN.delay_s(failures))
                continue
            for decision in past:
                if decision.before == 0:
                    found.setdefault(decision.ref, []).append(decision.at)
            break
        return found

    def _wanted(self) -> bool:
        """Whether delayed jobs are of use: only who leads wakes, and only what may sleep."""
        return self._settings.prewarm and self._leads and bool(self._watched)

    async def _take_over_for_ever(self) -> None:
        """A new leader's first request names its term: from then on a late write of its predecessor is refused."""
        term: int | None = None
        while True:
            term = await self._deps.leadership.change(term)
            ref = next(iter(self._watched), None)
            if term is not None and ref is not None:
                with contextlib.suppress(SpringtideError):
                    await self._deps.target.read(ref)

    def news(self, ref: FunctionRef) -> None:
        """A source knows other calls of the function than before."""
        followed, watched = self._deps.functions.get(ref), self._watched.get(ref)
        if followed is not None and watched is not None:
            self._plan(followed, watched, self._now())

    def _now(self) -> Instant:
        return Instant(self._deps.clock.wall())

    # What is known of functions.

    def _changed(self, ref: FunctionRef | None) -> None:
        table = self._deps.functions
        if ref is not None:
            self._take(ref, table.get(ref), gap=False)
            return
        known = {followed.function.ref: followed for followed in table.functions}
        for gone in self._watched.keys() - known.keys():
            del self._watched[gone]
        for each, followed in known.items():
            self._take(each, followed, gap=True)

    def _take(self, ref: FunctionRef, followed: Followed | None, *, gap: bool) -> None:
        if followed is None or not followed.policy.zero:
            self._watched.pop(ref, None)
            return
        now, function, new = self._now(), followed.function, ref not in self._watched
        watched = self._watched.setdefault(ref, _Watched())
        if watched.upcoming is None or watched.upcoming.call.at <= now:
            upcoming = self._upcoming(function, watched, now)
        else:
            upcoming = watched.upcoming
        if new:
            watched.history = prewarm.recalled(watched.history, upcoming, self._left_zero_at.pop(ref, ()))
        watched.history = prewarm.looked(
            watched.history,
            function.scale,
            now,
            wakes=followed.wakes,
            upcoming=upcoming,
            kept_s=function.longest_start_s,
            gap=gap,
        )
        longest_s = watched.history.longest_s
        kept = longest_s is None or prewarm.rounded(longest_s) == function.longest_start_s
        if longest_s is not None and not kept and self._leads:
            self._starts.tell(ref, prewarm.rounded(longest_s))
        self._plan(followed, watched, now)

    @property
    def _leads(self) -> bool:
        return self._deps.leadership.hold() is not None

    def _plan(self, followed: Followed, watched: _Watched, now: Instant) -> None:
        """When to look at the function next, by what is known now."""
        if watched.upcoming is not None and watched.upcoming.call.at <= now:
            return
        ref, function = followed.function.ref, followed.function
        upcoming = watched.upcoming = self._upcoming(function, watched, now)
        if upcoming is None:
            watched.look_at = None
        else:
            asleep = function.scale.desired == 0
            self._look_at(ref, watched, max(now, upcoming.due_at) if asleep else upcoming.call.at)

    def _upcoming(self, function: Function, watched: _Watched, now: Instant) -> Upcoming | None:
        found = [source.next_call(function, now) for source in self._sources]
        call = min((call for call in found if call is not None), default=None)
        if call is None:
            return None
        return Upcoming(call, Lead.of(watched.history.longest_s, self._settings.prewarm_default_lead_s))

    def _look_at(self, ref: FunctionRef, watched: _Watched, at: float) -> None:
        if watched.look_at == at:
            return
        watched.look_at = at
        if len(self._looks) > 4 * len(self._watched) + 100:
            due = ((each.look_at, known) for known, each in self._watched.items() if each.look_at is not None)
            self._looks = list(due)
            heapq.heapify(self._looks)
        else:
            heapq.heappush(self._looks, (at, ref))
        self._sooner.set()

    # Looks.

    async def _look_for_ever(self, group: asyncio.TaskGroup) -> None:
        while True:
            self._sooner.clear()
            for write in self._looked():
                group.create_task(write, name="wake ahead")
            left_s = self._looks[0][0] - self._deps.clock.wall() if self._looks else MAX_SLEEP_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(left_s, MAX_SLEEP_S))):
                    await self._sooner.wait()

    def _looked(self) -> list[Coroutine[Any, Any, None]]:
        """At every function whose time has come; the writes of those that are to be woken."""
        writes: list[Coroutine[Any, Any, None]] = []
        now = self._now()
        while self._looks and self._looks[0][0] <= now:
            at, ref = heapq.heappop(self._looks)
            watched, followed = self._watched.get(ref), self._deps.functions.get(ref)
            if watched is None or followed is None or watched.look_at != at:
                continue
            watched.look_at = None
            if watched.upcoming is None:
                continue
            if now >= watched.upcoming.call.at:
                self._score(followed, watched, watched.upcoming.call, now)
                self._plan(followed, watched, now)
            elif (write := self._decided(followed, watched, watched.upcoming, now)) is not None:
                writes.append(write)
        return writes

    def _score(self, followed: Followed, watched: _Watched, call: ExpectedCall, now: Instant) -> None:
        """The call's time has come. What a process that was stopped has missed is not made up for one by one."""
        watched.upcoming = None
        late = now - call.at > MAX_LATE_S
        if call.source is CallSource.FORECAST:
            return  # Who makes them scores them.
        if late or not self._leads or self._deps.functions.unread or self._left_out(followed.function.ref, call):
            return
        history = watched.history
        met = prewarm.met(history, followed.function.scale, call)
        early_s = call.at - history.ready_at if met is Met.READY and history.ready_at is not None else None
        self._metrics.met(call.source, met, early_s=early_s)

    def _left_out(self, ref: FunctionRef, call: ExpectedCall) -> bool:
        return not self._settings.prewarm or (call.source is CallSource.SCHEDULE and self._deps.paused(ref))

    def _decided(
        self, followed: Followed, watched: _Watched, upcoming: Upcoming, now: Instant
    ) -> Coroutine[Any, Any, None] | None:
        ref, call = followed.function.ref, upcoming.call
        if self._left_out(ref, call):
            self._look_at(ref, watched, call.at)
            return None
        decision = prewarm.decide(
            followed.function,
            followed.policy,
            followed.problems,
            upcoming,
            watched.history,
            now,
            unread=self._deps.functions.unread,
            refused=self._refused(ref, call, now),
        )
        again = decision is not None and (decision.changes or decision.reason in _TRIED_AGAIN)
        self._look_at(ref, watched, min(call.at, Instant(now + RETRY_S)) if again else call.at)
        if decision is None or not self._leads or ref in self._writing:
            return None
        if not decision.changes:
            if watched.told != (call, decision.reason):
                watched.told = (call, decision.reason)
                self._recorder.record(decision)
            return None
        self._writing.add(ref)
        return self._write(followed, watched, decision, call)

    def _refused(self, ref: FunctionRef, call: ExpectedCall, now: Instant) -> str:
        forecasts = self._deps.forecasts
        if forecasts is None or call.source is not CallSource.FORECAST or now < (call.likely_from or 0):
            return ""
        return forecasts.refused(ref, now)

    async def _write(self, followed: Followed, watched: _Watched, decision: Decision, call: ExpectedCall) -> None:
        """A write of which nothing is known is made again only on the same version: so it was made once at most."""
        function = followed.function
        try:
            async with self._writes:
                if not function.scale.version:  # a foreign provider's: what a poll saw is seconds old
                    function = await self._deps.target.read(function.ref)
                if function.scale.desired:
                    return
                done = await self._writer.write(
                    decision, followed.policy, version=function.scale.version, owner=function.owner
                )
            if done.scale is not None:
                watched.history = prewarm.written(watched.history, call)
                if call.source is CallSource.FORECAST and self._deps.forecasts is not None:
                    self._deps.forecasts.woken(function.ref, self._now())
                self._deps.functions.wrote(function.ref, done.scale, replaced=function.scale.version)
        except SpringtideError as error:
            detail = f"cannot be read: {error}"
            self._writer.tell(replace(decision, after=0, reason=Reason.WRITE_FAILED, detail=detail))
        finally:
            self._writing.discard(function.ref)
