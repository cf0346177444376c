"""What triggers a function, in sentences: its schedules, what woke it ahead of them, its events, its webhook. Pure.

What could not be asked is said as missing, with the reason: it is not the same as that there is nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from springtide.cli.local_time import local_time
from springtide.runtime.errors import BadInput
from springtide.scaler.core.explain import ago, change
from springtide.scaler.core.vocabulary import Decision, FunctionRef, Writer
from springtide.wire.events.delivery_mode import DeliveryMode, delivery_mode
from springtide.wire.events.topics import topics_of
from springtide.wire.schedules.annotations import CRON_TOPIC, schedules_of
from springtide.wire.webhooks.webhook import Kind, problems_of, webhook_of

Json = dict[str, Any]

MAX_EVENTS = 5
MAX_WAKES = 3


@dataclass(frozen=True, slots=True)
class Missing:
    """``why`` something is not known; ``off``: the part that would know is none of this suite's."""

    why: str
    off: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What the gateway told of a function's schedules, its events, and of its decisions."""

    schedules: Json | Missing
    events: Json | Missing
    decisions: Sequence[Decision] | Missing


@dataclass(frozen=True, slots=True)
class Triggered:
    """Sentences, and the same for programs."""

    lines: tuple[str, ...]
    json: Json


def explain_triggers(
    ref: FunctionRef, annotations: Mapping[str, str], secrets: Sequence[str], asked: Asked, now: float
) -> Triggered:
    """``annotations`` and ``secrets`` are the function's own; ``now`` in seconds since the epoch."""
    topics = [topic for topic in topics_of(annotations)[0] if topic != CRON_TOPIC]
    texts = [one.schedule.text for one in schedules_of(ref, annotations)[0]]
    wakes = _wakes(asked.decisions)
    wakes_json = None if wakes is None else [_wake_json(wake) for wake in wakes]
    lines = [
        *_schedules(texts, asked.schedules, now),
        *_prewarms(wakes, asked.decisions, now, expected=bool(texts)),
        *_events(topics, annotations, asked.events, now),
        *_webhook(ref, annotations, secrets),
    ]
    told = {
        "schedules": _told(asked.schedules, "schedules"),
        "prewarms": _missing(asked.decisions) | {"decisions": wakes_json},
        "topics": topics,
        "events": _told(asked.events, "events", "connectors"),
        "webhook": _webhook_json(ref, annotations, secrets),
    }
    return Triggered(tuple(lines or ["Only callers call it: it has no schedule, no topic and no webhook."]), told)


# Schedules.


def _schedules(texts: Sequence[str], told: Json | Missing, now: float) -> Iterator[str]:
    if isinstance(told, Missing):
        if texts:
            does = "Nobody calls it by its schedules" if told.off else "What its schedules do is not known now"
            yield f"{does} ({', '.join(texts)}): {told.why}."
        return
    for one in told["schedules"]:
        yield f"{_name(one)}: {_next(one, now)}."
        yield f"{_last(one, now)}.{_waiting(one)}"
    known = {one["schedule"] for one in told["schedules"]}
    if late := [text for text in texts if text not in known]:
        yield f"The cron part has not heard yet of {', '.join(late)}."


def _name(one: Json) -> str:
    zone = "" if one["zone"] in one["schedule"] else f" ({one['zone']})"
    return f"Schedule {one['schedule']}{zone}"


def _next(one: Json, now: float) -> str:
    if one["paused"]:
        return "paused, until springtide schedule resume"
    if not one["next"]:
        return "never due: no such time comes"
    first, *rest = one["next"]
    then = f", then {', '.join(map(local_time, rest))}" if rest else ""
    return f"next at {local_time(first)}, in {_lasting(_instant(first) - now)}{then}"


def _last(one: Json, now: float) -> str:
    if not one["runs"]:
        return "Its last tick: none is known"
    return "Its last tick: " + "; before that ".join(_run(run, now) for run in one["runs"][:2])


def _run(run: Json, now: float) -> str:
    note = f" ({run['note']})" if run.get("note") else ""
    return f"{local_time(run['due'])}, {ago(now - _instant(run['due']))}: {run['outcome']}{note}"


def _waiting(one: Json) -> str:
    return f" Not sent yet: {one['waiting']}." if one.get("waiting") else ""


# Waking ahead.


def _wakes(decisions: Sequence[Decision] | Missing) -> list[Decision] | None:
    """The last of them; None: not known."""
    if isinstance(decisions, Missing):
        return None
    return [decision for decision in decisions if decision.writer is Writer.PREWARM][-MAX_WAKES:]


def _prewarms(
    wakes: Sequence[Decision] | None, decisions: Sequence[Decision] | Missing, now: float, *, expected: bool
) -> Iterator[str]:
    if isinstance(decisions, Missing):
        if expected:
            yield f"Whether it was woken ahead is not known: {decisions.why}."
        return
    for wake in reversed(wakes or []):
        did = f"Woken ahead {ago(now - wake.at)}, {change(wake.before, wake.after)}"
        yield f"{did if wake.changes else f'Not woken ahead {ago(now - wake.at)}'} ({wake.reason}): {wake.detail}."


def _wake_json(wake: Decision) -> Json:
    told = {"at": wake.at, "before": wake.before, "after": wake.after, "reason": wake.reason, "detail": wake.detail}
    return {**told, "inputs": dict(wake.inputs)}


# Events.


def _events(topics: Sequence[str], annotations: Mapping[str, str], told: Json | Missing, now: float) -> Iterator[str]:
    if topics:
        yield f"Events of {', '.join(topics)} call it{_delivered(annotations)}."
    if isinstance(told, Missing):
        if topics:
            yield f"Which events called it last is not known: {told.why}."
        return
    silent = [one for one in told.get("connectors", []) if one.get("problem")]
    if topics:
        for one in silent:
            yield f"The connector at {one['url']} does not answer ({one['problem']}): its events are missing here."
    for event in told["events"][:MAX_EVENTS]:
        yield _event(event, now)
    if topics and not told.get("connectors"):
        yield "Which events called it last is not known: no connector runs."
    elif topics and not told["events"] and not silent:
        yield "No event has called it since its connectors were started."


def _delivered(annotations: Mapping[str, str]) -> str:
    try:
        modes = {delivery_mode(annotations, default) for default in DeliveryMode}
    except ValueError as error:
        return f" ({error})"
    if len(modes) > 1:
        return ", through the queue or at once as their connector does"
    return " at once" if DeliveryMode.SYNC in modes else ", through the queue"


def _event(event: Json, now: float) -> str:
    when = ago(now - _instant(event["time"])) if event.get("time") else "some time ago"
    tries = event.get("attempts") or 1
    source = f" (source {event['source']})" if event.get("source") else ""
    more = [f"{tries} tries"] if tries > 1 else []
    more += [str(event["why"])] if event.get("why") else []
    return f"Event of {event.get('topic')} {when}: {', '.join([str(event.get('outcome')), *more])}{source}."


# The webhook.


def _webhook(ref: FunctionRef, annotations: Mapping[str, str], secrets: Sequence[str]) -> Iterator[str]:
    told = _webhook_json(ref, annotations, secrets)
    if told is None:
        return
    if told["problems"]:
        yield from (f"Its webhook is wrong: {problem}." for problem in told["problems"])
    elif told["kind"] == Kind.NONE:
        yield f"Webhook {told['path']}: anybody may send, nothing is proved."
    else:
        yield f"Webhook {told['path']}: {told['kind']}, proved by the secret {' or '.join(told['secrets'])}."


def _webhook_json(ref: FunctionRef, annotations: Mapping[str, str], secrets: Sequence[str]) -> Json | None:
    problems = list(problems_of(annotations, secrets))
    try:
        webhook = webhook_of(annotations)
    except BadInput:
        webhook = None
    if webhook is None and not problems:
        return None
    known = {} if webhook is None else {"kind": str(webhook.kind), "secrets": list(webhook.secrets)}
    return {"path": f"/webhook/{ref}", **known, "problems": problems}


# For programs.


def _told(told: Json | Missing, *keys: str) -> Json:
    """What was told, or None of each with the reason."""
    known = dict.fromkeys(keys) if isinstance(told, Missing) else {key: told.get(key) for key in keys}
    return _missing(told) | known


def _missing(told: object) -> Json:
    return {"missing": told.why if isinstance(told, Missing) else None}


# Times.


def _instant(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _lasting(seconds: float) -> str:
    return ago(seconds).removesuffix(" ago")
