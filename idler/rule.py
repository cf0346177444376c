"""The idle rule with the idler's settings, and with what is known of calls that are to come."""

from __future__ import annotations

from springtide.idler.settings import IdlerSettings
from springtide.scaler.core import idle
from springtide.scaler.core.idle import Activity, IdleHistory
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.ports import ExpectedCalls
from springtide.scaler.core.prewarm import ARRIVAL_S, Lead, Upcoming
from springtide.scaler.core.vocabulary import Decision, Function, Instant


class IdleRule:
    def __init__(self, settings: IdlerSettings, expected: ExpectedCalls | None) -> None:
        self._settings = settings
        self._limits = settings.limits
        self._expected = expected

    def __repr__(self) -> str:
        return f"<IdleRule {self._limits}>"

    def decide(
        self,
        function: Function,
        labels: tuple[ScalePolicy, tuple[str, ...]],
        activity: Activity,
        history: IdleHistory,
        now: Instant,
    ) -> tuple[Decision, IdleHistory]:
        """See ``idle.decide``. Of thousands of functions only those that are idle otherwise are asked about."""
        told = idle.decide(function, *labels, activity, history, self._limits, now)
        upcoming = self._upcoming(function, now) if told[0].changes else None
        if upcoming is None:
            return told
        return idle.decide(function, *labels, activity, history, self._limits, now, upcoming=upcoming)

    def _upcoming(self, function: Function, now: Instant) -> Upcoming | None:
        call = self._expected.next_call(function, Instant(now - ARRIVAL_S)) if self._expected is not None else None
        return Upcoming(call, Lead.of(function.longest_start_s, self._settings.default_lead_s)) if call else None
