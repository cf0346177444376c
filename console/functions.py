"""A function as the system API describes it, and the one word for how it is doing."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from springtide.runtime.errors import Unavailable
from springtide.scaler.core.vocabulary import FunctionRef, Writer
from springtide.wire.provider_client import owner_of


class State(enum.StrEnum):
    READY = "ready"
    SCALING = "scaling"
    STARTING = "starting"
    ASLEEP = "asleep"
    PROBLEM = "problem"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionInfo:
    """What was deployed, and why it has no ready replica if the provider knows."""

    ref: FunctionRef
    image: str = ""
    env_process: str = ""
    env_vars: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, str] = field(default_factory=dict)
    requests: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    read_only: bool = False
    replicas: int = 0
    ready: int = 0
    calls: int = 0
    created_at: float | None = None
    problem: str | None = None
    cpu_millicores: float | None = None
    memory_bytes: float | None = None
    owner: Writer | None = Writer.ALERT
    """Who moves its replicas while it runs; None for nobody."""

    @property
    def key(self) -> str:
        """``name.namespace``: the metric label, and what addresses of pages end in."""
        return str(self.ref)


def from_json(value: Any, namespace: str | None = None) -> FunctionInfo:
    """Raises Unavailable for what is not a function's status."""
    try:
        usage = value.get("usage") or {}
        return FunctionInfo(
            ref=FunctionRef.parse(f"{value['name']}.{value.get('namespace') or namespace or ''}".rstrip(".")),
            image=str(value.get("image") or ""),
            env_process=str(value.get("envProcess") or ""),
            env_vars=dict(value.get("envVars") or {}),
            labels=dict(value.get("labels") or {}),
            annotations=dict(value.get("annotations") or {}),
            limits=dict(value.get("limits") or {}),
            requests=dict(value.get("requests") or {}),
            secrets=tuple(value.get("secrets") or ()),
            constraints=tuple(value.get("constraints") or ()),
            read_only=bool(value.get("readOnlyRootFilesystem")),
            replicas=int(value.get("replicas") or 0),
            ready=int(value.get("availableReplicas") or 0),
            calls=int(value.get("invocationCount") or 0),
            created_at=_instant(value.get("createdAt")),
            problem=value.get("problem") or None,
            cpu_millicores=usage.get("cpu"),
            memory_bytes=usage.get("totalMemoryBytes"),
            owner=owner_of(value),
        )
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise Unavailable(f"the gateway's answer is not a function: {str(value)[:200]}") from error


def state_of(desired: float | None, ready: float | None, problem: str | None) -> State:
    if desired is None or ready is None:
        return State.UNKNOWN
    if problem and ready == 0:
        return State.PROBLEM
    if desired == 0:
        return State.ASLEEP
    if ready == 0:
        return State.STARTING
    return State.READY if ready >= desired else State.SCALING


def _instant(text: str | None) -> float | None:
    if not text or text.startswith("0001-"):
        return None
    return datetime.fromisoformat(text).timestamp()
