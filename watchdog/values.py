"""Durations and switches, as people write them in a function's environment and in ``X-Timeout``.

``runtime`` reads the same forms. They are repeated here on purpose: the watchdog imports nothing of the suite, so that
it can run in a function's own interpreter.
"""

from __future__ import annotations

import re

_UNIT_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")
_PLAIN = re.compile(r"\d+(?:\.\d+)?")
_SWITCH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def parse_duration_s(text: str) -> float:
    """Seconds: a Go duration (``1m30s``, ``250ms``) or a plain number of seconds. Raises ValueError."""
    text = text.strip()
    if _PLAIN.fullmatch(text):
        return float(text)
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration; write seconds (90) or a Go duration (1m30s, 250ms)")
    return sum(float(amount) * _UNIT_S[unit] for amount, unit in _PART.findall(text))


def parse_switch(text: str) -> bool:
    """``true``, ``1``, ``yes``, ``on`` or their opposites. Raises ValueError."""
    known = text.strip().lower()
    if known not in _SWITCH:
        raise ValueError(f"{text!r} is neither true nor false")
    return _SWITCH[known]
