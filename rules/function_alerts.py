"""Alerts about single functions: replicas that do not come, die or turn round and round, and who writes them."""

from __future__ import annotations

from springtide.rules.counters import increase
from springtide.rules.model import AlertRule, Group, RecordingRule
from springtide.rules.part_alerts import RECENT_S
from springtide.rules.thresholds import Thresholds
from springtide.rules.timing import Timing, prometheus_duration
from springtide.scaler.core import catalogue
from springtide.scaler.core.catalogue import Part
from springtide.scaler.core.vocabulary import Writer

DIRECTION = "function_name:gateway_service_count:direction"
"""1 since the last change was up, -1 since it was down."""

TURNS_S = 1800.0
WHILE_S = 900.0

STEADY = (Writer.ALERT, Writer.SCALER, Writer.HPA, Writer.PERSON)
"""Writers between which a function never goes to and fro by design. A wake and the idler take turns by nature."""


def function_group(timing: Timing, thresholds: Thresholds) -> Group:
    rules = (
        _direction(timing),
        _not_ready(timing, thresholds),
        _stuck_at_max(timing, thresholds),
        _flapping(thresholds),
        _crash_loop(thresholds),
        _out_of_memory(),
        _fighting(thresholds),
        _cold_starts_failing(thresholds),
    )
    return Group("springtide-functions", max(timing.evaluation_s, timing.parts_scrape_s), rules)


def _of(fold: str, metric: catalogue.Metric, timing: Timing) -> str:
    """One value per function, whichever gateway tells it, also when its last scrape was lost."""
    return f"max by (function_name) ({fold}({metric.name}[{prometheus_duration(timing.window_s)}]))"


def _direction(timing: Timing) -> RecordingRule:
    """``changes`` counts each step of one climb; only turns tell a climb from a function that flaps."""
    window = prometheus_duration(timing.window_s)
    now = _of("last_over_time", catalogue.DESIRED, timing)
    before = f"max by (function_name) (last_over_time({catalogue.DESIRED.name}[{window}] offset {window}))"
    kept = f"last_over_time({DIRECTION}[{prometheus_duration(TURNS_S)}])"
    return RecordingRule(DIRECTION, f"sgn({now} - {before}) != 0 or {kept}", ("function_name",))


def _not_ready(timing: Timing, thresholds: Thresholds) -> AlertRule:
    ready, wanted = _of("max_over_time", catalogue.READY, timing), _of("min_over_time", catalogue.DESIRED, timing)
    return AlertRule(
        alert="FunctionNotReady",
        expr=f"{ready} < {wanted}",
        pending_s=thresholds.not_ready_s,
        labels={"severity": "warning", "component": Part.PROVIDER.value},
        summary="{{ $labels.function_name }} has fewer ready replicas than wanted",
        description="Its replicas do not start or keep dying. Look at its log and its memory and CPU limits.",
    )


def _stuck_at_max(timing: Timing, thresholds: Thresholds) -> AlertRule:
    min_replicas = _of("max_over_time", catalogue.MIN_REPLICAS, timing)
    max_replicas = _of("max_over_time", catalogue.MAX_REPLICAS, timing)
    wanted = _of("min_over_time", catalogue.DESIRED, timing)
    return AlertRule(
        alert="FunctionStuckAtMax",
        expr=f"{wanted} >= {max_replicas} and {max_replicas} > {min_replicas}",
        pending_s=thresholds.at_max_s,
        labels={"severity": "warning", "component": Part.ALERT_RECEIVER.value},
        summary="{{ $labels.function_name }} has been at its maximum for long",
        description="It cannot grow with its load any more. Raise com.openfaas.scale.max, or find out why it is slow.",
    )


def _flapping(thresholds: Thresholds) -> AlertRule:
    return AlertRule(
        alert="FunctionFlapping",
        expr=f"resets({DIRECTION}[{prometheus_duration(TURNS_S)}]) >= {thresholds.peaks:g}",
        labels={"severity": "warning"},
        summary="{{ $labels.function_name }} goes up and down again and again",
        description=(
            "Its load hovers around a threshold, it sleeps too soon, or two scalers disagree. "
            "springtide explain tells who wrote each change and why."
        ),
    )


def _crash_loop(thresholds: Thresholds) -> AlertRule:
    # Looks at which the count had grown: twenty replicas that die together once are no loop.
    died = f"changes({catalogue.REPLICA_RESTARTS.name}[{prometheus_duration(WHILE_S)}])"
    return AlertRule(
        alert="ReplicaCrashLoop",
        expr=f"max by (function_name) ({died}) >= {thresholds.crashes:g}",
        labels={"severity": "warning", "component": Part.PROVIDER.value},
        summary="Replicas of {{ $labels.function_name }} die again and again",
        description="They are started again at longer and longer intervals. Its log and its problem say why they die.",
    )


def _out_of_memory() -> AlertRule:
    killed = increase(catalogue.REPLICA_OUT_OF_MEMORY.name, WHILE_S, part=Part.PROVIDER)
    return AlertRule(
        alert="ReplicaOutOfMemory",
        expr=f"sum by (function_name) ({killed}) > 0",
        labels={"severity": "warning", "component": Part.PROVIDER.value},
        summary="A replica of {{ $labels.function_name }} exceeded its memory limit and was ended",
        description="Calls it was serving failed or were sent to another. Raise limits.memory, or let it use less.",
    )


def _fighting(thresholds: Thresholds) -> AlertRule:
    def writes(outcome: str, writers: str) -> str:
        matchers = f'outcome="{outcome}",writer=~"{writers}"'
        return increase(f"{catalogue.SCALE_WRITES.name}{{{matchers}}}", WHILE_S, part=Part.PROVIDER)

    # Wakes race with each other by design: each gateway makes one, and the first is as good as one's own.
    losers = "|".join((*STEADY, Writer.IDLER))
    lost = f"sum by (function_name) ({writes(catalogue.CONFLICT, losers)}) >= {thresholds.conflicts:g}"
    steady = writes(catalogue.WRITTEN, "|".join(STEADY))
    busy = f"sum by (function_name, writer) ({steady}) >= {thresholds.alternating:g}"
    return AlertRule(
        alert="WritersFighting",
        expr=f"{lost}\nor count by (function_name) ({busy}) >= 2\n",
        labels={"severity": "warning", "component": Part.PROVIDER.value},
        summary="Two writers fight over the replicas of {{ $labels.function_name }}",
        description="One undoes what the other does. The decisions name both; leave the function to one of them.",
    )


def _cold_starts_failing(thresholds: Thresholds) -> AlertRule:
    refused = f'{catalogue.REFUSED.name}{{reason=~"{"|".join(catalogue.COLD_START_REFUSALS)}"}}'
    return AlertRule(
        alert="ColdStartsFailing",
        expr=f"sum by (function_name) ({increase(refused, RECENT_S, part=Part.GATEWAY)}) > 0",
        pending_s=thresholds.failing_s,
        labels={"severity": "warning", "component": Part.GATEWAY.value},
        summary="Callers who wait for {{ $labels.function_name }} to wake are refused",
        description=(
            "It starts too slowly, not at all, or for more callers than may be held. "
            "The gateway's answer names the cause; see its cold starts by part, then the function's log."
        ),
    )
