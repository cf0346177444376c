"""Alerts about the parts of the suite: which does not answer, does not see or does not get through."""

from __future__ import annotations

from collections.abc import Mapping

from springtide.rules.counters import increase
from springtide.rules.model import AlertRule, Group
from springtide.rules.thresholds import Thresholds
from springtide.rules.timing import Timing, prometheus_duration
from springtide.scaler.core import catalogue
from springtide.scaler.core.catalogue import Part
from springtide.scaler.core.vocabulary import Reason, Writer

RECENT_S = 300.0
"""Over which failures are counted."""

HOLDS_S = 180.0
"""Over which holds are counted: longer than the longest sweep interval in common use (two minutes)."""

LOOKS_S = 60.0
"""Over which the length of a look is taken: a single long one, as after a start, is not behind."""

BLIND = (Reason.NO_DATA, Reason.STALE_DATA)
"""Holds because nothing fresh is measured. A source that restarted is back, and soon trusted again."""

_DOWN: Mapping[Part, tuple[str, str, str]] = {
    Part.GATEWAY: (
        "GatewayDown",
        "critical",
        "No call is answered and no load is measured: functions keep their replicas. Look at its log and its memory.",
    ),
    Part.PROVIDER: (
        "ProviderDown",
        "critical",
        "Running replicas go on answering, but none is started, stopped or replaced. Look at its log.",
    ),
    Part.ALERT_RECEIVER: (
        "AlertReceiverDown",
        "critical",
        "No alert scales a function up or down; Alertmanager tries again until it is back. Look at its log.",
    ),
    Part.SCALER: (
        "ScalerDown",
        "critical",
        "Functions that follow their load keep their replicas, whatever their load does. Look at its log.",
    ),
    Part.IDLER: (
        "IdlerDown",
        "warning",
        "Idle functions are not taken to zero, which costs replicas and harms no call. Look at its log.",
    ),
    Part.QUEUE_WORKER: (
        "QueueWorkerDown",
        "critical",
        "Asynchronous calls are accepted and kept, and none is made. Look at its log.",
    ),
    Part.CRON: (
        "CronDown",
        "critical",
        "No function is called by its schedule; what is due is sent once it is back. Look at its log.",
    ),
    Part.CONNECTOR: (
        "ConnectorDown",
        "critical",
        "No function is called by events of its sources, which keep them or lose them meanwhile. Look at its log.",
    ),
    Part.CONSOLE: (
        "ConsoleDown",
        "warning",
        "The pages behind /ui/ are away, which harms no call and no scaling. Look at its log.",
    ),
}
"""Alert name, severity, and what it means and what to do, for each part that may stop answering its scrapes."""


def part_group(timing: Timing, thresholds: Thresholds) -> Group:
    rules = (
        *(_down(part, thresholds) for part in _DOWN),
        _provider_disconnected(timing, thresholds),
        _no_leader(timing, thresholds),
        _idler_not_sweeping(thresholds),
        _idler_source_failing(thresholds),
        _alert_receiver_failing(thresholds),
        _metrics_source_stale(thresholds),
        _scaler_holding(timing, thresholds),
        _scaler_behind(timing, thresholds),
        _ticks_overdue(timing, thresholds),
        _learned_sleep_stale(timing, thresholds),
        _event_loop_behind(thresholds),
        _waiting_room_filling(timing, thresholds),
        _wrong_passwords(thresholds),
    )
    return Group("springtide-parts", max(timing.evaluation_s, timing.parts_scrape_s), rules)


def _down(part: Part, thresholds: Thresholds) -> AlertRule:
    alert, severity, meaning = _DOWN[part]
    up, gone = f'up{{job="{part}"}}', prometheus_duration(thresholds.gone_s)
    # Everything rests on a gateway. Other parts may be left out of an installation, so they must have been there.
    missing = f"(max by (job) (last_over_time({up}[{gone}])) unless on (job) {up})"
    if part is Part.GATEWAY:
        missing = f"absent({up})"
    return AlertRule(
        alert=alert,
        expr=f"{up} == 0 or {missing}",
        pending_s=thresholds.down_s,
        labels={"severity": severity, "component": part.value},
        summary=f"The {part.value} does not answer",
        description=meaning,
    )


def _provider_disconnected(timing: Timing, thresholds: Thresholds) -> AlertRule:
    window = prometheus_duration(timing.window_s)
    return AlertRule(
        alert="ProviderDisconnected",
        expr=f"max_over_time({catalogue.PROVIDER_CONNECTED.name}[{window}]) == 0",
        pending_s=thresholds.disconnected_s,
        labels={"severity": "critical", "component": Part.GATEWAY.value},
        summary="Gateway {{ $labels.instance }} hears nothing from the provider",
        description=(
            "It calls the replicas it last knew of and cannot wake a function. "
            "See whether the provider runs and whether the gateway's provider URL and password are right."
        ),
    )


def _no_leader(timing: Timing, thresholds: Thresholds) -> AlertRule:
    window = prometheus_duration(timing.known_for_s)
    return AlertRule(
        alert="NoLeader",
        expr=f"max by (job) (max_over_time({catalogue.LEADER.name}[{window}])) == 0",
        pending_s=thresholds.no_leader_s,
        labels={"severity": "critical"},
        summary="No copy of the {{ $labels.job }} leads",
        description="Its copies run, but none may write replicas. See whether they reach the Lease they take turns by.",
    )


def _idler_not_sweeping(thresholds: Thresholds) -> AlertRule:
    return AlertRule(
        alert="IdlerNotSweeping",
        expr=f"time() - max(last_over_time({catalogue.LAST_SWEEP.name}[1h])) > {thresholds.no_sweep_s:g}",
        pending_s=thresholds.settling_s,
        labels={"severity": "warning", "component": Part.IDLER.value},
        summary="The idler has not finished a sweep for too long",
        description="Idle functions are not taken to zero. Look at the log of the idler, then at the provider it asks.",
    )


def _ticks_overdue(timing: Timing, thresholds: Thresholds) -> AlertRule:
    window = prometheus_duration(timing.known_for_s)
    return AlertRule(
        alert="SchedulesOverdue",
        expr=f"max(last_over_time({catalogue.TICKS_OVERDUE.name}[{window}])) > {thresholds.overdue_s:g}",
        pending_s=thresholds.failing_s,
        labels={"severity": "critical", "component": Part.CRON.value},
        summary="A schedule has been due for {{ $value | humanizeDuration }}, and its function is not called",
        description=(
            "The gateway does not take the call, or the copy that leads knows of no schedule: it hears nothing from "
            "the provider, or cannot read up to when ticks were sent. The log of the cron part says which."
        ),
    )


def _learned_sleep_stale(timing: Timing, thresholds: Thresholds) -> AlertRule:
    # A copy on standby tells 0, as one that leads and has heard nothing yet.
    heard = f"max(last_over_time({catalogue.SLEEP_HEARD.name}[{prometheus_duration(timing.known_for_s)}]))"
    return AlertRule(
        alert="LearnedSleepStale",
        expr=f"time() - {heard} > {thresholds.unheard_s:g}",
        pending_s=thresholds.failing_s,
        labels={"severity": "warning", "component": Part.CRON.value},
        summary="Learned sleep does not hear the gateways",
        description=(
            "Functions sleep after their fixed silences, and none is woken for a likely call, until every gateway "
            "tells again when functions were busy. The log of the cron part says which one does not."
        ),
    )


def _idler_source_failing(thresholds: Thresholds) -> AlertRule:
    failures = increase(catalogue.SOURCE_FAILURES.name, RECENT_S, part=Part.IDLER)
    return AlertRule(
        alert="IdlerSourceFailing",
        expr=f"sum by (signal) ({failures}) > 0",
        pending_s=thresholds.failing_s,
        labels={"severity": "warning", "component": Part.IDLER.value},
        summary="The idler cannot measure {{ $labels.signal }}",
        description="It holds every function until it can. See whether Prometheus runs and scrapes the gateway.",
    )


def _alert_receiver_failing(thresholds: Thresholds) -> AlertRule:
    # 503 is a copy on standby, or one that is busy: Alertmanager tries again, elsewhere perhaps.
    failures = increase(f'{catalogue.WEBHOOKS.name}{{code="500"}}', RECENT_S, part=Part.ALERT_RECEIVER)
    return AlertRule(
        alert="AlertReceiverFailing",
        expr=f"sum({failures}) > 0",
        pending_s=thresholds.failing_s,
        labels={"severity": "critical", "component": Part.ALERT_RECEIVER.value},
        summary="The alert receiver cannot read or write replicas",
        description="Functions do not follow their load. See whether the provider runs; the log names the cause.",
    )


def _metrics_source_stale(thresholds: Thresholds) -> AlertRule:
    # The control loop tells a hold once, not at each look: ScalerHolding is about its own.
    holds = f'{catalogue.DECISIONS.name}{{reason=~"{"|".join(BLIND)}",writer!="{Writer.SCALER}"}}'
    return AlertRule(
        alert="MetricsSourceStale",
        expr=f"sum by (writer) (increase({holds}[{prometheus_duration(HOLDS_S)}])) > 0",
        pending_s=thresholds.holding_s,
        labels={"severity": "warning"},
        summary="The {{ $labels.writer }} path holds functions because their load is not known",
        description="Nothing is scaled down on missing data. See whether Prometheus runs and scrapes every gateway.",
    )


def _scaler_holding(timing: Timing, thresholds: Thresholds) -> AlertRule:
    window = prometheus_duration(timing.known_for_s)
    # A copy on standby holds the same functions; the longer of the two is no second function.
    held = f"max by (function_name, reason) (last_over_time({catalogue.HOLD_SECONDS.name}[{window}]))"
    return AlertRule(
        alert="ScalerHolding",
        expr=f"count by (reason) ({held} > {thresholds.holding_s:g})",
        labels={"severity": "warning", "component": Part.SCALER.value},
        summary="The scaler takes nothing away, as a load is not known ({{ $labels.reason }}); functions: {{ $value }}",
        description=(
            "A load of theirs, or a part of it, has not been known for long. springtide explain names what is missing."
        ),
    )


def _scaler_behind(timing: Timing, thresholds: Thresholds) -> AlertRule:
    minute, window = prometheus_duration(LOOKS_S), prometheus_duration(timing.known_for_s)
    looks = catalogue.LOOK_SECONDS.name
    slow = f"rate({looks}_sum[{minute}]) / rate({looks}_count[{minute}]) > {thresholds.look_s:g}"
    late = f"time() - last_over_time({catalogue.LAST_LOOK.name}[{window}]) > {thresholds.no_look_s:g}"
    # The least of the window: a single line that came late is not a gateway that is behind.
    old = f'min_over_time({catalogue.SIGNAL_AGE.name}{{signal="calls"}}[{window}]) > {thresholds.calls_age_s:g}'
    return AlertRule(
        alert="ScalerBehind",
        expr=f"max by (instance) ({slow} or {late} or ignoring (signal) {old})",
        pending_s=thresholds.behind_s,
        labels={"severity": "warning", "component": Part.SCALER.value},
        summary="The scaler at {{ $labels.instance }} is behind",
        description=(
            "Functions follow their load late. It has too little processor time, too many functions, or hears its "
            "gateways late."
        ),
    )


def _event_loop_behind(thresholds: Thresholds) -> AlertRule:
    late = f"rate({catalogue.LOOP_LAG.name}_sum[{prometheus_duration(RECENT_S)}])"
    return AlertRule(
        alert="EventLoopBehind",
        expr=f"sum by (job, instance, process) ({late}) > {thresholds.loop_behind_ratio:g}",
        pending_s=thresholds.loop_behind_s,
        labels={"severity": "warning"},
        summary="The {{ $labels.job }} at {{ $labels.instance }} is behind ({{ $labels.process }})",
        description="Everything it does waits. It has too little processor time, or one task takes too long.",
    )


def _waiting_room_filling(timing: Timing, thresholds: Thresholds) -> AlertRule:
    window, place = prometheus_duration(timing.window_s), "on (job, instance)"
    held = f"last_over_time({catalogue.HELD.name}[{window}])"

    def limit(scope: str) -> str:
        return f'max by (job, instance) (last_over_time({catalogue.HELD_LIMIT.name}{{scope="{scope}"}}[{window}]))'

    one = f"max by (job, instance, function_name) ({held}) / {place} group_left () {limit('function')}"
    together = f"sum by (job, instance) ({held}) / {place} {limit('all')}"
    return AlertRule(
        alert="WaitingRoomFilling",
        expr=f"{one} > {thresholds.held_ratio:g}\nor {together} > {thresholds.held_ratio:g}\n",
        pending_s=thresholds.held_s,
        labels={"severity": "critical", "component": Part.GATEWAY.value},
        summary="Nearly as many callers wait{{ with $labels.function_name }} for {{ . }}{{ end }} as may",
        description=(
            "Beyond the bound the gateway refuses callers. The function does not wake, or has too few replicas; "
            "see its cold starts by part, then its log."
        ),
    )


def _wrong_passwords(thresholds: Thresholds) -> AlertRule:
    # Every part tells this counter from its start, so its first count is an increase.
    guesses = f"increase({catalogue.WRONG_CREDENTIALS.name}[{prometheus_duration(RECENT_S)}])"
    return AlertRule(
        alert="WrongPasswords",
        expr=f"sum by (job) ({guesses}) > {thresholds.wrong_passwords:g}",
        pending_s=0,
        labels={"severity": "warning"},
        summary="The {{ $labels.job }} is shown wrong passwords",
        description=(
            "Somebody guesses, or a client was not told of a new password. The log names the addresses, once a minute."
        ),
    )
