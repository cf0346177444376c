"""Asks now and then which alerts fire, and has functions come down whose alerts ended without a word.

Asked at the start, each minute, and, while there is no answer, every few seconds: so right after a reconnect, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Protocol

from springtide.alert_receiver.history_store import HistoryStore
from springtide.alert_receiver.settings import AlertReceiverSettings
from springtide.runtime.deadlines import within
from springtide.runtime.errors import SpringtideError
from springtide.runtime.outage import Outage
from springtide.scaler.core import alert_review
from springtide.scaler.core.alert_review import ActiveAlerts
from springtide.scaler.core.ports import AlertSource, Clock
from springtide.scaler.core.vocabulary import Decision, FunctionRef, Instant, NoData

UNKNOWN_PAUSE_S = 5.0
"""Between two questions while nobody answers."""


class PastDecisions(Protocol):
    """What was done before, by this copy or by one before it."""

    async def last_changes(self) -> Mapping[FunctionRef, Decision]:
        """The last change of each function's count, as far as it is known."""


class Reviewed(Protocol):
    """Who decides and writes for functions under review."""

    async def review(self, refs: Collection[FunctionRef], active: ActiveAlerts) -> None: ...

    def hold_unknown(self, ref: FunctionRef, why: str) -> None: ...


class AlertReview:
    """One review after the other, for as long as ``run`` is not cancelled."""

    def __init__(
        self,
        settings: AlertReceiverSettings,
        source: AlertSource,
        *,
        histories: HistoryStore,
        past: PastDecisions | None,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._source = source
        self._histories = histories
        self._past = past
        self._clock = clock
        self._unanswered = Outage("which alerts fire is not known, so none counts as ended")
        self._past_unknown = Outage("past decisions are not known, so only remembered alerts are reviewed")

    async def run(self, reviewed: Reviewed) -> None:
        """Never returns."""
        interval_s = self._settings.review_interval_s
        while True:
            known = await self._once(reviewed)
            await asyncio.sleep(interval_s if known else min(UNKNOWN_PAUSE_S, interval_s))

    async def _once(self, reviewed: Reviewed) -> bool:
        """Whether there was an answer."""
        active = await self._source.active(Instant(self._clock.wall()))
        refs = alert_review.to_review(self._histories.all(), await self._last_changes())
        if isinstance(active, NoData):
            self._unanswered.failed(active.why)
            for ref in refs:
                reviewed.hold_unknown(ref, f"whether an alert about it still fires is not known: {active.why}")
            return False
        self._unanswered.over()
        silent = [ref for ref in refs if not active.may_fire(ref, self._histories.get(ref))]
        await reviewed.review(silent, active)
        await self._histories.save()
        return True

    async def _last_changes(self) -> Mapping[FunctionRef, Decision]:
        if self._past is None:
            return {}
        try:
            changes = await within(self._settings.deadline_s, "reading past decisions", self._past.last_changes())
        except SpringtideError as error:
            self._past_unknown.failed(str(error))
            return {}
        self._past_unknown.over()
        return changes
