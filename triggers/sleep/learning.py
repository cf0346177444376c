"""Who learns when functions sleep: one copy of several, in terms, each of which begins with what the last one kept."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import structlog
from prometheus_client import CollectorRegistry

from springtide.runtime.backoff import Backoff
from springtide.runtime.errors import BadInput, Conflict, SpringtideError
from springtide.runtime.outage import Outage
from springtide.runtime.service import BackgroundTask
from springtide.scaler.core.keepalive.forecasts import Score
from springtide.scaler.core.keepalive.pressure import Worth
from springtide.scaler.core.keepalive.rule import NotLearned
from springtide.scaler.core.learned_silence import LearnedSilence
from springtide.scaler.core.ports import Clock, Leadership
from springtide.scaler.core.vocabulary import FunctionRef, Instant
from springtide.scaler.function_table import FunctionTable
from springtide.triggers.sleep import kept
from springtide.triggers.sleep.forecasts import ForecastCalls
from springtide.triggers.sleep.kept import Position, Store
from springtide.triggers.sleep.metrics import SleepMetrics
from springtide.triggers.sleep.plans import Plans
from springtide.triggers.sleep.settings import SleepSettings
from springtide.triggers.sleep.watching import Watching
from springtide.wire.busy_periods import BusyReport
from springtide.wire.leadership import Always

LOAD_AGAIN = Backoff(0.2, 5.0)
FINAL_SAVE_S = 3.0
"""What the last look and the last save may take when the part ends."""
TABLE_POLL_S = 0.1
"""Between looks whether the provider has told of functions."""

log = structlog.get_logger(__name__)


class PeriodSource(Protocol):
    async def told(self, since: float, now: float) -> Mapping[str, BusyReport]:
        """Of every gateway. Raises Unavailable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningDeps:
    """``functions`` are kept by somebody else."""

    periods: PeriodSource
    functions: FunctionTable
    store: Store
    clock: Clock
    registry: CollectorRegistry
    leadership: Leadership = field(default_factory=Always)


class Learning:
    """See ``runtime.service.Service``. ``forecasts`` are for who wakes functions ahead of calls."""

    name = "learned sleep"

    def __init__(self, settings: SleepSettings, deps: LearningDeps) -> None:
        self._settings, self._deps = settings, deps
        self._metrics = SleepMetrics(deps.registry)
        self._watching: Watching | None = None
        self._scores: dict[FunctionRef, Score] = {}
        self._unsaved: set[FunctionRef] = set()
        self._gone: set[FunctionRef] = set()
        self._changed: Callable[[FunctionRef], None] = lambda _: None
        self._plans = Plans(settings, lambda: self._watching, self._scores)
        self.forecasts = ForecastCalls(
            settings,
            self._plans,
            deps.functions,
            called_at=self._called_at,
            scores=self._scores,
            scored=self._unsaved.add,
            metrics=self._metrics,
        )
        self._task = BackgroundTask(self.name)
        self._outage = Outage("pauses are not learned, and functions keep their fixed silence")
        self._unkept = Outage("what was learned of pauses is not kept")

    def __repr__(self) -> str:
        return f"<Learning {self._watching!r}>"

    def listen(self, changed: Callable[[FunctionRef], None]) -> None:
        """``changed`` is called with each function that has another plan than before."""
        self._changed = changed

    @property
    def learns(self) -> bool:
        """Whether this copy does, and has read what was learned before."""
        return self._watching is not None

    def silences(self, refs: list[FunctionRef]) -> dict[FunctionRef, LearnedSilence | NotLearned]:
        """Of those that are known here, what their pauses have taught, or why nothing."""
        now, found = Instant(self._deps.clock.wall()), {}
        for ref in refs:
            followed = self._deps.functions.get(ref)
            if followed is not None:
                found[ref] = self._plans.silence(followed, now)
        return found

    def worths(self, refs: list[FunctionRef]) -> dict[FunctionRef, Worth]:
        """Of those whose calls are known here, whatever decides when they sleep."""
        now, found = Instant(self._deps.clock.wall()), {}
        for ref in refs:
            followed = self._deps.functions.get(ref)
            worth = self._plans.worth(followed, now) if followed is not None else None
            if worth is not None:
                found[ref] = worth
        return found

    async def start(self) -> None:
        self._task.start(self.run())

    async def stop(self) -> None:
        await self._task.stop()

    async def wait(self) -> None:
        await self._task.wait()

    async def run(self) -> None:
        """For ever: a term after the other."""
        leadership = self._deps.leadership
        while self._deps.functions.unread:  # noqa: ASYNC110 - the table has one listener, who is another
            await asyncio.sleep(TABLE_POLL_S)
        while True:
            term = leadership.hold()
            if term is None:
                await leadership.change(None)
                continue
            try:
                await self._lead(term)
            except Conflict as error:
                log.info("another copy learns now", why=str(error))
                await asyncio.sleep(LOAD_AGAIN.delay_s(1))
            finally:
                self._watching = None
                self._scores.clear()
                self._unsaved.clear()

    async def _lead(self, term: int) -> None:
        """Until another copy leads, or has written: then Conflict."""
        self._watching = await self._loaded()
        for ref in self._watching.functions:
            self._changed(ref)
        saved_at = self._deps.clock.now()
        try:
            while self._deps.leadership.hold() == term:
                begun = self._deps.clock.now()
                await self._look()
                if self._deps.clock.now() - saved_at >= self._settings.sleep_save_interval_s:
                    saved_at = self._deps.clock.now()
                    await self._save()
                await asyncio.sleep(max(0.0, begun + self._settings.sleep_interval_s - self._deps.clock.now()))
        except asyncio.CancelledError:
            with contextlib.suppress(SpringtideError, TimeoutError):
                async with asyncio.timeout(FINAL_SAVE_S):
                    await self._look()
                    await self._save()
            raise

    async def _look(self) -> None:
        watching, clock, begun = self._watching, self._deps.clock, self._deps.clock.now()
        assert watching is not None
        now = Instant(clock.wall())
        try:
            told = await self._deps.periods.told(watching.since, now)
        except SpringtideError as error:
            self._metrics.failed("gateways")
            self._outage.failed(str(error))
        else:
            self._outage.over()
            changed = set(watching.take(told, self._wanted))
            self._unsaved |= changed
            for ref in changed:
                # Each pause is planned, whoever asks, for its plan is what the next one's account is settled by.
                followed = self._deps.functions.get(ref)
                if followed is not None:
                    self._plans.plan(followed, now)
                self._changed(ref)
        self.forecasts.look(now)
        self._metrics.looked(
            heard_until=watching.heard_until or 0.0,
            functions=len(watching.functions),
            up=self.forecasts.up,
            took_s=clock.now() - begun,
        )

    def _wanted(self, ref: FunctionRef) -> bool:
        """Of every function that may sleep: so that one whose label changes has learned already."""
        followed = self._deps.functions.get(ref)
        return followed is not None and followed.policy.zero

    def _called_at(self, ref: FunctionRef) -> Instant | None:
        watched = self._watching.functions.get(ref) if self._watching is not None else None
        start = watched.history.recent.last_start if watched is not None else None
        return Instant(start / self._settings.sleep_time_scale) if start is not None else None

    # What is kept.

    async def _loaded(self) -> Watching:
        failures, outage = 0, Outage("what was learned of pauses cannot be read; nothing is learned until it can")
        while True:
            try:
                found = await self._deps.store.load()
            except SpringtideError as error:
                failures += 1
                self._metrics.failed("store")
                outage.failed(str(error))
                await asyncio.sleep(LOAD_AGAIN.delay_s(failures))
                continue
            outage.over()
            return self._from(found)

    def _from(self, found: kept.Kept) -> Watching:
        watching = Watching(scale=self._settings.sleep_time_scale)
        if found.position is not None:
            watching.heard_until, watching.gateways = found.position.heard_until, dict(found.position.gateways)
        damaged, accounts = 0, {}
        for ref, text in found.records.items():
            try:
                watching.functions[ref], score, account = kept.from_record(text)
            except BadInput:
                damaged += 1
                continue
            if score != Score():
                self._scores[ref] = score
            if account is not None:
                accounts[ref] = account
        self._plans.begin(accounts)
        if damaged:
            log.warning("histories that cannot be read begin anew", functions=damaged)
        return watching

    async def _save(self) -> None:
        """Raises Conflict where another copy has written."""
        watching = self._watching
        assert watching is not None
        if watching.heard_until is None:
            return
        if not self._deps.functions.unread:
            self._gone.update(watching.forget_all_but(self._wanted))
        for ref in self._gone:
            self._plans.forget(ref)
            self.forecasts.forget(ref)
        changed: dict[FunctionRef, str | None] = dict.fromkeys(self._gone)
        for ref in self._unsaved & watching.functions.keys():
            score, account = self._scores.get(ref, Score()), self._plans.account(ref)
            changed[ref] = kept.record(watching.functions[ref], score, account)
        try:
            await self._deps.store.save(Position(watching.heard_until, watching.gateways), changed)
        except Conflict:
            raise
        except SpringtideError as error:
            self._metrics.failed("store")
            self._unkept.failed(str(error))
        else:
            self._unkept.over()
            self._unsaved.clear()
            self._gone.clear()
