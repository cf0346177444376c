"""The idle rule with the idler's settings, and with what is known of calls that are to come."""

from __future__ import annotations

from dataclasses import replace

from springtide.idler.settings import IdlerSettings
from springtide.scaler.core import idle
from springtide.scaler.core.delayed_calls import DelayedCalls
from springtide.scaler.core.idle import Activity, IdleHistory, Outlook
from springtide.scaler.core.learned_silence import LearnedSilence
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.ports import ExpectedCalls
from springtide.scaler.core.prewarm import ARRIVAL_S, MARGIN_S, Lead, Upcoming
from springtide.scaler.core.vocabulary import Decision, Function, Instant, NoData


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
        *,
        delayed: DelayedCalls | NoData | None = None,
        learned: LearnedSilence | None = None,
        memory_short: str | None = None,
    ) -> tuple[Decision, IdleHistory]:
        """See ``idle.decide``. Of thousands of functions only those that are idle otherwise are asked about.

        ``delayed``: calls that were put off; None: there are no such calls here, or it is not time to ask for them.
        ``learned``: a plan of its pause, if it has one. ``memory_short``: as ``idle.Outlook`` has it.
        """
        outlook = Outlook(learned=learned, memory_short=memory_short)
        told = idle.decide(function, *labels, activity, history, self._limits, now, outlook=outlook)
        upcoming = self._upcoming(function, delayed, now) if told[0].changes else None
        if upcoming is None:
            return told
        outlook = replace(outlook, upcoming=upcoming)
        return idle.decide(function, *labels, activity, history, self._limits, now, outlook=outlook)

    def _upcoming(
        self, function: Function, delayed: DelayedCalls | NoData | None, now: Instant
    ) -> Upcoming | NoData | None:
        """What is near is reason enough, whatever else is not known."""
        lead = Lead.of(function.longest_start_s, self._settings.default_lead_s)
        after = Instant(now - ARRIVAL_S)
        calls = [self._expected.next_call(function, after) if self._expected is not None else None]
        if isinstance(delayed, DelayedCalls):
            calls.append(delayed.next_call(function.ref, after))
        call = min((each for each in calls if each is not None), default=None)
        if call is not None and Upcoming(call, lead).near(now):
            return Upcoming(call, lead)
        if isinstance(delayed, NoData):
            return delayed
        return delayed.unknown(function.ref, Instant(now + lead.seconds + MARGIN_S)) if delayed is not None else None
