"""What is kept of each watched object: views of Deployments, pods and EndpointSlices, a tenth of their size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from springtide.provider.kubernetes.manifests import deployment_reader, keys
from springtide.provider.kubernetes.manifests.keys import PORT
from springtide.provider.spec import FunctionSpec
from springtide.provider.watchdog_endpoints import HEALTH_PATH, READY_PATH
from springtide.runtime.kubernetes.api import Json
from springtide.scaler.core.vocabulary import FunctionRef, Instant

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
MAX_PROBLEM_CHARS = 300
_STARTING = frozenset({"", "ContainerCreating", "PodInitializing"})
"""Reasons to wait that are the ordinary course of a start."""
SERVICE_NAME = "kubernetes.io/service-name"
"""The label by which a slice says whose it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentView:
    spec: FunctionSpec
    labels: Mapping[str, str]
    desired: int
    uid: str
    generation: int
    created_at: Instant | None
    terminating: bool = False
    """Deleted; what is left of it ends its calls."""
    problem: str | None = None
    learned_wake: int | None = None
    longest_start_s: float | None = None

    @property
    def ref(self) -> FunctionRef:
        return self.spec.ref

    @property
    def version(self) -> str:
        """For a compare-and-set. It changes with the spec (replicas, pods) and not with the status, as a
        resourceVersion would: a pod that becomes ready must not make a person's write fail. The uid keeps versions of
        a former function of that name out."""
        return f"{self.generation}-{self.uid}"

    @property
    def ready_paths(self) -> tuple[str, ...]:
        """Where its pods are probed: at the first that they know."""
        annotations = self.spec.annotations
        health = annotations.get(keys.HEALTH + "path", HEALTH_PATH)
        return annotations.get(keys.READY + "path", READY_PATH), health

    def scaled(self, replicas: int) -> DeploymentView:
        """As it is after the count was written; the API server counts a generation for each change of the spec."""
        return self if replicas == self.desired else replace(self, desired=replicas, generation=self.generation + 1)


def deployment_view(deployment: Json) -> DeploymentView:
    status = deployment_reader.status_of(deployment)
    metadata = deployment["metadata"]
    return DeploymentView(
        spec=status.spec,
        labels=status.function.labels,
        desired=status.function.scale.desired,
        uid=metadata["uid"],
        generation=int(metadata.get("generation", 0)),
        created_at=status.function.created_at,
        terminating="deletionTimestamp" in metadata,
        problem=status.problem,
        learned_wake=status.function.learned_wake,
        longest_start_s=status.function.longest_start_s,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRun:
    """How the run before this one of its container ended."""

    exit_code: int
    out_of_memory: bool
    began_at: float
    ended_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PodView:
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
    """Its ReplicaSet removes the pods with the lowest first."""
    problem: str | None = None
    crashing: bool = False
    restarts: int = 0
    last_run: LastRun | None = None
    unschedulable: str | None = None


def pod_view(value: Mapping[str, Any]) -> PodView:
    metadata, status = value["metadata"], value.get("status") or {}
    function = (metadata.get("labels") or {}).get(keys.FUNCTION, "")
    conditions = {item["type"]: item for item in status.get("conditions") or ()}
    container = _container(status, function)
    return PodView(
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


def how_it_ended(pod: PodView, stopped: str | None) -> str | None:
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


@dataclass(frozen=True, slots=True)
class Address:
    """One pod behind a Service, as its EndpointSlice has it."""

    pod: str
    host: str
    port: int
    ready: bool


@dataclass(frozen=True, slots=True)
class SliceView:
    """What we keep of an EndpointSlice."""

    service: str
    addresses: tuple[Address, ...]


def slice_view(value: Mapping[str, Any]) -> SliceView:
    labels = value["metadata"].get("labels") or {}
    port = _port(value.get("ports") or ())
    found = [] if value.get("addressType") == "FQDN" else value.get("endpoints") or ()
    return SliceView(
        labels.get(SERVICE_NAME, ""), tuple(_address(item, port) for item in found if item.get("addresses"))
    )


def _address(item: Mapping[str, Any], port: int) -> Address:
    conditions = item.get("conditions") or {}
    # Not said means ready, as the API has it. A terminating one may still serve, but is sent nothing new.
    ready = conditions.get("ready", True) is not False and not conditions.get("terminating")
    host = item["addresses"][0]
    return Address((item.get("targetRef") or {}).get("name") or host, host, port, ready)


def _port(ports: Iterable[Mapping[str, Any]]) -> int:
    """The one called ``http``, else the only one there is, else the one that every function listens on."""
    numbers = {item.get("name") or "": item.get("port") or PORT for item in ports}
    return int(numbers.get("http") or next(iter(numbers.values()), PORT))
