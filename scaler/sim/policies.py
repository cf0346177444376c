"""A policy to try, as it is written: ``owner=scaler,target=10,zero-duration=5m``. The values are read as labels are."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass

from springtide.runtime.errors import BadInput
from springtide.scaler.core import policy as labels
from springtide.scaler.core import targets
from springtide.scaler.core.follow import Bounds
from springtide.scaler.core.ownership import Scalers, steady_owner
from springtide.scaler.core.policy import ScalePolicy, wake_replicas
from springtide.scaler.core.vocabulary import Writer
from springtide.scaler.sim.adapter import Springtide
from springtide.scaler.sim.alert_path import AlertPath, AlertTiming
from springtide.scaler.sim.deciders import Unchanged
from springtide.scaler.sim.engine import Decider
from springtide.scaler.sim.knative import Knative

MAX_CHARS = 500


class Owner(enum.StrEnum):
    """Who moves the replicas of a function that is awake."""

    ALERTS = "alerts"
    SCALER = "scaler"
    KNATIVE = "knative"
    NONE = "none"


LABELS: Mapping[str, str] = {
    key.rpartition("scale.")[2]: key
    for key in (
        labels.MIN,
        labels.MAX,
        labels.FACTOR,
        labels.ZERO,
        labels.ZERO_DURATION,
        labels.TYPE,
        labels.TARGET,
        labels.PROPORTION,
        labels.DOWN_WINDOW,
        labels.DOWN,
        labels.STEP_INTERVAL,
        labels.RULE,
        labels.WAKE,
    )
}
"""What a policy may say, by the label that says it of a function."""
KEYS = ("owner", *LABELS)
PREFIXES = ("com.openfaas.scale.", "com.springtide.scale.")
"""Of labels, which may be written whole."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Who scales a function and by which labels. ``name`` is what a person wrote."""

    name: str
    owner: Owner
    labels: Mapping[str, str]
    scale: ScalePolicy

    @property
    def zero_after_s(self) -> float | None:
        return (self.scale.zero_duration_s or DEFAULT_ZERO_S) if self.scale.zero else None

    def slots(self, concurrency: int, workers: int = 1) -> int:
        """Calls that a replica works on at once, where it could do ``concurrency``.

        Each worker of a gateway gives it an equal part of what it may get, rounded up.
        """
        limit = self.scale.concurrency_limit
        return min(concurrency, workers * math.ceil(limit / workers) if limit else concurrency)

    def decider(self, timing: AlertTiming, concurrency: int) -> Decider:
        """One for one function's life."""
        if self.owner is Owner.ALERTS:
            return AlertPath(self.scale, timing)
        if self.owner is Owner.NONE:
            return Unchanged(self.scale)
        if self.owner is Owner.KNATIVE:
            return Knative(self._bounds(self.scale.concurrency_limit or concurrency))
        return Springtide(self.labels)

    def _bounds(self, slots: float) -> Bounds:
        return Bounds(wake_replicas(self.scale), max(1, self.scale.max), slots)


DEFAULT_ZERO_S = 900.0
"""The idler's own, for a function that may sleep and does not say when."""


def parse(text: str) -> Policy:
    """Raises BadInput that names each key that is wrong, its value and the remedy."""
    if len(text) > MAX_CHARS:
        raise BadInput(f"--policy {text[:40]!r}…: {len(text)} characters; write at most {MAX_CHARS}")
    given, problems = _pairs(text)
    owner = _owner(given, problems)
    said = _as_labels(given)
    scale, wrong = ScalePolicy.from_labels(said)
    problems += [_without_prefix(problem) for problem in wrong]
    problems += _contradictions(given, owner, scale)
    if problems:
        raise BadInput("\n".join(f"--policy {text!r}: {problem}" for problem in problems))
    return Policy(text, Owner(owner), said, scale)


def of_labels(function: str, labels: Mapping[str, str]) -> Policy:
    """That of a function that is deployed with these labels beside a control loop. Raises BadInput, as ``parse``."""
    scale, problems = ScalePolicy.from_labels(labels)
    writer = steady_owner(scale, Scalers(loop=True))
    owner = OWNERS.get(writer)
    if owner is None:
        raise BadInput(f"{function}: its owner is {writer}, which is not replayed; leave it out")
    said = {key: labels[key] for key in LABELS.values() if key in labels}
    problems = (*problems, *_contradictions({}, owner, scale))
    if problems:
        raise BadInput("\n".join(f"{function}: {problem}" for problem in problems))
    return Policy(function, owner, said, scale)


OWNERS: Mapping[Writer | None, Owner] = {
    Writer.ALERT: Owner.ALERTS,
    Writer.SCALER: Owner.SCALER,
    None: Owner.NONE,
}


def _pairs(text: str) -> tuple[dict[str, str], list[str]]:
    given: dict[str, str] = {}
    problems: list[str] = []
    for part in text.split(","):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        for prefix in PREFIXES:
            key = key.removeprefix(prefix)
        if key == Owner.KNATIVE and not equals:
            key, value = "owner", key
        if not key or (not equals and key != "owner"):
            problems.append(f"{part.strip()!r}: write key=value, such as owner=scaler")
        elif key not in KEYS:
            problems.append(f"{key}={value!r}: no such key; there are {', '.join(KEYS)}")
        elif key in given:
            problems.append(f"{key}={value!r}: written twice; leave one of them out")
        else:
            given[key] = value
    return given, problems


def _owner(given: Mapping[str, str], problems: list[str]) -> str:
    """Who names a load wants it followed."""
    follows = any(key in given for key in ("target", "type", "policy", "target-proportion", "down.window"))
    owner = given.get("owner", Owner.SCALER if follows else Owner.ALERTS)
    if owner not in {each.value for each in Owner}:
        problems.append(f"owner={owner!r}: write {' or '.join(each.value for each in Owner)}")
    return owner


def _as_labels(given: Mapping[str, str]) -> dict[str, str]:
    """Who names a duration wants the function to sleep."""
    found = {LABELS[key]: value for key, value in given.items() if key in LABELS}
    if labels.ZERO_DURATION in found:
        found.setdefault(labels.ZERO, "true")
    return found


def _without_prefix(problem: str) -> str:
    for short, key in LABELS.items():
        problem = problem.replace(key, short)
    return problem


def _contradictions(given: Mapping[str, str], owner: str, scale: ScalePolicy) -> list[str]:
    found = []
    if owner == Owner.SCALER and scale.target_type not in (targets.RPS, targets.CAPACITY):
        found.append(f"type={scale.type!r}: arrivals do not tell its load; write type=rps or type=capacity")
    if owner == Owner.ALERTS and scale.on_hpa:
        found.append(f"type={scale.type!r}: an HPA owns it, not the alerts; write type=rps or type=capacity")
    if owner != Owner.SCALER:
        found += [
            f"{key}={given[key]!r}: only the scaler knows it; write owner=scaler or leave it out"
            for key in ("policy", "wake")
            if key in given
        ]
    return found
