"""When a function is up."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """Of a pause, or of time: ``since <= at < until``. ``until`` may be infinite: for as long as nobody calls."""

    since: float
    until: float
