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
class LastRun:
    """How the run before this one of its container ended."""

    exit_code: int
    out_of_memory: bool
    began_at: float
    ended_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """``problem`` is why it does not start; ``unschedulable`` why no node takes it, which another node may end.
    ``crashing``: it waits longer and longer before each start, which ``last_run`` is the reason of."""

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
    crashing: bool = False
    restarts: int = 0
    last_run: LastRun | None = None
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
        crashing=_waiting(container).get("reason") == "CrashLoopBackOff",
        restarts=int(container.get("restartCount") or 0),
        last_run=_last_run(container),
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


def how_it_ended(pod: Pod, stopped: str | None) -> str | None:
    """The last run of its container in words; ``stopped``: what the kubelet did to it, if it did."""
    if pod.last_run is None:
        return None
    crashed = "ran out of memory" if pod.last_run.out_of_memory else f"exited with {pod.last_run.exit_code}"
    kind = " (CrashLoopBackOff)" if pod.crashing else ""
    return f"its container {stopped or crashed}, {pod.restarts} restarts{kind}"


def _waiting(container: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (container.get("state") or {}).get("waiting") or {}
    return found


def _problem(container: Mapping[str, Any]) -> str | None:
    waiting = _waiting(container)
    reason, message = waiting.get("reason") or "", waiting.get("message") or ""
    if reason in _STARTING:
        return None
    return f"{reason}: {message}"[:MAX_PROBLEM_CHARS] if message else reason


def _last_run(container: Mapping[str, Any]) -> LastRun | None:
    ended = (container.get("lastState") or {}).get("terminated")
    if not ended:
        return None
    return LastRun(
        exit_code=int(ended.get("exitCode", 0)),
        out_of_memory=ended.get("reason") == "OOMKilled",
        began_at=instant_of(ended.get("startedAt")) or 0.0,
        ended_at=instant_of(ended.get("finishedAt")) or 0.0,
    )


def _unschedulable(scheduled: Mapping[str, Any]) -> str | None:
    if scheduled.get("status") != "False" or scheduled.get("reason") != "Unschedulable":
        return None
    return f"no node takes it: {scheduled.get('message', '')}"[:MAX_PROBLEM_CHARS]
