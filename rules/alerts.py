"""The scaling alerts: which load makes a function climb a step, and what keeps it climbing.

A scaling alert has only two states. While it fires, each repeat is a step up; once resolved, the receiver steps down.
So an expression must neither flap at its threshold nor end because a measurement is missing:

* It starts above the threshold and ends a little below it: at the value the threshold itself would show with the
  newest scrape of the window lost.
* While more than one scrape of the window is missing from every gateway, a firing alert goes on firing and a silent one
  stays silent: what is not measured is no reason to take replicas away. ``ALERTS`` is Prometheus's own memory of what
  fired at the last evaluation, also across a restart of Prometheus.
"""

from __future__ import annotations

from springtide.rules.model import AlertRule, Group, RecordingRule
from springtide.rules.thresholds import Thresholds as Thresholds  # noqa: PLC0414 - dashboards draw the line where the rules do
from springtide.rules.timing import Timing, prometheus_duration
from springtide.scaler.core import catalogue, targets
from springtide.scaler.core.alert_review import SCALING_LABELS as SCALING_LABELS  # noqa: PLC0414 - the rules' own labels
from springtide.scaler.core.catalogue import Part

HIGH_RATE = "APIHighInvocationRate"
PILING_UP = "FunctionCallsPilingUp"

CALLS_STARTED = "function_name:gateway_function_invocation_started:rate"
GOOD_SCRAPES = "gateway:good_scrapes:max"
CARRIED = "function_name:calls_carried:max"
"""Calls in flight that a function's minimum of replicas carries."""

_LOAD = '{{ $value | printf "%.1f" }}'
_AT = ', at {{ with query "time()" }}{{ . | first | value | printf "%.3f" }}{{ end }}'


def scaling_group(timing: Timing, thresholds: Thresholds | None = None) -> Group:
    """Recordings first: an evaluation goes through a group in order, so the alerts see values of the same instant."""
    thresholds = thresholds or Thresholds()
    rules = (
        _good_scrapes(timing),
        _calls_started(timing),
        _carried(timing, thresholds),
        _high_rate(timing, thresholds),
        _piling_up(timing),
    )
    return Group("springtide-scaling", timing.evaluation_s, rules)


def _good_scrapes(timing: Timing) -> RecordingRule:
    window = prometheus_duration(timing.window_s)
    return RecordingRule(GOOD_SCRAPES, f'max(sum_over_time(up{{job="{Part.GATEWAY}"}}[{window}])) or vector(0)')


def _calls_started(timing: Timing) -> RecordingRule:
    """Calls begun, whatever their status.

    OpenFaaS counts calls that *ended* with 200: functions that answer 201, 204 or an error never scale, neither do
    calls that take long, and callers held for a cold start are not load. Here all of them are.
    """
    window = prometheus_duration(timing.window_s)
    expr = f"sum by (function_name) (rate({catalogue.STARTED.name}[{window}]))"
    return RecordingRule(CALLS_STARTED, expr, ("function_name",))


def _carried(timing: Timing, thresholds: Thresholds) -> RecordingRule:
    """Per replica ``calls_in_flight``, or the function's own target where the gateway gives no replica more calls."""
    window = prometheus_duration(timing.window_s)
    least = f"max by (function_name) (max_over_time({catalogue.MIN_REPLICAS.name}[{window}]))"
    target = f"{catalogue.TARGET_LOAD.name}{{{_limited_types()}}}"
    own = f"max by (function_name) (max_over_time({target}[{window}]))"
    each = f"({own} or {thresholds.calls_in_flight:g} * ({least} >= bool 0))"
    return RecordingRule(CARRIED, f"clamp_min({least}, 1) * on (function_name) {each}", ("function_name",))


def _limited_types() -> str:
    """The scaling types whose target is also the most calls that a replica is given, as a matcher."""
    names = targets.names_with_in_flight_limit()
    return f'scaling_type="{names[0]}"' if len(names) == 1 else f'scaling_type=~"{"|".join(names)}"'


def _high_rate(timing: Timing, thresholds: Thresholds) -> AlertRule:
    enough = timing.scrapes_in_window - 1
    lower = thresholds.calls_per_s * enough / timing.scrapes_in_window
    return AlertRule(
        alert=HIGH_RATE,
        expr=_kept(
            HIGH_RATE,
            begins=f"{CALLS_STARTED} > {thresholds.calls_per_s:g}",
            stays=f"{CALLS_STARTED} > {lower:g}",
            enough_scrapes=enough,
        ),
        pending_s=timing.pending_s,
        labels=SCALING_LABELS,
        summary="High invocation total on {{ $labels.function_name }}",
        description="High invocation total on {{ $labels.function_name }}",
        load=f"{_LOAD} calls/s, above {thresholds.calls_per_s:g}{_AT}",
    )


def _piling_up(timing: Timing) -> AlertRule:
    """Callers of a slow function pile up although few calls begin.

    Measured against the function's minimum, not against its present replicas: those grow with every step, and the
    alert would end, step down and fire again for as long as the load lasts. It begins when every scrape of the window
    saw the callers, so a burst that is soon served is no reason, and ends when none did. A function that had no ready
    replica at some time in the window is waking; its callers wait for that, not for more replicas. Silent where the
    rate alert fires, so that a function never climbs at twice the pace.
    """
    window = prometheus_duration(timing.window_s)

    def loaded(fold: str) -> str:
        load = f"sum by (function_name) ({fold}({catalogue.IN_FLIGHT.name}[{window}]))"
        return f"{load} > on (function_name) {CARRIED}"

    awake = f"max by (function_name) (min_over_time({catalogue.READY.name}[{window}])) > 0"
    kept = _kept(
        PILING_UP,
        begins=f"({loaded('min_over_time')} and on (function_name) {awake})",
        stays=loaded("max_over_time"),
        enough_scrapes=timing.scrapes_in_window - 1,
    )
    carried = f'{{{{ with printf "{CARRIED}{{function_name=%q}}" $labels.function_name | query }}}}'
    above = f'{carried}, above {{{{ . | first | value | printf "%g" }}}}{{{{ end }}}}'
    return AlertRule(
        alert=PILING_UP,
        expr=f"(\n{kept})\nunless on (function_name) {_firing(HIGH_RATE)}\n",
        pending_s=timing.pending_s,
        labels=SCALING_LABELS,
        summary="Calls pile up on {{ $labels.function_name }}",
        description="More calls of {{ $labels.function_name }} are in flight than its fewest replicas carry",
        load=f"{_LOAD} calls in flight{above}{_AT}",
    )


def _kept(alert: str, *, begins: str, stays: str, enough_scrapes: int) -> str:
    """``begins``, or already firing and either ``stays`` or too few scrapes to tell.

    The result is by function_name alone: an alert whose labels change is another alert. Where nothing is measured its
    value is not a number, rather than the 1 that ``ALERTS`` is.
    """
    firing = _firing(alert)
    return (
        f"{begins}\n"
        f"or ({stays} and on (function_name) {firing})\n"
        f"or (max by (function_name) ({firing}) * NaN and on () {GOOD_SCRAPES} < {enough_scrapes})\n"
    )


def _firing(alert: str) -> str:
    return f'ALERTS{{alertname="{alert}",alertstate="firing"}}'
