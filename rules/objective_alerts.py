"""What callers may expect of each function, and alerts when it is spent too fast: errors, and cold starts.

The error budget is what the objective leaves: of 99 %, 1 % of the calls. An alert looks at two windows. The long one
says that enough of the budget is gone to matter, the short one that it is still going, so the alert ends soon after
the errors do.

Long windows are made of recorded five minutes, not of raw counters: six hours of raw samples of a thousand functions,
read again every half minute, would be most of what Prometheus does.
"""

from __future__ import annotations

from dataclasses import dataclass

from springtide.rules.counters import increase
from springtide.rules.model import AlertRule, Group, RecordingRule
from springtide.rules.thresholds import Thresholds
from springtide.scaler.core import catalogue
from springtide.scaler.core.catalogue import Part

EVERY_S = 30.0
STEP_S = 300.0
"""The window that is recorded; longer ones are made of it."""

CALLS = "function_name:gateway_function_calls:rate5m"
FAILED = "function_name:gateway_function_failed_calls:rate5m"
COLD_STARTS = "function_name_le:gateway_cold_start_seconds_bucket:rate5m"

COLD_START_WINDOW = "1h"
"""Cold starts are rare: a shorter window would mostly show nothing."""

_BY_FUNCTION = ("function_name",)


@dataclass(frozen=True, slots=True)
class _Window:
    text: str
    seconds: float

    @property
    def ratio(self) -> str:
        """The recorded share of calls that failed in it."""
        return f"function_name:gateway_function_errors:ratio{self.text}"


_FIVE_MINUTES, _HALF_HOUR = _Window("5m", 300), _Window("30m", 1800)
_HOUR, _SIX_HOURS = _Window("1h", 3600), _Window("6h", 21600)


def objective_group(thresholds: Thresholds) -> Group:
    ratios = (_ratio(window) for window in (_FIVE_MINUTES, _HALF_HOUR, _HOUR, _SIX_HOURS))
    rules: tuple[RecordingRule | AlertRule, ...] = (
        _calls(),
        _failed(),
        *ratios,
        _burn_fast(thresholds),
        _burn_slow(thresholds),
        _cold_starts(),
        _cold_starts_slow(thresholds),
    )
    return Group("springtide-objectives", EVERY_S, rules)


def _calls() -> RecordingRule:
    calls = increase(catalogue.INVOCATIONS.name, STEP_S, part=Part.GATEWAY)
    return RecordingRule(CALLS, f"sum by (function_name) ({calls}) / {STEP_S:g}", _BY_FUNCTION)


def _failed() -> RecordingRule:
    """Zero where calls are counted and none failed: that is known, and a ratio needs it."""
    failed = increase(f'{catalogue.INVOCATIONS.name}{{code=~"5.."}}', STEP_S, part=Part.GATEWAY)
    expr = f"sum by (function_name) ({failed}) / {STEP_S:g}\nor 0 * {CALLS}\n"
    return RecordingRule(FAILED, expr, _BY_FUNCTION)


def _ratio(window: _Window) -> RecordingRule:
    if window is _FIVE_MINUTES:
        return RecordingRule(window.ratio, f"{FAILED} / ({CALLS} > 0)", _BY_FUNCTION)
    failed, calls = (f"sum_over_time({series}[{window.text}])" for series in (FAILED, CALLS))
    return RecordingRule(window.ratio, f"{failed} / ({calls} > 0)", _BY_FUNCTION)


def _burning(long: _Window, short: _Window, pace: float, thresholds: Thresholds) -> str:
    """Both windows above ``pace`` times the budget, and enough failed calls for a ratio to mean something."""
    most = f"{pace * (1 - thresholds.objective):.6g}"
    count = f"sum_over_time({FAILED}[{long.text}]) * {EVERY_S:g} >= {thresholds.least_failed:g}"
    return f"{long.ratio} > {most} and {short.ratio} > {most} and {count}"


def _burn_fast(thresholds: Thresholds) -> AlertRule:
    return AlertRule(
        alert="ErrorBudgetBurnsFast",
        expr=_burning(_HOUR, _FIVE_MINUTES, thresholds.burn_fast, thresholds),
        labels={"severity": "critical"},
        summary="{{ $labels.function_name }} answers {{ $value | humanizePercentage }} of its calls with 5xx",
        description="At this pace a month's error budget is gone in two days. Look at its log, and what changed last.",
    )


def _burn_slow(thresholds: Thresholds) -> AlertRule:
    return AlertRule(
        alert="ErrorBudgetBurnsSlowly",
        expr=_burning(_SIX_HOURS, _HALF_HOUR, thresholds.burn_slow, thresholds),
        labels={"severity": "warning"},
        summary="For hours {{ $labels.function_name }} answers {{ $value | humanizePercentage }} of its calls with 5xx",
        description="At this pace a month's error budget is gone in five days. Look at its log when there is time.",
    )


def _cold_starts() -> RecordingRule:
    buckets = f"{catalogue.COLD_START.name}_bucket"
    expr = f"sum by (function_name, le) (rate({buckets}[5m]))"
    return RecordingRule(COLD_STARTS, expr, ("function_name", "le"))


def _cold_starts_slow(thresholds: Thresholds) -> AlertRule:
    quantile = f"histogram_quantile(0.95, sum_over_time({COLD_STARTS}[{COLD_START_WINDOW}]))"
    calls = f'sum by (function_name) (sum_over_time({COLD_STARTS}{{le="+Inf"}}[{COLD_START_WINDOW}])) * {EVERY_S:g}'
    return AlertRule(
        alert="ColdStartsSlow",
        expr=f"{quantile} > {thresholds.cold_start_p95_s:g}\nand {calls} >= {thresholds.least_cold_starts:g}\n",
        labels={"severity": "warning", "component": Part.GATEWAY.value},
        summary="Callers of {{ $labels.function_name }} wait {{ $value | humanizeDuration }} for it to wake (p95)",
        description="Its cold starts by part say where the time goes; a minimum of one replica avoids them.",
    )
