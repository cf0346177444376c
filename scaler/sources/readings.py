"""Numbers as the sources receive them, and the rules by which they become a Sample or NoData."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from springtide.scaler.core.idle import Activity
from springtide.scaler.core.vocabulary import FunctionRef, Instant, NoData, Sample

MAX_REASON_CHARS = 300
"""A reason is shown to people and kept per function; an error page is not."""

MISSING = NoData("not in the result")


def unknown(why: str) -> Activity:
    """Nothing is known of a function, for one reason."""
    nothing = NoData(why[:MAX_REASON_CHARS])
    return Activity(nothing, nothing)


def unknown_all(refs: Sequence[FunctionRef], why: str) -> dict[FunctionRef, Activity]:
    return dict.fromkeys(refs, unknown(why))


def in_flight(value: float | None, at: float | None) -> Sample | NoData:
    """Calls in flight. NaN and infinities are not numbers of calls."""
    return _sample(value, at)


def last_active(value: float | None, at: float | None) -> Sample | NoData:
    """An instant; zero or below is a gauge that was never set, not a call in 1970."""
    sample = _sample(value, at)
    if isinstance(sample, Sample) and sample.value <= 0:
        return NoData(f"the gateway never set it ({sample.value:g})")
    return sample


def activities(
    refs: Sequence[FunctionRef], in_flights: Mapping[str, Sample | NoData], last_actives: Mapping[str, Sample | NoData]
) -> dict[FunctionRef, Activity]:
    """By metric label (``name.namespace``) to by function; what is not there is NoData."""
    return {ref: Activity(in_flights.get(str(ref), MISSING), last_actives.get(str(ref), MISSING)) for ref in refs}


def _sample(value: float | None, at: float | None) -> Sample | NoData:
    if value is None:
        return MISSING
    if at is None or not math.isfinite(at):
        return NoData("the time of the measurement is missing")
    if not math.isfinite(value):
        return NoData(f"the value is not a number ({value})")
    return Sample(value, Instant(at))
