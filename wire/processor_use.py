"""``GET /system/usage``: the processor time of every function, as its provider knows it.

``{"at": 1764000000.5, "functions": {"name.namespace": {"cpu_seconds": 12.5, "since": 1763990000.0}}}``. A provider that
is told of rates only, as Kubernetes is by its metrics server, has ``{"cpu_millicores": 500.0, "at": 1763999970.0}`` for
a function, and ``{"why": "…"}`` for one whose use is not known. All instants are of the provider's clock.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from springtide.runtime.errors import Unavailable
from springtide.scaler.core.vocabulary import FunctionRef, Instant, NoData

PATH = "/system/usage"
MAX_WHY_CHARS = 300


@dataclass(frozen=True, slots=True)
class CpuTotal:
    """Processor seconds of a function, of all replicas it ever had ``since`` counting began; it only grows."""

    seconds: float
    since: Instant


@dataclass(frozen=True, slots=True)
class CpuRate:
    """Milli-cores that a function used, over a time that ended ``at`` an instant."""

    millicores: float
    at: Instant


ProcessorUse = CpuTotal | CpuRate | NoData


@dataclass(frozen=True, slots=True)
class ProcessorUses:
    """By function, and when the provider said so."""

    at: Instant
    functions: Mapping[FunctionRef, ProcessorUse]


def to_json(uses: ProcessorUses) -> dict[str, Any]:
    return {"at": uses.at, "functions": {str(ref): _use_to_json(use) for ref, use in uses.functions.items()}}


def from_json(value: Any) -> ProcessorUses:
    """Raises Unavailable for what is not such an answer. One function's nonsense is NoData for that function."""
    try:
        at, functions = _number(value["at"]), dict(value["functions"])
    except (KeyError, TypeError, ValueError) as error:
        raise Unavailable(f"provider: not an answer to {PATH}: {str(value)[:200]}") from error
    return ProcessorUses(Instant(at), {FunctionRef.parse(name): _use(use) for name, use in functions.items()})


def _use_to_json(use: ProcessorUse) -> dict[str, Any]:
    match use:
        case CpuTotal(seconds, since):
            return {"cpu_seconds": round(seconds, 6), "since": since}
        case CpuRate(millicores, at):
            return {"cpu_millicores": round(millicores, 6), "at": at}
        case NoData(why):
            return {"why": why}


def _use(value: Any) -> ProcessorUse:
    try:
        if "why" in value:
            return NoData(str(value["why"])[:MAX_WHY_CHARS])
        if "cpu_seconds" in value:
            return CpuTotal(_number(value["cpu_seconds"]), Instant(_number(value.get("since", 0.0))))
        return CpuRate(_number(value["cpu_millicores"]), Instant(_number(value["at"])))
    except (KeyError, TypeError, ValueError):
        return NoData(f"the provider's answer makes no sense: {str(value)[:100]}")


def _number(value: Any) -> float:
    """Zero or more. Raises TypeError or ValueError for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"not a number: {value!r}")
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"not a measurement: {value!r}")
    return float(value)
