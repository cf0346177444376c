"""What a function may be scaled by: a row for each ``com.openfaas.scale.type``, and one for all names of a user's own.

A row says how ``com.openfaas.scale.target`` is read, who moves the replicas of a running function, how many calls one
replica is given at once, and how the load is measured. Everything else asks the row: alert rules, the autoscaler's
manifest, the gateway, ``explain`` and the console. A new type is a new row.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass

from springtide.scaler.core import label_values
from springtide.scaler.core.vocabulary import Writer

MAX_TYPE_CHARS = 63


class Unit(enum.StrEnum):
    """What a target counts, for each replica."""

    CALLS_PER_SECOND = "calls/s"
    CALLS_IN_FLIGHT = "calls in flight"
    CPU_PERCENT = "% of the requested processor time"
    CPU_MILLICORES = "milli-cores"
    MESSAGES = "messages waiting"
    OWN = "of its own measure"


@dataclass(frozen=True, slots=True)
class LoadTarget:
    """The load that one replica shall carry. ``unit`` is None where it is the usual one of the type."""

    amount: float
    unit: Unit | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetType:
    """One way to scale. ``parse`` raises ValueError that says what to write instead.

    ``owner`` moves the replicas where no control loop runs. ``measured_by`` is where the load is known from then, None
    while nobody measures it; ``followed_by`` is where the control loop knows it from. ``in_flight_limit`` gives the
    most calls for one replica at once, by the target's amount; None for no limit.
    """

    name: str
    unit: Unit
    owner: Writer
    measured_by: str | None
    followed_by: str
    parse: Callable[[str], LoadTarget]
    in_flight_limit: Callable[[float], int] | None = None
    target_used: bool = False
    """Whether the amount of the target decides anything where no control loop owns the function."""


def _amount(text: str) -> LoadTarget:
    return LoadTarget(label_values.positive(text))


def _processor_time(text: str) -> LoadTarget:
    """Percent up to 100, as an HPA has it; milli-cores above, as OpenFaaS has it, and always with an ``m``."""
    value = label_values.positive(text.removesuffix("m"))
    millicores = text.endswith("m") or value > 100
    return LoadTarget(float(math.ceil(value)), Unit.CPU_MILLICORES if millicores else None)


def _at_least_one(amount: float) -> int:
    return max(1, math.floor(amount))


RPS = TargetType(
    name="rps",
    unit=Unit.CALLS_PER_SECOND,
    owner=Writer.ALERT,
    measured_by="the rate of calls begun, by one alert rule for all functions",
    followed_by="calls begun and ended, as the gateways tell each second",
    parse=_amount,
)
CAPACITY = TargetType(
    name="capacity",
    unit=Unit.CALLS_IN_FLIGHT,
    owner=Writer.ALERT,
    measured_by="calls in flight at the gateways, by an alert rule",
    followed_by="calls in flight at the gateways, those that wait included, as they tell each second",
    parse=_amount,
    # Scaling aims below the target, so a function with replicas to spare stays under it; at its maximum, calls wait.
    in_flight_limit=_at_least_one,
    target_used=True,
)
CPU = TargetType(
    name="cpu",
    unit=Unit.CPU_PERCENT,
    owner=Writer.HPA,
    measured_by="the processor time of its pods, by a HorizontalPodAutoscaler",
    followed_by="the processor time of its replicas, in milli-cores",
    parse=_processor_time,
    target_used=True,
)
QUEUE = TargetType(
    name="queue",
    unit=Unit.MESSAGES,
    owner=Writer.ALERT,
    measured_by=None,
    followed_by="the asynchronous calls that wait for the function or run, over all queues",
    parse=_amount,
)
CUSTOM = TargetType(
    name="",
    unit=Unit.OWN,
    owner=Writer.ALERT,
    measured_by=None,
    followed_by="a recording rule of its own, or the PromQL of its annotation",
    parse=_amount,
)
"""A name of the user's own: legal. Alerts of the user's own, or the control loop, know its load."""

KNOWN = (RPS, CAPACITY, CPU, QUEUE)
DEFAULT = RPS


def of(name: str) -> TargetType:
    """The row of a type."""
    return next((row for row in KNOWN if row.name == name), CUSTOM)


def names_with_in_flight_limit() -> tuple[str, ...]:
    return tuple(row.name for row in KNOWN if row.in_flight_limit is not None)


def type_name(text: str) -> str:
    """A known name or one of the user's own. Raises ValueError for what cannot be the name of a type."""
    if not text or len(text) > MAX_TYPE_CHARS or not all(char.isalnum() or char in "-_." for char in text):
        known = ", ".join(row.name for row in KNOWN)
        raise ValueError(f"write one of {known} or the name of a custom scaling type")
    return text
