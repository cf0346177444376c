"""Alerts about asynchronous calls: those that wait too long or were given up, and the server that keeps them."""

from __future__ import annotations

from springtide.rules.counters import increase
from springtide.rules.model import AlertRule, Group
from springtide.rules.part_alerts import RECENT_S
from springtide.rules.thresholds import Thresholds
from springtide.rules.timing import Timing, prometheus_duration
from springtide.scaler.core import catalogue
from springtide.scaler.core.catalogue import Part

GROWTH_S, APART_S = 300.0, 60.0
"""The least of five minutes is compared with the most of the five up to a minute before them: calls that come all at
once are no growth."""

COMPONENT = {"component": Part.QUEUE_WORKER.value}


def queue_group(timing: Timing, thresholds: Thresholds) -> Group:
    rules = (
        _broker_away(timing, thresholds),
        _broker_nearly_full(timing, thresholds),
        _damaged(timing),
        _not_synced(timing, thresholds),
        _growing(thresholds),
        _too_old(timing, thresholds),
        _dead_letters(timing, thresholds),
        _callbacks_failing(thresholds),
    )
    return Group("springtide-queues", max(timing.evaluation_s, timing.parts_scrape_s), rules)


def _last(metric: catalogue.Metric, timing: Timing) -> str:
    return f"last_over_time({metric.name}[{prometheus_duration(timing.known_for_s)}])"


def _broker_away(timing: Timing, thresholds: Thresholds) -> AlertRule:
    window = prometheus_duration(timing.known_for_s)
    return AlertRule(
        alert="QueueBrokerAway",
        expr=f"max_over_time({catalogue.BROKER_CONNECTED.name}[{window}]) == 0",
        pending_s=thresholds.broker_away_s,
        labels={"severity": "critical", **COMPONENT},
        summary="The server that keeps asynchronous calls does not answer {{ $labels.instance }}, or stores nothing",
        description=(
            "New ones are refused with 503, those that were accepted wait on its disk; synchronous calls go on. "
            "springtide doctor says what is wrong."
        ),
    )


def _broker_nearly_full(timing: Timing, thresholds: Thresholds) -> AlertRule:
    share = f"{_last(catalogue.BROKER_STORED, timing)} / {_last(catalogue.BROKER_ROOM, timing)}"
    return AlertRule(
        alert="QueueBrokerNearlyFull",
        expr=f"max({share}) > {thresholds.broker_full_ratio:g}",
        pending_s=thresholds.failing_s,
        labels={"severity": "critical", **COMPONENT},
        summary="The server that keeps asynchronous calls has {{ $value | humanizePercentage }} of its room taken",
        description=(
            "When it is full new calls are refused with 503, and answers and dead letters cannot be stored. "
            "See which stream grows."
        ),
    )


def _damaged(timing: Timing) -> AlertRule:
    return AlertRule(
        alert="QueueDamaged",
        expr=f"max({_last(catalogue.BROKER_LOST, timing)}) > 0",
        labels={"severity": "critical", **COMPONENT},
        summary="The server that keeps asynchronous calls cannot read {{ $value | humanize1024 }}B of what it kept",
        description=(
            "Its disk told something else than was written to it: accepted calls, or their answers, are lost. "
            "springtide doctor names the streams."
        ),
    )


def _not_synced(timing: Timing, thresholds: Thresholds) -> AlertRule:
    return AlertRule(
        alert="QueueNotSynced",
        expr=f"max({_last(catalogue.BROKER_SYNC, timing)}) > {thresholds.unsynced_s:g}",
        labels={"severity": "warning", **COMPONENT},
        summary="Asynchronous calls are accepted before they are on disk",
        description=(
            "What was accepted in the last {{ $value | humanizeDuration }} dies with the power. "
            "Set sync_interval: always, or raise the threshold if that is meant."
        ),
    )


def _growing(thresholds: Thresholds) -> AlertRule:
    series, window = catalogue.JOBS_PENDING.name, prometheus_duration(GROWTH_S)
    earlier = f"offset {prometheus_duration(GROWTH_S + APART_S)}"
    least, before = f"min_over_time({series}[{window}])", f"max_over_time({series}[{window}] {earlier})"
    # Each copy tells the whole queue.
    return AlertRule(
        alert="QueueGrowing",
        expr=f"max by (queue_name, function_name) ({least} > {before}) > {thresholds.backlog:g}",
        pending_s=thresholds.growing_s,
        labels={"severity": "warning", **COMPONENT},
        summary="Asynchronous calls of {{ $labels.function_name }} come faster than they are made",
        description=(
            "More and more wait. It has too few replicas or too low a limit for what comes, or its calls fail and are "
            "repeated."
        ),
    )


def _too_old(timing: Timing, thresholds: Thresholds) -> AlertRule:
    oldest = f"min by (queue_name) ({_last(catalogue.OLDEST_JOB, timing)})"
    return AlertRule(
        alert="QueueOldestTooOld",
        expr=f"time() - {oldest} > {thresholds.oldest_job_s:g}",
        pending_s=thresholds.failing_s,
        labels={"severity": "warning", **COMPONENT},
        summary="The oldest asynchronous call in {{ $labels.queue_name }} is {{ $value | humanizeDuration }} old",
        description=(
            "It waits for room, fails and is repeated, or runs so long. See which function's calls wait, and whether "
            "they are answered."
        ),
    )


def _dead_letters(timing: Timing, thresholds: Thresholds) -> AlertRule:
    return AlertRule(
        alert="QueueDeadLetters",
        expr=f"max by (queue_name) ({_last(catalogue.DEAD_LETTERS, timing)}) >= {thresholds.dead_letters:g}",
        labels={"severity": "warning", **COMPONENT},
        summary="Asynchronous calls in {{ $labels.queue_name }} were given up: {{ $value }}",
        description=(
            "They are kept whole until somebody puts them back or throws them away: springtide dead list says why each "
            "was given up."
        ),
    )


def _callbacks_failing(thresholds: Thresholds) -> AlertRule:
    failed = f'{catalogue.CALLBACKS.name}{{outcome!="{catalogue.TOLD}"}}'
    return AlertRule(
        alert="CallbacksFailing",
        expr=f"sum({increase(failed, RECENT_S, part=Part.QUEUE_WORKER)}) > {thresholds.callback_failures:g}",
        pending_s=thresholds.failing_s,
        labels={"severity": "warning", **COMPONENT},
        summary="Callers cannot be told the answers to their asynchronous calls",
        description=(
            "Their callbacks fail and are repeated, later given up. The log of the queue worker names each that was; "
            "springtide dead list has the answer."
        ),
    )
