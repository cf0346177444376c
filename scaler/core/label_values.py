"""How the values of scaling labels are read. Each function raises ValueError that says what to write instead."""

from __future__ import annotations

import math

from springtide.runtime.durations import parse_duration_s

MAX_REPLICAS = 10_000
"""A bound against slips of the finger (``max: 1000000``), not a limit of the product."""

MAX_DOWN_WINDOW_S = 300.0
MAX_COLD_WORTH_S = 7 * 86400.0
"""A cold start that is worth a week of a replica: whoever wants more lets nothing sleep."""
MAX_COLD_WORTH_RARE = 10.0
MAX_DIGITS = 9
MAX_TARGET = 1e9


def count(text: str) -> int:
    value = _whole(text)
    if value > MAX_REPLICAS:
        raise ValueError(f"write at most {MAX_REPLICAS}")
    return value


def percent(text: str) -> int:
    value = _whole(text)
    if value > 100:
        raise ValueError("write a percentage of the maximum, 0 to 100; 0 switches alert scaling off")
    return value


def boolean(text: str) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False, "": False}
    if text.lower() not in known:
        raise ValueError("write true or false")
    return known[text.lower()]


def duration(text: str) -> float:
    """Seconds."""
    seconds = parse_duration_s(text)
    if seconds <= 0:
        raise ValueError("write a duration above zero, such as 30s or 15m")
    return seconds


def down_window(text: str) -> float:
    """Seconds; zero is off."""
    seconds = parse_duration_s(text)
    if seconds > MAX_DOWN_WINDOW_S:
        raise ValueError("write a duration of at most 5m")
    return seconds


def cold_worth(text: str) -> float:
    """Seconds of one replica."""
    seconds = duration(text)
    if seconds > MAX_COLD_WORTH_S:
        raise ValueError("write a duration of at most 168h, such as 15m")
    return seconds


def cold_worth_rare(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= MAX_COLD_WORTH_RARE:
        raise ValueError(f"write a number from 0 to {MAX_COLD_WORTH_RARE:g}, such as 0.8; 0 weighs all calls alike")
    return value


def positive(text: str) -> float:
    value = _number(text)
    if not 0 < value <= MAX_TARGET:
        raise ValueError(f"write a number above zero, at most {MAX_TARGET:.0f}")
    return value


def proportion(text: str) -> float:
    value = _number(text)
    if not 0 < value <= 1:
        raise ValueError("write a fraction above 0 and at most 1, such as 0.9")
    return value


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdecimal():
        raise ValueError("write a whole number, zero or more")
    if len(text.lstrip("0")) > MAX_DIGITS:
        raise ValueError(f"write a number of at most {MAX_DIGITS} digits")
    return int(text)


def _number(text: str) -> float:
    try:
        value = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        raise ValueError("write a number") from None
    if not math.isfinite(value):
        raise ValueError("write a finite number")
    return value
