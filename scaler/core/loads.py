"""The loads that the control loop follows for one function: that of its labels first, then those it names beside it.

Each wants replicas of its own, and the highest number wins. The loop's processor time is always in milli-cores: percent
of a request is what an HPA counts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from springtide.scaler.core import policy as labels_of
from springtide.scaler.core import targets
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.targets import TargetType, Unit

ALSO = "com.springtide.scale.also"
"""Annotation: more loads, as ``cpu=500m,rps=50``."""
QUERY = "com.springtide.scale.query"
"""Annotation: the PromQL of a load with a name of the user's own; without it, OpenFaaS's recording rule has it."""

MAX_LOADS = 5
MAX_ALSO_CHARS = 400
MAX_QUERY_CHARS = 1000
MAX_SHOWN = 80
"""Characters of a wrong value that its problem repeats."""


@dataclass(frozen=True, slots=True)
class Load:
    """One load of a function. ``target`` is what one replica shall carry of it, in ``unit``.

    ``name`` is the type's, or the user's own; no two loads of a function have the same. ``query`` is empty where there
    is no PromQL of the user's own.
    """

    type: TargetType
    name: str
    target: float
    unit: Unit
    query: str = ""


def loads_of(labels: Mapping[str, str], annotations: Mapping[str, str]) -> tuple[tuple[Load, ...], tuple[str, ...]]:
    """The loads, and what is wrong with what names them: each with key, value and remedy.

    What is wrong with the labels themselves is ``ScalePolicy.from_labels``'s to say. A load that cannot be read is not
    among the loads, but for one in percent of a request: that is there, in that unit, for no loop to follow.
    """
    problems: list[str] = []
    asked = ScalePolicy.from_labels(labels)[0]
    first = Load(asked.target_type, asked.type, asked.target, asked.unit)
    if first.unit is Unit.CPU_PERCENT:
        problems.append(f"{labels_of.TARGET}={labels.get(labels_of.TARGET, '')!r}: {_NO_PERCENT}")
    loads = [first, *_also(annotations.get(ALSO), first.name, problems)]
    query = annotations.get(QUERY, "").strip()
    if QUERY in annotations:
        problems += _query_problems(query, loads)
    own = next((at for at, load in enumerate(loads) if load.type is targets.CUSTOM), None)
    if own is not None:
        loads[own] = replace(loads[own], query=query[:MAX_QUERY_CHARS])
    return tuple(loads), tuple(problems)


_NO_PERCENT = (
    "a percentage of the requested processor time is what only an HPA scales by; write milli-cores, such as 500m"
)


def _also(text: str | None, first: str, problems: list[str]) -> list[Load]:
    if text is None:
        return []
    if len(text) > MAX_ALSO_CHARS:
        problems.append(f"{_shown(text)}: {len(text)} characters; write at most {MAX_ALSO_CHARS}")
        return []
    found: dict[str, Load] = {}
    for part in text.split(","):
        try:
            load = _load(part, (first, *found))
            found[load.name] = load
        except ValueError as error:
            problems.append(f"{_shown(text)}: {part.strip()[:MAX_SHOWN]!r}: {error}")
    if len(found) >= MAX_LOADS:
        problems.append(f"{_shown(text)}: {len(found) + 1} loads with that of the labels; write at most {MAX_LOADS}")
    return list(found.values())[: MAX_LOADS - 1]


def _load(part: str, known: Collection[str]) -> Load:
    name, equals, amount = (piece.strip() for piece in part.partition("="))
    if not equals:
        raise ValueError("write a type and its target for each replica, such as cpu=500m")
    row = targets.of(targets.type_name(name))
    if name in known:
        raise ValueError(f"{name} is named twice; leave one of them out")
    target = row.parse(amount)
    if (target.unit or row.unit) is Unit.CPU_PERCENT:
        raise ValueError(_NO_PERCENT)
    return Load(row, name, target.amount, target.unit or row.unit)


def _query_problems(query: str, loads: list[Load]) -> list[str]:
    found = []
    if not query:
        found.append("empty; write the PromQL that gives the function's whole load, or leave it out")
    if len(query) > MAX_QUERY_CHARS:
        found.append(f"{len(query)} characters; write at most {MAX_QUERY_CHARS}, or a recording rule and its name")
    own = [load.name for load in loads if load.type is targets.CUSTOM]
    if not own:
        known = ", ".join(row.name for row in targets.KNOWN)
        found.append(f"is for a type of your own, and {labels_of.TYPE} names none ({known} are measured without it)")
    if len(own) > 1:
        found.append(f"is it for {' or '.join(own)}? One query serves one type; give the others a recording rule")
    return [f"{QUERY}={query[:MAX_SHOWN]!r}: {problem}" for problem in found]


def _shown(text: str) -> str:
    return f"{ALSO}={text[:MAX_SHOWN]!r}"
