"""How long one call of a function may take, as the function itself says.

The annotation is meant for the gateway and wins. Then come the watchdog's variables, for whoever moves here has set
those: ``exec_timeout``, at which the watchdog ends a call, and else ``write_timeout``, which says at least that answers
come as late as that. What cannot be read says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from springtide.runtime.durations import parse_duration_s

TIMEOUT = "com.springtide.timeout"
"""Annotation: how long one call may take until its answer begins; 0: as long as the gateway allows at most."""

EXEC_TIMEOUT, WRITE_TIMEOUT = "exec_timeout", "write_timeout"


@dataclass(frozen=True, slots=True)
class CallTimeout:
    """``seconds``, and the annotation or variable that says so. 0 seconds are no limit of the function's own."""

    seconds: float
    source: str


def of_function(annotations: Mapping[str, str], env: Mapping[str, str]) -> CallTimeout | None:
    """None for a function that says nothing of the kind."""
    annotated = _seconds(annotations.get(TIMEOUT, ""))
    if annotated is not None:
        return CallTimeout(annotated, TIMEOUT)
    for name in (EXEC_TIMEOUT, WRITE_TIMEOUT):
        seconds = _seconds(env.get(name, ""))
        if seconds:
            return CallTimeout(seconds, name)
    return None


def problems_of(annotations: Mapping[str, str]) -> tuple[str, ...]:
    """What is wrong with the annotation."""
    try:
        parse_duration_s(annotations.get(TIMEOUT, "0"))
    except ValueError as error:
        return (f"annotation {TIMEOUT}: {error}",)
    return ()


def _seconds(text: str) -> float | None:
    try:
        return parse_duration_s(text) if text.strip() else None
    except ValueError:
        return None
