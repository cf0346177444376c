"""Durations and switches, as people write them in a function's environment and in ``X-Timeout``.

``runtime`` reads the same forms. They are repeated here on purpose: the watchdog imports nothing of the suite, so that
it can run in a function's own interpreter.
"""

from __future__ import annotations

import re

_UNIT_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")
_PLAIN = re.compile(r"[0-9]+(?:\.[0-9]+)?")
MAX_DURATION_S = 2.0**63 / 1e9
"""292 years, the longest that Go has; beyond it clocks run over."""
_SWITCH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def parse_duration_s(text: str) -> float:
    """Seconds: a Go duration (``1m30s``, ``250ms``) or a plain number of seconds. Raises ValueError."""
    text = text.strip()
    if _PLAIN.fullmatch(text):
        return _bounded(float(text), text)
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not a duration; write seconds (90) or a Go duration (1m30s, 250ms)")
    return _bounded(sum(float(amount) * _UNIT_S[unit] for amount, unit in _PART.findall(text)), text)


def _bounded(seconds: float, text: str) -> float:
    if seconds >= MAX_DURATION_S:
        raise ValueError(f"{text[:40]!r} is longer than any duration; write less than {MAX_DURATION_S / 3600:.0f}h")
    return seconds


def parse_switch(text: str) -> bool:
    """``true``, ``1``, ``yes``, ``on`` or their opposites. Raises ValueError."""
    known = text.strip().lower()
    if known not in _SWITCH:
        raise ValueError(f"{text[:40]!r} is neither true nor false")
    return _SWITCH[known]
