"""How much counters grew, the first count included.

``increase`` sees a series only from its second sample on. Many of ours begin with what they count: a status, a reason,
a function. Ten calls that fail between two scrapes and never again would be no increase at all.
"""

from __future__ import annotations

from springtide.rules.timing import prometheus_duration
from springtide.scaler.core.catalogue import Part


def increase(selector: str, window_s: float, *, part: Part) -> str:
    """What each series of ``part`` grew by in the window; one that began in it, from 0.

    A series is new when the window before did not have it and some good scrape of this one did not bring it yet. So
    neither a lost scrape nor a Prometheus that has just started makes an old count look new.
    """
    window = prometheus_duration(window_s)
    scrapes = f'sum_over_time(up{{job="{part}"}}[{window}])'
    later = f"count_over_time({selector}[{window}]) < on (job, instance) group_left () {scrapes}"
    known = f"present_over_time({selector}[{window}] offset {window})"
    return f"((last_over_time({selector}[{window}]) and ({later}) unless {known}) or increase({selector}[{window}]))"
