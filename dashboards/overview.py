"""The dashboard "Springtide overview": what each function does, how many replicas it has, and why."""

from __future__ import annotations

from dashboards.model import Dashboard, Panel, Query, Style, Threshold, Variable
from scaler.core import catalogue

CHOSEN = 'function_name=~"$function",function_name=~".+[.]($namespace)"'
"""Functions chosen above the panels. The label holds ``name.namespace``."""

NAMESPACE = Variable(
    name="namespace",
    label="Namespace",
    selector=catalogue.DESIRED.name,
    of="function_name",
    regex=r"/.+\.([^.]+)$/",
    all_value="[^.]+",
)
FUNCTION = Variable(
    name="function",
    label="Function",
    selector=f'{catalogue.DESIRED.name}{{function_name=~".+[.]($namespace)"}}',
    of="function_name",
    all_value=".+",
)
COLD_START_WINDOW = "10m"
"""Cold starts are rare: a shorter window would mostly show nothing."""


def _rate(series: str, by: str, more: str = "") -> str:
    return f"sum by ({by}) (rate({series}{{{CHOSEN}{more}}}[$__rate_interval]))"


def _now(fold: str, series: str) -> str:
    return f"{fold} by (function_name) ({series}{{{CHOSEN}}})"


def _quantile(share: float, histogram: str, window: str, by: str = "function_name") -> str:
    buckets = f"rate({histogram}_bucket{{{CHOSEN}}}[{window}])"
    return f"histogram_quantile({share:g}, sum by ({by}, le) ({buckets}))"


def _numbers() -> tuple[Panel, ...]:
    calls, errors = (
        f"sum(rate({catalogue.INVOCATIONS.name}{{{CHOSEN}{more}}}[$__rate_interval]))" for more in ("", ',code=~"5.."')
    )
    return (
        Panel(
            title="Calls answered",
            description="Calls answered each second, all functions together.",
            unit="reqps",
            queries=(Query(calls, "calls"),),
            style=Style.NUMBER,
        ),
        Panel(
            title="Answered with 5xx",
            description="Share of the calls answered with a status of 500 or more. Empty while nothing is called.",
            unit="percentunit",
            # No series of a 5xx beside calls that are counted is a true zero; without calls there is no share.
            queries=(Query(f"({errors} or vector(0)) / ({calls} > 0)", "5xx"),),
            style=Style.NUMBER,
            thresholds=(Threshold(None, "green"), Threshold(0.01, "orange"), Threshold(0.05, "red")),
        ),
        Panel(
            title="Replicas ready",
            description="Replicas that answer, all functions together.",
            unit="short",
            queries=(Query(f"sum({_now('max', catalogue.READY.name)})", "ready"),),
            style=Style.NUMBER,
            decimals=0,
        ),
        Panel(
            title="Callers held",
            description="Callers who wait for a function to wake, or for one of its busy replicas.",
            unit="short",
            queries=(Query(f"sum({_now('sum', catalogue.HELD.name)})", "held"),),
            style=Style.NUMBER,
            decimals=0,
            thresholds=(Threshold(None, "green"), Threshold(1, "orange")),
        ),
    )


def _load() -> tuple[Panel, ...]:
    return (
        Panel(
            title="Calls per second by status",
            description="Calls answered each second. The alert APIHighInvocationRate counts calls begun.",
            unit="reqps",
            queries=(Query(_rate(catalogue.INVOCATIONS.name, "function_name, code"), "{{function_name}} {{code}}"),),
        ),
        Panel(
            title="Replicas wanted and ready",
            description="A gap that lasts means replicas that do not start or keep dying.",
            unit="short",
            queries=(
                Query(_now("max", catalogue.DESIRED.name), "{{function_name}} wanted"),
                Query(_now("max", catalogue.READY.name), "{{function_name}} ready"),
            ),
            style=Style.STEPS,
            decimals=0,
        ),
        Panel(
            title="Calls in flight and held",
            description="Calls begun and not yet answered, and those of them that wait for a replica.",
            unit="short",
            queries=(
                Query(_now("sum", catalogue.IN_FLIGHT.name), "{{function_name}} in flight"),
                Query(_now("sum", catalogue.HELD.name), "{{function_name}} held"),
            ),
            decimals=0,
        ),
    )


def _duration() -> tuple[Panel, ...]:
    seconds, cold = catalogue.SECONDS.name, catalogue.COLD_START.name
    mean = f"{_rate(f'{seconds}_sum', 'function_name')} / ({_rate(f'{seconds}_count', 'function_name')} > 0)"
    return (
        Panel(
            title="Duration, mean and 95th percentile",
            description="From a call's arrival to the end of its answer, time held for a cold start included.",
            unit="s",
            queries=(
                Query(mean, "{{function_name}} mean"),
                Query(_quantile(0.95, seconds, "$__rate_interval"), "{{function_name}} p95"),
            ),
        ),
        Panel(
            title="Cold starts, 95th percentile",
            description=f"How long calls were held until a replica was ready, over {COLD_START_WINDOW}. "
            "Empty while no function wakes.",
            unit="s",
            queries=(Query(_quantile(0.95, cold, COLD_START_WINDOW), "{{function_name}}"),),
        ),
        Panel(
            title="Cold starts by part, 95th percentile",
            description=f"What cold starts wait for, over {COLD_START_WINDOW}, functions chosen together. Decided: the "
            "gateway; accepted: the provider; ready: the replica's start; first_byte: the function's own answer.",
            unit="s",
            queries=(Query(_quantile(0.95, catalogue.COLD_START_PART.name, COLD_START_WINDOW, "part"), "{{part}}"),),
        ),
    )


def _scaling() -> tuple[Panel, ...]:
    decisions = f"sum by (writer, reason) (increase({catalogue.DECISIONS.name}[$__interval]))"
    return (
        Panel(
            title="Decisions by reason",
            description="What alert receiver, idler and gateway decided about replicas, holds included; all functions.",
            unit="short",
            queries=(Query(decisions, "{{writer}}: {{reason}}"),),
            style=Style.BARS,
        ),
        Panel(
            title="Calls refused by the gateway",
            description="Calls the gateway answered itself: unknown function, failed cold start, "
            "no room at its replicas.",
            unit="reqps",
            queries=(Query(_rate(catalogue.REFUSED.name, "function_name, reason"), "{{function_name}} {{reason}}"),),
        ),
    )


OVERVIEW = Dashboard(
    uid="springtide-overview",
    title="Springtide overview",
    description="Load, replicas, cold starts and scaling decisions of OpenFaaS-compatible functions.",
    variables=(NAMESPACE, FUNCTION),
    panels=(*_numbers(), *_load(), *_duration(), *_scaling()),
)
