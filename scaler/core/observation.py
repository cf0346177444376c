"""What the control loop sees of a function's load, each signal by itself: calls, a level, or why it is not known."""

from __future__ import annotations

from dataclasses import dataclass

from springtide.scaler.core.demand import LoadSample
from springtide.scaler.core.vocabulary import Instant, NoData


@dataclass(frozen=True, slots=True)
class Calls:
    """A function's calls over all gateways. ``silent`` are gateways that should be heard and are not.

    What those have is not in the sample, so it may be too small, and never is too large.
    """

    sample: LoadSample
    silent: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Level:
    """A function's whole load ``at`` an instant, in the unit of its target: milli-cores, messages, its own measure."""

    value: float
    at: Instant


Signal = Calls | Level | NoData
