"""PromQL over the catalogue's metrics, for the functions chosen above the panels."""

from __future__ import annotations

from springtide.rules.alerts import HIGH_RATE, PILING_UP
from springtide.scaler.core import catalogue
from springtide.scaler.core.catalogue import Metric
from springtide.scaler.core.vocabulary import GROUPS, Reason

IN_NAMESPACES = 'function_name=~".+[.]($namespace)"'
"""The label holds ``name.namespace``."""

CHOSEN = f'function_name=~"$function",{IN_NAMESPACES}'

SCALING_ALERT = f'alertname=~"{HIGH_RATE}|{PILING_UP}",{CHOSEN}'

CHANGES = "|".join(GROUPS["The count changes"])
"""Reasons of decisions that change a count; all others are holds."""

BLIND = "|".join((Reason.NO_DATA, Reason.STALE_DATA, Reason.PARTIAL_DATA, Reason.SOURCE_RESTARTED, Reason.AGE_UNKNOWN))
UNDONE = "|".join((Reason.LOST_RACE, Reason.WRITE_FAILED))

RARE = "10m"
"""Cold starts are rare: a shorter window would mostly show nothing."""

SKEW = "15s"
"""The parts are scraped one after the other: longer than between any two scrapes of ours."""


def rate(series: str, by: str, more: str = "") -> str:
    """Per second, of the chosen functions."""
    return f"sum by ({by}) (rate({series}{{{CHOSEN}{more}}}[$__rate_interval]))"


def total_rate(series: str, more: str = "") -> str:
    return f"sum(rate({series}{{{CHOSEN}{more}}}[$__rate_interval]))"


def now(fold: str, metric: Metric, *, offset: str = "") -> str:
    """``max`` of what every gateway knows, ``sum`` of what each counts for itself."""
    earlier = f" offset {offset}" if offset else ""
    return f"{fold} by (function_name) ({metric.name}{{{CHOSEN}}}{earlier})"


def minimum(metric: Metric, window: str) -> str:
    """The lowest value since ``window`` ago, of what every gateway knows."""
    return f"max by (function_name) (min_over_time({metric.name}{{{CHOSEN}}}[{window}]))"


def quantile(share: float, metric: Metric, by: str = "function_name") -> str:
    """Of what happens all the time. ``by`` may be empty: all together."""
    return f"histogram_quantile({share:g}, {rate(f'{metric.name}_bucket', _with_le(by))})"


def rare_quantile(share: float, metric: Metric, window: str, by: str = "", labels: str = CHOSEN) -> str:
    """Of what happens now and then: each event of the window counts, also the first one."""
    return f"histogram_quantile({share:g}, {grown(f'{metric.name}_bucket', window, by=_with_le(by), labels=labels)})"


def rare_mean(metric: Metric, window: str, by: str) -> str:
    sums, counts = (grown(f"{metric.name}_{part}", window, by=by) for part in ("sum", "count"))
    return f"{sums} / ({counts} > 0)"


def grown(series: str, window: str, *, by: str, labels: str = CHOSEN) -> str:
    """By how much counters grew in a window, exactly, where ``increase`` estimates and misses a series' first value.

    A counter that began anew in the window counts as 0.
    """
    selected = f"{series}{{{labels}}}"
    return _growth(selected, f"{selected} offset {window}", by)


def grown_about(series: str, *, by: str, labels: str) -> str:
    """By how much counters grew about the time since the point before: from ``SKEW`` before it to ``SKEW`` from now.

    It is for what one part saw at one scrape and another counted at its own.
    """
    selected = f"{series}{{{labels}}}"
    # Durations are not added in PromQL, but written behind each other: 15s20000ms.
    return _growth(f"{selected} offset -{SKEW}", f"{selected} offset {SKEW}${{__interval_ms}}ms", by)


def counted(series: str, by: str, labels: str) -> str:
    """How often something happened since the point before, in whole numbers."""
    return grown(series, "$__interval", by=by, labels=labels)


def mean(metric: Metric, by: str) -> str:
    return f"{rate(f'{metric.name}_sum', by)} / ({rate(f'{metric.name}_count', by)} > 0)"


def failed_share(by: str = "") -> str:
    """Share of calls answered with 5xx.

    No series of a 5xx beside calls that are counted is a true zero; without calls there is no share.
    """
    series, failed = catalogue.INVOCATIONS.name, ',code=~"5.."'
    if not by:
        return f"({total_rate(series, failed)} or vector(0)) / ({total_rate(series)} > 0)"
    calls = rate(series, by)
    return f"({rate(series, by, failed)} or {calls} * 0) / ({calls} > 0)"


def _growth(now: str, before: str, by: str) -> str:
    each = f"clamp_min({now} - {before}, 0) or {now}"
    return f"sum by ({by}) ({each})" if by else f"sum({each})"


def _with_le(by: str) -> str:
    return f"{by}, le" if by else "le"
