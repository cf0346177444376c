"""``GET /system/usage``: the processor time of every function, as its provider knows it, and its memory.

``{"at": 1764000000.5, "functions": {"name.namespace": {"cpu_seconds": 12.5, "since": 1763990000.0, "memory_bytes":
50331648.0}}}``. A provider that is told of rates only, as Kubernetes is by its metrics server, has
``{"cpu_millicores": 500.0, "at": 1763999970.0}`` for a function, and ``{"why": "…"}`` for one whose use is not known.
The memory is that of all its replicas, and is left out where one of them was not measured. All instants are of the
provider's clock.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
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
    memory_bytes: Mapping[FunctionRef, float] = field(default_factory=dict)
    """Of those of which it is known."""


def to_json(uses: ProcessorUses) -> dict[str, Any]:
    told = {str(ref): _use_to_json(use) for ref, use in uses.functions.items()}
    for ref, size in uses.memory_bytes.items():
        if str(ref) in told:
            told[str(ref)]["memory_bytes"] = size
    return {"at": uses.at, "functions": told}


def from_json(value: Any) -> ProcessorUses:
    """Raises Unavailable for what is not such an answer. One function's nonsense is NoData for that function."""
    try:
        at, functions = _number(value["at"]), dict(value["functions"])
    except (KeyError, TypeError, ValueError) as error:
        raise Unavailable(f"provider: not an answer to {PATH}: {str(value)[:200]}") from error
    by_ref = {FunctionRef.parse(name): use for name, use in functions.items()}
    sizes = {ref: size for ref, use in by_ref.items() if (size := _memory(use)) is not None}
    return ProcessorUses(Instant(at), {ref: _use(use) for ref, use in by_ref.items()}, sizes)


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


def _memory(use: Any) -> float | None:
    try:
        return _number(use["memory_bytes"])
    except (KeyError, TypeError, ValueError):
        return None


def _number(value: Any) -> float:
    """Zero or more. Raises TypeError or ValueError for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"not a number: {value!r}")
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"not a measurement: {value!r}")
    return float(value)
