"""What a Function object is told about itself: counts, and conditions as kubectl and GitOps tools understand them.

Ready        the function can be called: a replica is available, or it sleeps and a call wakes it
Healthy      every replica that is wanted is available
Reconciling  what was asked for is not yet what is there
Stalled      it never will be, unless somebody changes something; the message says what
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from springtide.provider.kubernetes.manifests import deployment_reader
from springtide.runtime.kubernetes.api import Json

MAX_MESSAGE_CHARS = 2000
INVALID, REFUSED, RETRYING, STUCK = "InvalidSpec", "Refused", "Retrying", "DeploymentStuck"
"""Reasons that others look at."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why the last attempt came to nothing; ``stalled`` when trying again is not enough."""

    reason: str
    message: str
    stalled: bool


@dataclass(frozen=True, slots=True)
class _Verdict:
    """One condition: ``reason`` and ``message`` belong to what ``holds`` says."""

    holds: bool
    reason: str
    message: str


def status_of(
    function: Mapping[str, Any],
    deployment: Mapping[str, Any] | None,
    problem: Problem | None,
    *,
    profiles: Sequence[str],
    rollout: str,
    now: str,
) -> Json:
    """``deployment``: at least its spec's replicas and selector, and its status. ``now`` in RFC 3339."""
    generation = function["metadata"].get("generation", 0)
    counts = (deployment or {}).get("status") or {}
    desired = (deployment or {"spec": {"replicas": 0}})["spec"].get("replicas", 1)
    available = counts.get("availableReplicas", 0)
    verdicts = {
        "Ready": _ready(deployment, problem, desired, available),
        "Healthy": _healthy(deployment, desired, available),
        "Reconciling": _reconciling(deployment, problem, desired),
        "Stalled": _stalled(deployment, problem),
    }
    before = {item["type"]: item for item in (function.get("status") or {}).get("conditions") or ()}
    return {
        "observedGeneration": generation,
        "observedRollout": rollout,
        "replicas": counts.get("replicas", 0),
        "availableReplicas": available,
        "unavailableReplicas": max(0, desired - available),
        "labelSelector": _selector(deployment),
        "profiles": list(profiles),
        "conditions": [
            _condition(kind, verdict, before.get(kind), generation=generation, now=now)
            for kind, verdict in verdicts.items()
        ],
    }


def is_applied(function: Mapping[str, Any], rollout: str) -> bool:
    """Whether its status says that all it asks for was written."""
    status = function.get("status") or {}
    told = {item["type"]: item for item in status.get("conditions") or ()}
    if {"Stalled", "Reconciling"} - told.keys():
        return False
    stalled = told["Stalled"]["status"] == "True" and told["Stalled"]["reason"] != STUCK
    seen = (status.get("observedGeneration"), status.get("observedRollout"))
    current = (function["metadata"].get("generation"), rollout)
    return seen == current and not stalled and told["Reconciling"]["reason"] != RETRYING


def _ready(deployment: Mapping[str, Any] | None, problem: Problem | None, desired: int, available: int) -> _Verdict:
    if problem is not None:
        return _Verdict(holds=False, reason=problem.reason, message=problem.message)
    if deployment is None:
        return _Verdict(holds=False, reason="NoDeployment", message="there is no Deployment yet")
    if desired == 0:
        return _Verdict(holds=True, reason="Asleep", message="scaled to zero; a call wakes it")
    if available:
        return _Verdict(holds=True, reason="Available", message=f"{available} of {desired} replicas are available")
    why = deployment_reader.problem_of(deployment) or "no replica is available yet"
    return _Verdict(holds=False, reason="Unavailable", message=why)


def _healthy(deployment: Mapping[str, Any] | None, desired: int, available: int) -> _Verdict:
    healthy = deployment is not None and available >= desired
    reason = "AllAvailable" if healthy else "SomeUnavailable"
    return _Verdict(holds=healthy, reason=reason, message=f"{available} of {desired} replicas are available")


def _reconciling(deployment: Mapping[str, Any] | None, problem: Problem | None, desired: int) -> _Verdict:
    if problem is not None and not problem.stalled:
        return _Verdict(holds=True, reason=problem.reason, message=problem.message)
    if problem is not None:
        return _Verdict(holds=False, reason="Stalled", message="see the condition Stalled")
    if deployment is None:
        return _Verdict(holds=True, reason="NoDeployment", message="there is no Deployment yet")
    counts = deployment.get("status") or {}
    new = counts.get("updatedReplicas", 0)
    old = max(0, counts.get("replicas", 0) - new)
    behind = counts.get("observedGeneration", 0) < deployment["metadata"].get("generation", 0)
    if behind or old or new != desired:
        message = f"{new} of {desired} replicas are made, {old} of a former state are left"
        return _Verdict(holds=True, reason="RollingOut", message=message)
    return _Verdict(holds=False, reason="UpToDate", message="every replica is as asked for")


def _stalled(deployment: Mapping[str, Any] | None, problem: Problem | None) -> _Verdict:
    if problem is not None and problem.stalled:
        return _Verdict(holds=True, reason=problem.reason, message=problem.message)
    stuck = deployment_reader.problem_of(deployment) if deployment is not None else None
    if problem is None and stuck is not None:
        return _Verdict(holds=True, reason=STUCK, message=stuck)
    return _Verdict(holds=False, reason="Progressing", message="nothing is in the way")


def _condition(kind: str, verdict: _Verdict, before: Mapping[str, Any] | None, *, generation: int, now: str) -> Json:
    status = "True" if verdict.holds else "False"
    kept = before is not None and before.get("status") == status
    return {
        "type": kind,
        "status": status,
        "observedGeneration": generation,
        "lastTransitionTime": before["lastTransitionTime"] if kept and before is not None else now,
        "reason": verdict.reason,
        "message": verdict.message[:MAX_MESSAGE_CHARS],
    }


def _selector(deployment: Mapping[str, Any] | None) -> str:
    labels = ((deployment or {}).get("spec") or {}).get("selector") or {}
    return ",".join(f"{key}={value}" for key, value in sorted((labels.get("matchLabels") or {}).items()))
