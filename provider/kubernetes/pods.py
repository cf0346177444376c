"""What we keep of a pod: where it answers, how far it is, and what keeps it from starting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from springtide.provider.kubernetes.manifests import keys
from springtide.scaler.core.vocabulary import FunctionRef, Instant

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
MAX_PROBLEM_CHARS = 300

_STARTING = frozenset({"", "ContainerCreating", "PodInitializing"})
"""Reasons to wait that are the ordinary course of a start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """``problem`` is why it does not start; ``unschedulable`` why no node takes it, which another node may end."""

    name: str
    ref: FunctionRef
    """The function it belongs to."""
    uid: str
    ip: str
    ready: bool
    running: bool
    terminating: bool
    created_at: float
    deletion_cost: int = 0
    """How dear it is to the ReplicaSet; the cheapest go first."""
    problem: str | None = None
    unschedulable: str | None = None


def pod_of(value: Mapping[str, Any]) -> Pod:
    metadata, status = value["metadata"], value.get("status") or {}
    function = (metadata.get("labels") or {}).get(keys.FUNCTION, "")
    conditions = {item["type"]: item for item in status.get("conditions") or ()}
    container = _container(status, function)
    return Pod(
        name=metadata["name"],
        ref=FunctionRef(metadata["namespace"], function),
        uid=metadata.get("uid", ""),
        ip=status.get("podIP") or "",
        ready=conditions.get("Ready", {}).get("status") == "True",
        running="running" in (container.get("state") or {}),
        terminating="deletionTimestamp" in metadata or status.get("phase") in ("Failed", "Succeeded"),
        deletion_cost=_whole((metadata.get("annotations") or {}).get(DELETION_COST)),
        created_at=instant_of(metadata.get("creationTimestamp")) or 0.0,
        problem=_problem(container),
        unschedulable=_unschedulable(conditions.get("PodScheduled", {})),
    )


def instant_of(text: str | None) -> Instant | None:
    """An RFC 3339 time of the API server as an instant."""
    return Instant(datetime.fromisoformat(text).timestamp()) if text else None


def _whole(text: str | None) -> int:
    try:
        return int(text or 0)
    except ValueError:
        return 0


def _container(status: Mapping[str, Any], function: str) -> Mapping[str, Any]:
    """The function's own container: named like it, or else the first; sidecars do not count."""
    found: list[Mapping[str, Any]] = status.get("containerStatuses") or []
    return next((item for item in found if item.get("name") == function), found[0] if found else {})


def _problem(container: Mapping[str, Any]) -> str | None:
    waiting = (container.get("state") or {}).get("waiting") or {}
    reason = waiting.get("reason") or ""
    if reason in _STARTING:
        return None
    ended = (container.get("lastState") or {}).get("terminated") or {}
    if reason == "CrashLoopBackOff" and ended:
        why = "ran out of memory" if ended.get("reason") == "OOMKilled" else f"exited with {ended.get('exitCode')}"
        return f"its container {why}, {container.get('restartCount', 0)} restarts (CrashLoopBackOff)"
    message = waiting.get("message") or ""
    return f"{reason}: {message}"[:MAX_PROBLEM_CHARS] if message else reason


def _unschedulable(scheduled: Mapping[str, Any]) -> str | None:
    if scheduled.get("status") != "False" or scheduled.get("reason") != "Unschedulable":
        return None
    return f"no node takes it: {scheduled.get('message', '')}"[:MAX_PROBLEM_CHARS]
