"""What pages are told, as JSON. Names here are those the scripts read."""

from __future__ import annotations

from typing import Any

from springtide.console import words
from springtide.console.decisions import DecisionRecord, Decisions
from springtide.console.functions import FunctionInfo, State, state_of
from springtide.console.gateway_poller import GatewayPoller
from springtide.scaler.core import explain, label_names
from springtide.scaler.core.catalogue import COLD_START_PARTS
from springtide.scaler.core.policy import ScalePolicy
from springtide.wire.events import topics
from springtide.wire.events.delivery_mode import ANNOTATION as DELIVERY
from springtide.wire.events.delivery_mode import DeliveryMode
from springtide.wire.function_rates import ColdStarts, FunctionRates
from springtide.wire.schedules.annotations import CRON_TOPIC, schedules_of
from springtide.wire.webhooks.webhook import Kind, webhook_of
from springtide.wire.webhooks.webhook import problems_of as webhook_problems

Json = dict[str, Any]

SPARK_SLOTS = 60
"""Points of the small charts: two minutes."""

AGE_STEPS = (10, 30, 60, 300, 900, 3600)

PART_WORDS = {
    "decided": "deciding",
    "accepted": "telling the provider",
    "ready": "starting a replica",
    "first_byte": "the function's first byte",
}


def row(info: FunctionInfo, watch: GatewayPoller, decisions: Decisions) -> Json:
    """One function as the list shows it. Numbers that are not known are null."""
    now = watch.measures(info.key)
    state = state_of(now.desired, now.ready, info.problem)
    told = decisions.last(info.key)
    return {
        "key": info.key,
        "name": info.ref.name,
        "namespace": info.ref.namespace,
        "state": state.value,
        "stateText": words.state(state),
        "owner": f"Scaled by {explain.who(info.owner)}",
        "problem": info.problem if state is State.PROBLEM else None,
        **_numbers(now),
        "last": None if told is None else decision(told),
    }


def _numbers(now: FunctionRates) -> Json:
    return {
        "desired": now.desired,
        "ready": now.ready,
        "rate": _rounded(now.rate),
        "errors": _rounded(now.errors),
        "errorShare": _rounded(now.error_share),
        "p95": _rounded(now.p95_s),
        "inFlight": now.in_flight,
        "held": now.held,
    }


def decision(told: DecisionRecord) -> Json:
    return {
        "number": told.number,
        "at": told.at,
        "function": told.function,
        "change": words.change(told),
        "up": told.after > told.before,
        "changes": told.changes,
        "before": told.before,
        "after": told.after,
        "reason": told.reason,
        "reasonText": words.reason(told),
        "writer": words.writer(told),
        "detail": told.detail,
        "inputs": words.inputs(told),
    }


def cold_start(number: int, cold: ColdStarts) -> Json:
    """``parts`` in the order in which they pass; all seconds."""
    named = [part for part in COLD_START_PARTS if part in cold.parts_s]
    return {
        "number": number,
        "at": cold.at,
        "calls": cold.calls,
        "seconds": _rounded(cold.mean_s),
        "parts": [{"part": part, "text": PART_WORDS[part], "seconds": _rounded(cold.parts_s[part])} for part in named],
    }


def spark(key: str, watch: GatewayPoller) -> Json:
    """The last two minutes of a function, for the small charts."""
    seen = watch.seen.get(key)
    columns = seen.history.last(SPARK_SLOTS, watch.slot) if seen is not None else {}
    return {"until": watch.slot * watch.step_s, "step": watch.step_s, "columns": _short(columns)}


def history(key: str, watch: GatewayPoller, slots: int) -> Json:
    seen = watch.seen.get(key)
    columns = seen.history.last(slots, watch.slot) if seen is not None else {}
    return {"until": watch.slot * watch.step_s, "step": watch.step_s, "columns": _short(columns)}


def limits(info: FunctionInfo) -> Json:
    """What its labels say of its scale."""
    policy, problems = ScalePolicy.from_labels(info.labels)
    return {
        "min": policy.min,
        "max": policy.max,
        "zero": policy.zero,
        "type": policy.type,
        "target": policy.target,
        "factor": policy.factor,
        "problems": [*problems, *label_names.problems_of(info.labels)],
        "wrong_schedules": list(schedules_of(info.ref, info.annotations)[1]),
        "wrong_topics": list(topics.problems_of(info.annotations)),
        "notes": list(label_names.without_effect(info.labels, info.owner)),
        "owner": explain.who(info.owner),
    }


def triggers(info: FunctionInfo) -> Json:
    """What calls it beside callers, by its annotations. ``schedules`` are those that can be read."""
    wanted = topics.topics_of(info.annotations)[0]
    problems = list(webhook_problems(info.annotations, info.secrets))
    return {
        "schedules": [one.schedule.text for one in schedules_of(info.ref, info.annotations)[0]],
        "topics": [topic for topic in wanted if topic != CRON_TOPIC],
        "delivery": _DELIVERIES.get(info.annotations.get(DELIVERY, "").strip().lower(), "as their connector does"),
        "webhook": None if problems else _webhook(info),
        "problems": problems,
    }


_DELIVERIES = {
    DeliveryMode.SYNC.value: "call it at once",
    DeliveryMode.ASYNC.value: "go through the queue",
}


def _webhook(info: FunctionInfo) -> Json | None:
    webhook = webhook_of(info.annotations)
    if webhook is None:
        return None
    if webhook.kind is Kind.NONE:
        return {"sender": "anybody: nothing proves who sends"}
    return {"sender": f"{webhook.kind}, proved by the secret {' or '.join(webhook.secrets)}"}


def freshness(watch: GatewayPoller, decisions: Decisions) -> Json:
    """What to warn of; ``warning`` is null when all is well."""
    fresh = watch.freshness()
    warning = None
    if fresh.stale:
        age = "have not come yet" if fresh.numbers_age_s is None else f"are {_about(fresh.numbers_age_s)} old"
        warning = f"The gateway's numbers {age}: {fresh.numbers_problem or 'the gateway is slow to answer'}."
    elif fresh.list_problem is not None:
        warning = f"The list of functions may be out of date: {fresh.list_problem}."
    elif watch.connected is False:
        warning = "The gateway does not hear from the provider, so replicas may not be up to date. Calls go on."
    return {
        "warning": warning,
        "stale": fresh.stale,
        "known": fresh.list_age_s is not None,
        "decisions": decisions.problem,
    }


def _about(age_s: float) -> str:
    """In steps: the sentence is read aloud each time that it changes."""
    passed = [step for step in AGE_STEPS if age_s >= step]
    if not passed:
        return "a few seconds"
    return f"over {passed[-1]} s" if passed[-1] < 60 else f"over {passed[-1] // 60} min"


def _short(columns: dict[str, list[float | None]]) -> dict[str, list[float | None]]:
    return {name: [_rounded(value) for value in values] for name, values in columns.items()}


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
