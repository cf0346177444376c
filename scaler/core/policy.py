"""A function's scaling policy, from its labels. Every problem is reported at once, with key, value and remedy."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from springtide.runtime.durations import parse_duration_s

T = TypeVar("T")

PREFIX = "com.openfaas.scale."
MIN, MAX, FACTOR = PREFIX + "min", PREFIX + "max", PREFIX + "factor"
ZERO, ZERO_DURATION = PREFIX + "zero", PREFIX + "zero-duration"
TYPE, TARGET, PROPORTION = PREFIX + "type", PREFIX + "target", PREFIX + "target-proportion"
DOWN_WINDOW = PREFIX + "down.window"
DOWN = "com.springtide.scale.down"
STEP_INTERVAL = "com.springtide.scale.step-interval"

DEFAULT_MIN, DEFAULT_MAX, DEFAULT_FACTOR = 1, 20, 20
DEFAULT_TARGET = 50.0
MAX_REPLICAS = 10_000
"""A bound against slips of the finger (``max: 1000000``), not a limit of the product."""

CAPACITY = "capacity"
CPU = "cpu"
KNOWN_TYPES = ("rps", CAPACITY, CPU, "queue")


class Down(enum.StrEnum):
    """What a resolved alert does: one step at a time, or straight to the minimum as OpenFaaS does."""

    STEP = "step"
    MIN = "min"


@dataclass(frozen=True, slots=True)
class CpuTarget:
    """The processor time a replica shall use: percent of what it requests, or milli-cores. One of them is set."""

    percent: int | None = None
    millicores: int | None = None


DEFAULT_CPU_TARGET = CpuTarget(percent=round(DEFAULT_TARGET))


@dataclass(frozen=True, slots=True)
class ScalePolicy:
    """What the labels of one function ask for; defaults where they are silent. Durations in seconds."""

    min: int = DEFAULT_MIN
    max: int = DEFAULT_MAX
    factor: int = DEFAULT_FACTOR
    zero: bool = False
    zero_duration_s: float | None = None
    type: str = "rps"
    target: float = DEFAULT_TARGET
    target_proportion: float = 0.9
    down_window_s: float | None = None
    down: Down = Down.STEP
    step_interval_s: float | None = None
    cpu_target: CpuTarget = DEFAULT_CPU_TARGET

    @property
    def on_hpa(self) -> bool:
        """Handed to a HorizontalPodAutoscaler: alerts and the control loop leave it alone."""
        return self.type == CPU

    @property
    def concurrency_limit(self) -> int:
        """The most calls one replica is given at once; 0 for no limit.

        Only a target of capacity counts calls in flight. Scaling aims for ``target_proportion`` of it, so that a
        function with replicas to spare stays below; at its maximum of replicas further calls wait.
        """
        return max(1, math.floor(self.target)) if self.type == CAPACITY else 0

    @property
    def fixed_size(self) -> bool:
        return self.min == self.max

    @property
    def limits(self) -> dict[str, float]:
        """The fewest and most replicas while awake, as inputs of a decision."""
        return {"min": max(1, self.min), "max": self.max}

    @classmethod
    def from_labels(cls, labels: Mapping[str, str] | None) -> tuple[ScalePolicy, tuple[str, ...]]:
        """The policy and what is wrong with the labels. A bad label counts as absent in the policy returned."""
        reader = _Reader(labels or {})
        kind = reader.get(TYPE, _type, "rps")
        cpu = reader.get(TARGET, _cpu_target, DEFAULT_CPU_TARGET) if kind == CPU else None
        policy = cls(
            min=reader.get(MIN, _count, DEFAULT_MIN),
            max=reader.get(MAX, _count, DEFAULT_MAX),
            factor=reader.get(FACTOR, _percent, DEFAULT_FACTOR),
            zero=reader.get(ZERO, _boolean, False),
            zero_duration_s=reader.get(ZERO_DURATION, _duration, None),
            type=kind,
            target=reader.get(TARGET, _positive, DEFAULT_TARGET) if cpu is None else _amount(cpu),
            target_proportion=reader.get(PROPORTION, _proportion, 0.9),
            down_window_s=reader.get(DOWN_WINDOW, _window, None),
            down=reader.get(DOWN, _down, Down.STEP),
            step_interval_s=reader.get(STEP_INTERVAL, _duration, None),
            cpu_target=cpu or DEFAULT_CPU_TARGET,
        )
        if policy.min > policy.max:
            reader.problems.append(
                f"{MIN}={policy.min} is above {MAX}={policy.max}; lower the minimum or raise the maximum"
            )
        return policy, tuple(reader.problems)


def wake_replicas(policy: ScalePolicy) -> int:
    """How many replicas a caller of a sleeping function wakes: its minimum, and at least one."""
    return max(1, min(policy.min, policy.max))


def initial_replicas(policy: ScalePolicy) -> int:
    """How many replicas a newly deployed function starts with."""
    return wake_replicas(policy)


def updated_replicas(policy: ScalePolicy, current: int) -> int:
    """How many replicas an updated function keeps: asleep stays asleep, and the rest moves into its new limits.

    OpenFaaS resets to the minimum here, which drops a loaded function on every deploy; we do not.
    """
    if current == 0:
        return 0
    return min(max(current, wake_replicas(policy)), max(policy.max, 1))


class _Reader:
    """Reads labels one by one and keeps what is wrong with them."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        self._labels = labels
        self.problems: list[str] = []

    def get(self, key: str, parse: Callable[[str], T], default: T) -> T:
        if key not in self._labels:
            return default
        value = self._labels[key]
        try:
            return parse(value.strip())
        except ValueError as error:
            self.problems.append(f"{key}={value!r}: {error}")
            return default


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdecimal():
        raise ValueError("write a whole number, zero or more")
    return int(text)


def _count(text: str) -> int:
    value = _whole(text)
    if value > MAX_REPLICAS:
        raise ValueError(f"write at most {MAX_REPLICAS}")
    return value


def _percent(text: str) -> int:
    value = _whole(text)
    if value > 100:
        raise ValueError("write a percentage of the maximum, 0 to 100; 0 switches alert scaling off")
    return value


def _boolean(text: str) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False, "": False}
    if text.lower() not in known:
        raise ValueError("write true or false")
    return known[text.lower()]


def _duration(text: str) -> float:
    seconds = parse_duration_s(text)
    if seconds <= 0:
        raise ValueError("write a duration above zero, such as 30s or 15m")
    return seconds


def _window(text: str) -> float:
    seconds = parse_duration_s(text)
    if seconds > 300:
        raise ValueError("write a duration of at most 5m")
    return seconds


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError("write a number") from None
    if not math.isfinite(value):
        raise ValueError("write a finite number")
    return value


def _positive(text: str) -> float:
    value = _number(text)
    if value <= 0:
        raise ValueError("write a number above zero")
    return value


def _cpu_target(text: str) -> CpuTarget:
    """Percent up to 100, as an HPA has it; milli-cores above, as OpenFaaS has it, and always with an ``m``."""
    value = _positive(text.removesuffix("m"))
    if text.endswith("m") or value > 100:
        return CpuTarget(millicores=math.ceil(value))
    return CpuTarget(percent=math.ceil(value))


def _amount(target: CpuTarget) -> float:
    return float(target.percent or target.millicores or 0)


def _proportion(text: str) -> float:
    value = _number(text)
    if not 0 < value <= 1:
        raise ValueError("write a fraction above 0 and at most 1, such as 0.9")
    return value


def _type(text: str) -> str:
    if not text or len(text) > 63 or not all(c.isalnum() or c in "-_." for c in text):
        raise ValueError(f"write one of {', '.join(KNOWN_TYPES)} or the name of a custom scaling type")
    return text


def _down(text: str) -> Down:
    try:
        return Down(text)
    except ValueError:
        raise ValueError("write step or min") from None
