"""A function's scaling policy, from its labels. Every problem is reported at once, with key, value and remedy."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from springtide.scaler.core import label_values as values
from springtide.scaler.core import targets
from springtide.scaler.core.targets import TargetType, Unit
from springtide.scaler.core.vocabulary import Writer

T = TypeVar("T")
E = TypeVar("E", bound=enum.StrEnum)

PREFIX = "com.openfaas.scale."
MIN, MAX, FACTOR = PREFIX + "min", PREFIX + "max", PREFIX + "factor"
ZERO, ZERO_DURATION = PREFIX + "zero", PREFIX + "zero-duration"
TYPE, TARGET, PROPORTION = PREFIX + "type", PREFIX + "target", PREFIX + "target-proportion"
DOWN_WINDOW = PREFIX + "down.window"
DOWN = "com.springtide.scale.down"
STEP_INTERVAL = "com.springtide.scale.step-interval"
OWNER, RULE, WAKE = "com.springtide.scale.owner", "com.springtide.scale.policy", "com.springtide.scale.wake"
ZERO_POLICY = "com.springtide.scale.zero-policy"
COLD_WORTH, COLD_WORTH_RARE = "com.springtide.scale.cold-worth", "com.springtide.scale.cold-worth-rare"

DEFAULT_MIN, DEFAULT_MAX, DEFAULT_FACTOR = 1, 20, 20
DEFAULT_TARGET = 50.0
DEFAULT_SILENCE_S = 900.0
"""Without a label zero-duration, where the setting inactivity_duration does not say it."""
MAX_REPLICAS = values.MAX_REPLICAS


class Down(enum.StrEnum):
    """What a resolved alert does: one step at a time, or straight to the minimum as OpenFaaS does."""

    STEP = "step"
    MIN = "min"


class Owner(enum.StrEnum):
    """Who shall move the replicas of a function while it runs."""

    ALERTS = "alerts"
    SCALER = "scaler"
    HPA = "hpa"
    NONE = "none"


class Rule(enum.StrEnum):
    """How the control loop decides: by queueing, or by OpenFaaS's documented formula."""

    QUEUEING = "queueing"
    TARGET = "target"


class Wake(enum.StrEnum):
    """What a caller of a sleeping function wakes: its minimum, or what the last wakes needed."""

    MIN = "min"
    LEARNED = "learned"


class ZeroPolicy(enum.StrEnum):
    """After which silence a function sleeps that may: always the same one, or what its pauses have taught."""

    FIXED = "fixed"
    LEARNED = "learned"


@dataclass(frozen=True, slots=True)
class ScalePolicy:
    """What the labels of one function ask for; defaults where they are silent. Durations in seconds."""

    min: int = DEFAULT_MIN
    max: int = DEFAULT_MAX
    factor: int = DEFAULT_FACTOR
    zero: bool = False
    zero_duration_s: float | None = None
    zero_policy: ZeroPolicy | None = None
    """None where the label is silent: then the suite's setting decides."""
    cold_worth_s: float | None = None
    """Replica-seconds that one cold start may cost; None: the suite's setting."""
    cold_worth_rare: float | None = None
    """Added to that for each second between calls, so that a rare function's cold starts weigh more; None: likewise."""
    type: str = targets.DEFAULT.name
    target: float = DEFAULT_TARGET
    target_unit: Unit | None = None
    """Where the label names another unit than is usual for the type."""
    target_proportion: float = 0.9
    down_window_s: float | None = None
    down: Down = Down.STEP
    step_interval_s: float | None = None
    owner: Owner | None = None
    """None where the label is silent: then what else it says, and what runs here, decides."""
    rule: Rule = Rule.QUEUEING
    wake: Wake = Wake.LEARNED
    """Where the control loop owns the function; elsewhere the minimum is woken."""
    names_load: bool = False
    """Whether a scaling type or a target is given, so that there is a load to follow."""

    @property
    def target_type(self) -> TargetType:
        return targets.of(self.type)

    @property
    def unit(self) -> Unit:
        """What ``target`` counts."""
        return self.target_unit or self.target_type.unit

    @property
    def on_hpa(self) -> bool:
        """Handed to a HorizontalPodAutoscaler, where there are any."""
        if self.owner is not None:
            return self.owner is Owner.HPA
        return self.target_type.owner is Writer.HPA and not self.fixed_size

    @property
    def concurrency_limit(self) -> int:
        """The most calls one replica is given at once; 0 for no limit."""
        limit = self.target_type.in_flight_limit
        return limit(self.target) if limit is not None else 0

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
        kind = reader.get(TYPE, targets.type_name, targets.DEFAULT.name)
        parse = targets.of(kind).parse
        target = reader.get(TARGET, parse, parse(f"{DEFAULT_TARGET:g}"))
        policy = cls(
            min=reader.get(MIN, values.count, DEFAULT_MIN),
            max=reader.get(MAX, values.count, DEFAULT_MAX),
            factor=reader.get(FACTOR, values.percent, DEFAULT_FACTOR),
            zero=reader.get(ZERO, values.boolean, False),
            zero_duration_s=reader.get(ZERO_DURATION, values.duration, None),
            zero_policy=reader.get(ZERO_POLICY, _choice(ZeroPolicy), None),
            cold_worth_s=reader.get(COLD_WORTH, values.cold_worth, None),
            cold_worth_rare=reader.get(COLD_WORTH_RARE, values.cold_worth_rare, None),
            type=kind,
            target=target.amount,
            target_unit=target.unit,
            target_proportion=reader.get(PROPORTION, values.proportion, 0.9),
            down_window_s=reader.get(DOWN_WINDOW, values.down_window, None),
            down=reader.get(DOWN, _choice(Down), Down.STEP),
            step_interval_s=reader.get(STEP_INTERVAL, values.duration, None),
            owner=reader.get(OWNER, _choice(Owner), None),
            rule=reader.get(RULE, _choice(Rule), Rule.TARGET if reader.has(PROPORTION, DOWN_WINDOW) else Rule.QUEUEING),
            wake=reader.get(WAKE, _choice(Wake), Wake.LEARNED),
            names_load=reader.has(TYPE, TARGET),
        )
        if policy.owner is Owner.HPA and policy.target_type is not targets.CPU:
            reader.problems.append(
                f"{OWNER}={policy.owner.value!r}: an HPA scales by processor time; write {TYPE}={targets.CPU.name} "
                "and its target, or leave it to another owner"
            )
            policy = replace(policy, owner=None)
        if policy.zero_policy is ZeroPolicy.LEARNED and not policy.zero:
            reader.problems.append(
                f"{ZERO_POLICY}={policy.zero_policy.value!r}: it decides when a function sleeps, and this one may not; "
                f"write {ZERO}=true, too, or leave this label out"
            )
            policy = replace(policy, zero_policy=None)
        if policy.min > policy.max:
            reader.problems.append(
                f"{MIN}={policy.min} is above {MAX}={policy.max}; lower the minimum or raise the maximum"
            )
        return policy, tuple(reader.problems)


def wake_replicas(policy: ScalePolicy, learned: int | None = None) -> int:
    """How many replicas a caller of a sleeping function wakes: its minimum, and at least one.

    Or what the last wakes needed, where that was ``learned`` and the label does not forbid it, within its limits.
    """
    fewest = max(1, min(policy.min, policy.max))
    if learned is None or policy.wake is Wake.MIN:
        return fewest
    return max(fewest, min(learned, policy.max))


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


MAX_SHOWN = 80
"""Characters of a wrong value that its problem repeats."""


class _Reader:
    """Reads labels one by one and keeps what is wrong with them."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        self._labels = labels
        self._wrong: set[str] = set()
        self.problems: list[str] = []

    def has(self, *keys: str) -> bool:
        """Whether one of them, all read before, is given and understood."""
        return any(key in self._labels and key not in self._wrong for key in keys)

    def get(self, key: str, parse: Callable[[str], T], default: T) -> T:
        if key not in self._labels:
            return default
        value = self._labels[key]
        try:
            return parse(value.strip())
        except ValueError as error:
            self.problems.append(f"{key}={value[:MAX_SHOWN]!r}: {error}")
            self._wrong.add(key)
            return default


def _choice(kind: type[E]) -> Callable[[str], E]:
    def parse(text: str) -> E:
        try:
            return kind(text)
        except ValueError:
            *others, last = (each.value for each in kind)
            raise ValueError(f"write {', '.join(others)} or {last}") from None

    return parse
