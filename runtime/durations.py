"""Durations as people write them in OpenFaaS settings and labels: ``90``, ``1m30s``, ``250ms``."""

from __future__ import annotations

import re

_UNIT_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)")
_PLAIN = re.compile(r"[0-9]+(?:\.[0-9]+)?")

MAX_DURATION_S = 2.0**63 / 1e9
"""292 years, the longest that Go has; beyond it clocks and calendars run over."""


def parse_duration_s(text: str) -> float:
    """Seconds in ``text``: a Go duration (``1h2m3.5s``) or a plain number of seconds.

    Raises ValueError naming the text and the accepted forms, or the longest. A sign is not accepted.
    """
    text = text.strip()
    if _PLAIN.fullmatch(text):
        return _bounded(float(text), text)
    total, position = 0.0, 0
    for part in _PART.finditer(text):
        if part.start() != position:
            break
        total += float(part[1]) * _UNIT_S[part[2]]
        position = part.end()
    if not text or position != len(text):
        raise ValueError(f"{text[:40]!r} is not a duration; write seconds (90) or a Go duration (1m30s, 250ms)")
    return _bounded(total, text)


def _bounded(seconds: float, text: str) -> float:
    if seconds >= MAX_DURATION_S:
        raise ValueError(f"{text[:40]!r} is longer than any duration; write less than {MAX_DURATION_S / 3600:.0f}h")
    return seconds


def format_duration(seconds: float) -> str:
    """The shortest Go duration that says the same to the millisecond: ``90.0`` becomes ``1m30s``."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    hours, rest = divmod(round(seconds, 3), 3600)
    minutes, rest = divmod(rest, 60)
    parts = [(int(hours), "h"), (int(minutes), "m")]
    text = "".join(f"{value}{unit}" for value, unit in parts if value)
    if rest or not text:
        text += f"{rest:.3f}".rstrip("0").rstrip(".") + "s"
    return text
