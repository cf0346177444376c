"""Alerts about events: sources that are away, events that the gateway does not take, and those that fail."""

from __future__ import annotations

from springtide.rules.counters import increase
from springtide.rules.model import AlertRule, Group
from springtide.rules.part_alerts import RECENT_S
from springtide.rules.thresholds import Thresholds
from springtide.rules.timing import Timing, prometheus_duration
from springtide.scaler.core import catalogue
from springtide.scaler.core.catalogue import Part

FAILING_S = 900.0
"""Over which events are counted that failed: they may be rare."""

COMPONENT = {"component": Part.CONNECTOR.value}


def event_group(timing: Timing, thresholds: Thresholds) -> Group:
    rules = (_source_away(timing, thresholds), _stuck(timing, thresholds), _failing(thresholds))
    return Group("springtide-events", max(timing.evaluation_s, timing.parts_scrape_s), rules)


def _source_away(timing: Timing, thresholds: Thresholds) -> AlertRule:
    """Of several copies one may have a source to itself, and then the others stand by."""
    window = prometheus_duration(timing.known_for_s)
    return AlertRule(
        alert="EventSourceAway",
        expr=f"max by (source) (max_over_time({catalogue.EVENT_SOURCE_CONNECTED.name}[{window}])) == 0",
        pending_s=thresholds.source_away_s,
        labels={"severity": "critical", **COMPONENT},
        summary="No connector is connected to the source {{ $labels.source }}",
        description=(
            "What happens there calls no function, and waits there or is lost. The log of the connector says why."
        ),
    )


def _stuck(timing: Timing, thresholds: Thresholds) -> AlertRule:
    """A function that runs for long is no reason: its call is not repeated."""
    window = prometheus_duration(max(RECENT_S, timing.known_for_s))
    retried = f"sum by (source) (increase({catalogue.EVENT_RETRIES.name}[{window}])) > 0"
    ended = f"sum by (source) (increase({catalogue.EVENTS.name}[{window}])) > 0"
    return AlertRule(
        alert="EventsNotTaken",
        expr=f"{retried} unless {ended}",
        pending_s=thresholds.not_taken_s,
        labels={"severity": "critical", **COMPONENT},
        summary="The gateway takes no event of the source {{ $labels.source }}",
        description=(
            "They are tried again, and no more are read meanwhile. The log of the connector says what the gateway "
            "answers."
        ),
    )


def _failing(thresholds: Thresholds) -> AlertRule:
    lost = f'{catalogue.EVENT_CALLS.name}{{outcome=~"failed|refused"}}'
    grown = increase(lost, FAILING_S, part=Part.CONNECTOR)
    return AlertRule(
        alert="EventsFailing",
        expr=f"sum by (function_name) ({grown}) > {thresholds.failed_events:g}",
        pending_s=thresholds.failing_s,
        labels={"severity": "warning", **COMPONENT},
        summary="Events for {{ $labels.function_name }} fail or are refused",
        description=(
            "It answers them with errors, or the gateway will never take them; either way their source does not give "
            "them again. /events of the connector says why."
        ),
    )
