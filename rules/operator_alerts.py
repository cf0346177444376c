"""Alerts for the people who run the suite. None of them scales anything: see ``alerts.SCALING_LABELS``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rules.model import AlertRule, Group
from rules.timing import Timing, prometheus_duration
from scaler.core import catalogue
from scaler.core.catalogue import Part


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a state lasts before it is worth a person's attention. Seconds."""

    down_s: float = 30.0
    disconnected_s: float = 30.0
    no_sweep_s: float = 300.0
    """Two sweeps and more at the longest sweep interval in common use (two minutes)."""
    settling_s: float = 60.0
    """A part that has just started may not have done its first round."""
    failing_s: float = 60.0
    not_ready_s: float = 300.0


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
    Part.IDLER: (
        "IdlerDown",
        "warning",
        "Idle functions are not taken to zero, which costs replicas and harms no call. Look at its log.",
    ),
}
"""Alert name, severity, and what it means and what to do, for each part that may stop answering its scrapes."""


def operator_group(timing: Timing, patience: Patience | None = None) -> Group:
    patience = patience or Patience()
    rules = (
        *(_down(part, patience) for part in _DOWN),
        _provider_disconnected(timing, patience),
        _idler_not_sweeping(patience),
        _idler_source_failing(patience),
        _alert_receiver_failing(patience),
        _function_not_ready(timing, patience),
    )
    return Group("springtide-operators", max(timing.evaluation_s, timing.parts_scrape_s), rules)


def _down(part: Part, patience: Patience) -> AlertRule:
    alert, severity, meaning = _DOWN[part]
    up = f'up{{job="{part}"}}'
    # Everything rests on a gateway; the other parts may be left out of an installation.
    missing = f" or absent({up})" if part is Part.GATEWAY else ""
    return AlertRule(
        alert=alert,
        expr=f"{up} == 0{missing}",
        pending_s=patience.down_s,
        labels={"severity": severity, "component": part.value},
        summary=f"The {part.value} does not answer",
        description=meaning,
    )


def _provider_disconnected(timing: Timing, patience: Patience) -> AlertRule:
    window = prometheus_duration(timing.window_s)
    return AlertRule(
        alert="ProviderDisconnected",
        expr=f"max_over_time({catalogue.PROVIDER_CONNECTED.name}[{window}]) == 0",
        pending_s=patience.disconnected_s,
        labels={"severity": "critical", "component": Part.GATEWAY.value},
        summary="Gateway {{ $labels.instance }} hears nothing from the provider",
        description=(
            "It calls the replicas it last knew of and cannot wake a function. "
            "See whether the provider runs and whether the gateway's provider URL and password are right."
        ),
    )


def _idler_not_sweeping(patience: Patience) -> AlertRule:
    return AlertRule(
        alert="IdlerNotSweeping",
        expr=f"time() - max(last_over_time({catalogue.LAST_SWEEP.name}[1h])) > {patience.no_sweep_s:g}",
        pending_s=patience.settling_s,
        labels={"severity": "warning", "component": Part.IDLER.value},
        summary="The idler has not finished a sweep for too long",
        description="Idle functions are not taken to zero. Look at the log of the idler, then at the provider it asks.",
    )


def _idler_source_failing(patience: Patience) -> AlertRule:
    return AlertRule(
        alert="IdlerSourceFailing",
        expr=f"sum by (signal) (rate({catalogue.SOURCE_FAILURES.name}[5m])) > 0",
        pending_s=patience.failing_s,
        labels={"severity": "warning", "component": Part.IDLER.value},
        summary="The idler cannot measure {{ $labels.signal }}",
        description="It holds every function until it can. See whether Prometheus runs and scrapes the gateway.",
    )


def _alert_receiver_failing(patience: Patience) -> AlertRule:
    return AlertRule(
        alert="AlertReceiverFailing",
        expr=f'sum(rate({catalogue.WEBHOOKS.name}{{code=~"5.."}}[5m])) > 0',
        pending_s=patience.failing_s,
        labels={"severity": "critical", "component": Part.ALERT_RECEIVER.value},
        summary="The alert receiver cannot read or write replicas",
        description="Functions do not follow their load. See whether the provider runs; the log names the cause.",
    )


def _function_not_ready(timing: Timing, patience: Patience) -> AlertRule:
    window = prometheus_duration(timing.window_s)
    ready = f"max by (function_name) (max_over_time({catalogue.READY.name}[{window}]))"
    wanted = f"max by (function_name) (min_over_time({catalogue.DESIRED.name}[{window}]))"
    return AlertRule(
        alert="FunctionNotReady",
        expr=f"{ready} < {wanted}",
        pending_s=patience.not_ready_s,
        labels={"severity": "warning", "component": Part.PROVIDER.value},
        summary="{{ $labels.function_name }} has fewer ready replicas than wanted",
        description="Its replicas do not start or keep dying. Look at its log and its memory and CPU limits.",
    )
