"""What a decision says to a person: every sentence about one, in one place. Pure: a decision to text.

``springtide explain``, the console and the Kubernetes Events of a function take their words from here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from springtide.scaler.core import load_needs
from springtide.scaler.core.keepalive.rule import Basis, Why
from springtide.scaler.core.load_needs import LoadNeed
from springtide.scaler.core.policy import OWNER
from springtide.scaler.core.targets import Unit
from springtide.scaler.core.vocabulary import Decision, Reason, Writer


@dataclass(frozen=True, slots=True)
class WriterWords:
    """A writer in a sentence, and on a badge of a word."""

    subject: str
    badge: str


WRITERS: Mapping[Writer, WriterWords] = {
    Writer.ALERT: WriterWords("the alert path", "Alerts"),
    Writer.SCALER: WriterWords("the scaler", "Scaler"),
    Writer.HPA: WriterWords("the HPA", "HPA"),
    Writer.IDLER: WriterWords("the idler", "Idler"),
    Writer.WAKE: WriterWords("a waiting caller", "Gateway"),
    Writer.PREWARM: WriterWords("the pre-warmer", "Pre-warm"),
    Writer.PERSON: WriterWords("a person", "Person"),
}

REASONS: Mapping[Reason, str] = {
    Reason.ALERT_FIRING: "An alert fires: the load is above its target",
    Reason.ALERT_RESOLVED: "The alert is over: the load went down",
    Reason.LOAD_UP: "The load needs more replicas",
    Reason.LOAD_DOWN: "The load needs fewer replicas",
    Reason.IDLE: "Nobody called for long enough",
    Reason.MEMORY_PRESSURE: "Memory was short, and of those that were idle it was worth least",
    Reason.WAKE: "A caller woke it",
    Reason.SCHEDULED: "Its schedule calls it soon",
    Reason.JOB_DUE: "An asynchronous call of it is due soon",
    Reason.FORECAST: "Its pauses say that a call is likely soon",
    Reason.MANUAL: "A person asked for it",
    Reason.AT_MAX: "Already at its maximum",
    Reason.AT_MIN: "Already at its minimum",
    Reason.ASLEEP: "Asleep: only a call wakes it",
    Reason.WOKEN_ONCE: "It was woken for its next call already",
    Reason.OVER_BUDGET: "Wakes by forecast have used up what they may cost",
    Reason.REDELIVERED: "A step up was made a moment ago",
    Reason.STEP_PENDING: "The next step down is not due yet",
    Reason.STILL_FIRING: "Another alert still fires",
    Reason.ENOUGH: "Its replicas fit its load",
    Reason.SETTLING: "The load fell; it waits whether it stays down",
    Reason.UNCONFIRMED: "Only one look asked for more; the next one decides",
    Reason.FACTOR_ZERO: "Scaling by alerts is switched off for it",
    Reason.FIXED_SIZE: "Its minimum is its maximum",
    Reason.NOT_OWNER: "Another scaler owns its replicas",
    Reason.NOT_OPTED_IN: "It is not allowed to sleep",
    Reason.INVALID_LABELS: "Its scaling labels cannot be understood",
    Reason.DRY_RUN: "Only watching: this is a dry run",
    Reason.IN_FLIGHT: "Calls are in flight",
    Reason.RECENTLY_ACTIVE: "It was called a short time ago",
    Reason.TOO_YOUNG: "It was deployed or scaled a short time ago",
    Reason.CALL_EXPECTED: "A call of it is due soon",
    Reason.STARTING: "The scaler has just begun and takes nothing away yet",
    Reason.NO_DATA: "Its load is not known, so it is left alone",
    Reason.STALE_DATA: "The data on its load is too old, so it is left alone",
    Reason.PARTIAL_DATA: "A part of its load is not known, so nothing is taken away",
    Reason.SOURCE_RESTARTED: "Its load has been measured for a moment only, so it is left alone for now",
    Reason.AGE_UNKNOWN: "Its age is not known, so it is left alone",
    Reason.UNMEASURED: "Nobody here measures its load, so it is left alone",
    Reason.LOST_RACE: "Somebody else changed it first",
    Reason.WRITE_FAILED: "The provider did not take the change",
    Reason.UNKNOWN_FUNCTION: "The function is gone",
}
"""Each reason in a line."""


def replicas(count: float) -> str:
    return f"{count:g} replica" if count == 1 else f"{count:g} replicas"


def change(before: int, after: int) -> str:
    """What became of the count: ``1 → 3 replicas``, or that it stayed."""
    return f"stays at {replicas(after)}" if before == after else f"{before} → {replicas(after)}"


def ago(seconds: float) -> str:
    """A length of time in the one unit that says enough."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{max(seconds, 0):.0f} s ago"


def scaled(decision: Decision) -> str:
    """A change, to be read on its own."""
    by = WRITERS[decision.writer].subject
    return f"Scaled from {decision.before} to {decision.after} by {by}: {decision.detail}"


def set_to(decision: Decision, now: float) -> str:
    """A change, behind the count that it led to."""
    return f"{_subject(decision)} set that {ago(now - decision.at)} ({decision.reason}): {decision.detail}."


def held(decision: Decision, desired: int, now: float) -> str:
    """A hold; ``desired`` is the count now. One that is repeated is told once: time and numbers are the first one's."""
    where = f"at {decision.after}" if decision.after == desired else "alone"
    lasting = ago(now - decision.at).removesuffix(" ago")
    began = f"when that began: {decision.detail}"
    return f"{_subject(decision)} has left it {where} for {lasting} ({decision.reason}); {began}."


def who(owner: Writer | None) -> str:
    """Who moves a running function's replicas, in a sentence."""
    return WRITERS[owner].subject if owner is not None else "nobody"


def badge(owner: Writer | None) -> str:
    """The same in a word."""
    return WRITERS[owner].badge if owner is not None else "Nobody"


def owned(owner: Writer | None) -> str:
    """Why somebody else leaves a running function alone."""
    return f"{who(owner)} owns the replicas"


def owned_because(owner: Writer | None, why: str) -> str:
    """Who has a running function, and why."""
    name = who(owner)
    return f"{name[0].upper()}{name[1:]} owns its replicas while it runs: {why}."


def moved_on(owner: Writer | None, replicas: int) -> str:
    """What a person who asked for so many replicas has to know: how long that lasts, and how to keep it. Empty: it
    stays, or a caller ends it anyway."""
    if replicas == 0 or owner not in _MOVES_ON:
        return ""
    keep = f"com.openfaas.scale.min and .max both {replicas}, or {OWNER}: none"
    return f"{who(owner)} owns its replicas: {_MOVES_ON[owner]}. To keep {replicas}, label it {keep}"


_MOVES_ON: Mapping[Writer | None, str] = {
    Writer.SCALER: "it adds what the load needs within seconds, and takes away what it does not need within minutes",
    Writer.HPA: "it goes on from there by its own measure",
}

LEARNED_WAKE = "the middle of the last three wakes needed that"


def woken(waiting: int, to: int, *, fewest: int) -> str:
    """Why a caller wakes so many: ``fewest`` where nothing was learned."""
    waits = f"{waiting} {'caller waits' if waiting == 1 else 'callers wait'}"
    return waits if to == fewest else f"{waits}; woken to {to}: {LEARNED_WAKE}"


def prewarmed(expected: str, longest_start_s: float | None, to: int, *, fewest: int) -> str:
    """Why a function is woken ahead of a call, such as ``scheduled at 09:00:00 UTC, its longest start of the last 20
    took 3.1 s``."""
    start = "none of its starts was measured yet"
    if longest_start_s is not None:
        start = f"its longest start of the last 20 took {_length(longest_start_s)}"
    return f"{expected}, {start}" + ("" if to == fewest else f"; woken to {to}: {LEARNED_WAKE}")


def woken_ahead(expected: str, due_at: float, longest_start_s: float | None) -> str:
    """What else than a call wakes a function at zero, behind what its next call does."""
    why = "no start of it was measured yet"
    if longest_start_s is not None:
        why = f"a start took up to {_length(longest_start_s)}"
    return f"It is {expected}, and woken ahead for that at {_clock(due_at)}: {why}."


def learned(why: Why) -> str:
    """What the silence after which a function sleeps was learned from, such as ``71 % of its pauses end within 9
    minutes; a cold start is worth 15 minutes``."""
    worth = f"a cold start is worth {_in_words(why.worth_s)}"
    if why.basis is Basis.TIMER and why.interval_s is not None:
        shortest, longest = map(_in_words, why.interval_s)
        if shortest == longest:
            return f"it is called every {shortest}; {worth}"
        return f"its last calls were {shortest} to {longest} apart; {worth}"
    if why.basis is Basis.FIXED:
        return f"what was learned has cost more today than it spared, so the usual silence holds; {worth}"
    if not math.isfinite(why.within_s):
        return f"a call is likely enough however long it waits; {worth}"
    return f"{100 * why.ended_share:.0f} % of its pauses end within {_in_words(why.within_s)}; {worth}"


def awake_for(since: float, until: float, said: str) -> str:
    """Why a function whose sleep is learned is awake, and how long it is if nobody calls."""
    lasts = f"until {_clock(until)} if nobody calls" if math.isfinite(until) else "for as long as nobody calls"
    return f"To zero: not yet; awake since {_clock(since)}, {lasts}: {said}."


def asleep_until(at: float | None, said: str) -> str:
    """When a function whose sleep is learned is woken ahead of a call; None: it is not."""
    if at is None:
        return f"Nothing else does, but a person: no later call is likely enough ({said})."
    return f"It is asleep until about {_clock(at)}, and woken then, ahead of a call that is likely: {said}."


def silence_of(silent_s: float, duration_s: float, said: str) -> str:
    """How long nobody called, of how long it takes; ``said`` is why so long, where that was learned."""
    if not said:
        return f"last call {silent_s:.0f} s ago of {duration_s:g} s"
    of = f" of {duration_s:.4g} s" if math.isfinite(duration_s) else ""
    return f"last call {silent_s:.0f} s ago{of}: {said}"


def memory_short(
    used_bytes: float, bound_bytes: float, size_bytes: float, *, worth_s: float, calls_per_s: float
) -> str:
    """Why a function goes to zero before its silence is over: it was worth least for what it takes."""
    return (
        f"functions take {_bytes(used_bytes)} of the {_bytes(bound_bytes)} that they may; of those that are idle it is "
        f"worth least for its {_bytes(size_bytes)}: {_rate(calls_per_s)}, a cold start is worth {_in_words(worth_s)}"
    )


def _bytes(count: float) -> str:
    return f"{count / (1 << 30):.1f} GiB" if count >= 1 << 30 else f"{count / (1 << 20):.0f} MiB"


def _rate(calls_per_s: float) -> str:
    """Calls in the one unit that says enough."""
    for unit, size in (("a second", 1.0), ("a minute", 60.0), ("an hour", 3600.0)):
        if calls_per_s * size >= 1:
            return f"{calls_per_s * size:.2g} calls {unit}"
    return f"{calls_per_s * 86400:.2g} calls a day"


def _in_words(seconds: float) -> str:
    """A length of time in words, in the one unit that says enough: ``9 minutes``."""
    if not math.isfinite(seconds):
        return "for ever"
    for unit, size, least in (("day", 86400, 2 * 86400), ("hour", 3600, 2 * 3600), ("minute", 60, 60)):
        if seconds >= least:
            count = f"{seconds / size:.1f}".removesuffix(".0") if seconds < 10 * size else f"{seconds / size:.0f}"
            return f"{count} {unit}{'' if count == '1' else 's'}"
    return f"{seconds:.0f} seconds" if seconds >= 10 else f"{seconds:.1f} seconds"


def kept_for(expected: str, longest_start_s: float | None) -> str:
    """Why a silent function is kept awake for a call that is known to come."""
    start = "a start" if longest_start_s is None else f"a start, which takes up to {_length(longest_start_s)}"
    return f"{expected}; taken to zero it would need {start}"


def scheduled(at: float) -> str:
    """What a schedule is about to do; a job that was put off says ``job_due``."""
    return f"scheduled at {_clock(at)}"


def job_due(at: float) -> str:
    return f"an asynchronous call is due at {_clock(at)}"


def forecast(since: float, until: float, share: float) -> str:
    """What a function's pauses say of its next call."""
    between = f"between {_clock(since)} and {_clock(until)}" if math.isfinite(until) else f"after {_clock(since)}"
    return f"a call is likely {between} ({100 * share:.0f} % of its pauses end so)"


ASLEEP = "at zero: only a call wakes it, or one that is known to come"
MAX_NAMED = 3


def load_up(needs: Sequence[LoadNeed], cold_start_s: float, *, at_max: bool) -> str:
    """Why the control loop grows, such as ``41 calls/s of 180 ms need 7.4 replicas, 8.6 with what could come in the
    2.1 s that a start takes``."""
    winner, capped = load_needs.highest(needs), "; its maximum is less" if at_max else ""
    return f"{_needed(winner)}{_headroom(winner, cold_start_s)}{_others(needs, winner)}{capped}"


def load_down(needs: Sequence[LoadNeed], level: float, grip: float) -> str:
    """Why the control loop shrinks."""
    winner = load_needs.highest(needs)
    careful = f", kept {grip:.1f} times as carefully as usual" if grip > 1 else ""
    return f"{_needed(winner)}; the most it needed of late was {level:.1f}{careful}{_others(needs, winner)}"


def by_formula(needs: Sequence[LoadNeed], proportion: float) -> str:
    """What OpenFaaS's formula divided."""
    winner = load_needs.highest(needs)
    load, count = winner.load, winner.need.replicas
    said = f"{winner.value:.3g} {load.unit} / ({load.target:g} × {proportion:g}) need {replicas(count)}"
    return said + _others(needs, winner)


def silent(gateways: Sequence[str]) -> str:
    """Whom of the gateways nobody hears."""
    more = f" and {len(gateways) - MAX_NAMED} more" if len(gateways) > MAX_NAMED else ""
    return f"not heard of {', '.join(gateways[:MAX_NAMED])}{more}, so calls may be missing"


def _needed(winner: LoadNeed) -> str:
    load, asked = winner.load, winner.demand
    if asked is None:
        return f"{winner.value:.3g} {load.unit} at {load.target:g} a replica need {winner.need.replicas:.1f} replicas"
    if load.unit is Unit.CALLS_PER_SECOND:
        return f"{asked.rate:.3g} calls/s at {load.target:g} a replica need {asked.rate / load.target:.1f} replicas"
    busy = asked.rate * asked.service_s / load.target
    return f"{asked.rate:.3g} calls/s of {_length(asked.service_s)} need {busy:.1f} replicas"


def _headroom(winner: LoadNeed, cold_start_s: float) -> str:
    asked = winner.demand
    if asked is None:
        return ""
    waiting = ", calls that wait included" if asked.backlog > 0 else ""
    return f", {winner.need.replicas:.1f} with what could come in the {cold_start_s:.1f} s that a start takes{waiting}"


def _others(needs: Sequence[LoadNeed], winner: LoadNeed) -> str:
    told = (f"{each.load.name} needs {each.need.replicas:.1f}" for each in needs if each is not winner)
    return "".join(f"; {each}" for each in told)


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S} UTC"


def _length(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def not_allowed(decision: Decision) -> str:
    """Why a decision is not written that the ownership table refuses."""
    return f"from {decision.before} to {decision.after} is not for {WRITERS[decision.writer].subject} to write"


def _subject(decision: Decision) -> str:
    return WRITERS[decision.writer].subject.capitalize()
