"""``GET /system/endpoints?watch=true``: what the provider pushes to gateways, newline-delimited JSON.

The first line is a full snapshot, every further line one change; a heartbeat each few seconds lets a reader notice a
dead connection. Both ends use this module.

    {"type": "snapshot", "functions": [FUNCTION, …]}
    {"type": "changed", "function": FUNCTION}
    {"type": "removed", "name": "…", "namespace": "…"}
    {"type": "heartbeat"}

    FUNCTION = {"name", "namespace", "replicas", "version", "labels", "annotations"?, "problem"?, "lasting"?, "delay"?,
                "nextStart"?, "timeout"?: {"seconds", "source"}, "learnedWake"?, "longestStartSeconds"?, "wakes"?,
                "owner"?, "createdAt"?, "changedAt"?,
                "endpoints": [{"instance", "address": "127.0.0.1:40001", "maxInflight"?, "prefix"?,
                 "environmentSeconds"?}, …]}

``endpoints`` holds the replicas that answer and are not being stopped; ``problem`` is why none comes, if known, with
``lasting`` where none will until somebody changes something, so that nobody need wait. ``delay`` is why it takes long,
where waiting may be of use yet: callers whose time is over are told.
``annotations`` are those of the function's spec, at most ``MAX_ANNOTATIONS_BYTES`` of them: the longest are left out,
since what a gateway looks for there is short (an environment, a schedule, topics) and each change repeats all of it.
``nextStart`` is when a replica is tried to be started again, in seconds of the epoch.
``timeout`` is how long one call may take, as the function's annotation or environment says, and which of them
(``scaler/core/call_timeout.py``); the environment itself, which may hold secrets, stays with the provider.
``learnedWake`` is how many replicas its last wakes needed, where that was learned and counts, and
``longestStartSeconds`` the longest of its last starts from zero, where any was measured.
``wakes`` counts how often it left zero since the provider has known it: whoever is told only the newest of several
changes would not see one that was soon over.
``owner`` is who moves its replicas while it runs; where it is absent its labels tell.
``createdAt`` is when it was deployed first, and ``changedAt`` when it was last, in seconds of the epoch.
Absent means none, and a reader that does not know the field passes it over.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from springtide.runtime import bounded_json
from springtide.runtime.durations import MAX_DURATION_S
from springtide.runtime.errors import Unavailable
from springtide.scaler.core import ownership
from springtide.scaler.core.call_timeout import CallTimeout
from springtide.scaler.core.vocabulary import FunctionRef, Instant, Writer

HEARTBEAT_S = 5.0
"""Seconds between heartbeats; a reader gives up after three without a line."""


MAX_ANNOTATIONS_BYTES = 16_384
"""Of one function, names and values together."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One replica that takes calls at ``host:port``. ``max_inflight`` 0 means no limit of its own.

    ``prefix`` is put in front of the path of every call: whoever answers there passes calls on to several functions.
    """

    instance: str
    host: str
    port: int
    max_inflight: int = 0
    prefix: str = ""
    environment_s: float = 0.0
    """Of the time until it was ready, what went by until its environment's interpreter was there."""


@dataclass(frozen=True, slots=True)
class FunctionEndpoints:
    """A function as gateways need it: where it answers, how many are wanted, its scale's version, and what it says."""

    ref: FunctionRef
    replicas: int
    version: str
    endpoints: tuple[Endpoint, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    problem: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    delay: str | None = None
    lasting: bool = False
    timeout: CallTimeout | None = None
    next_start: float | None = None
    learned_wake: int | None = None
    owner: Writer | None = Writer.ALERT
    """Who moves its replicas while it runs; None for nobody."""
    wakes: int = 0
    """How often it left zero. The feed counts it."""
    created_at: Instant | None = None
    """When it was deployed first; None where the provider does not know it."""
    changed_at: Instant | None = None
    """When it was deployed last; None as before."""
    longest_start_s: float | None = None
    """Of its last starts from zero."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    functions: tuple[FunctionEndpoints, ...]


@dataclass(frozen=True, slots=True)
class Changed:
    function: FunctionEndpoints


@dataclass(frozen=True, slots=True)
class Removed:
    ref: FunctionRef


@dataclass(frozen=True, slots=True)
class Heartbeat:
    pass


Event = Snapshot | Changed | Removed | Heartbeat


def encode(event: Event) -> bytes:
    """One line, with its newline."""
    match event:
        case Snapshot(functions):
            value: dict[str, Any] = {"type": "snapshot", "functions": [_function_to_json(f) for f in functions]}
        case Changed(function):
            value = {"type": "changed", "function": _function_to_json(function)}
        case Removed(ref):
            value = {"type": "removed", "name": ref.name, "namespace": ref.namespace}
        case Heartbeat():
            value = {"type": "heartbeat"}
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes | str) -> Event | None:
    """The event in one line; None for a type this version does not know. Raises Unavailable for anything else."""
    try:
        value = bounded_json.loads(line)
        match value["type"]:
            case "snapshot":
                return Snapshot(tuple(_function_from_json(item) for item in value["functions"]))
            case "changed":
                return Changed(_function_from_json(value["function"]))
            case "removed":
                return Removed(FunctionRef(value["namespace"], value["name"]))
            case "heartbeat":
                return Heartbeat()
            case _:
                return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unavailable(f"not an endpoint event: {line[:200]!r}") from error


def merge(
    known: Mapping[FunctionRef, FunctionEndpoints], events: Iterable[Event]
) -> dict[FunctionRef, FunctionEndpoints]:
    """The table after ``events``."""
    table = dict(known)
    for event in events:
        apply(table, event)
    return table


def apply(table: dict[FunctionRef, FunctionEndpoints], event: Event) -> None:
    """Change ``table`` in place, as one event tells."""
    match event:
        case Snapshot(functions):
            table.clear()
            table.update((function.ref, function) for function in functions)
        case Changed(function):
            table[function.ref] = function
        case Removed(ref):
            table.pop(ref, None)
        case Heartbeat():
            pass


def bounded_annotations(annotations: Mapping[str, str]) -> dict[str, str]:
    """As many as fit into ``MAX_ANNOTATIONS_BYTES``, the shortest first; their order is kept."""
    sizes = {key: len(key.encode()) + len(value.encode()) for key, value in annotations.items()}
    if sum(sizes.values()) <= MAX_ANNOTATIONS_BYTES:
        return dict(annotations)
    kept, total = set(), 0
    for key in sorted(sizes, key=lambda key: (sizes[key], key)):
        total += sizes[key]
        if total > MAX_ANNOTATIONS_BYTES:
            break
        kept.add(key)
    return {key: value for key, value in annotations.items() if key in kept}


def _function_to_json(function: FunctionEndpoints) -> dict[str, Any]:
    value: dict[str, Any] = {
        "name": function.ref.name,
        "namespace": function.ref.namespace,
        "replicas": function.replicas,
        "version": function.version,
        "labels": dict(function.labels),
        "endpoints": [_endpoint_to_json(endpoint) for endpoint in function.endpoints],
        "owner": ownership.owner_to_text(function.owner),
    }
    if annotations := bounded_annotations(function.annotations):
        value["annotations"] = annotations
    if function.problem:
        value["problem"] = function.problem
    if function.lasting:
        value["lasting"] = True
    if function.delay:
        value["delay"] = function.delay
    if function.timeout is not None:
        value["timeout"] = {"seconds": function.timeout.seconds, "source": function.timeout.source}
    if function.learned_wake is not None:
        value["learnedWake"] = function.learned_wake
    if function.longest_start_s is not None:
        value["longestStartSeconds"] = function.longest_start_s
    if function.wakes:
        value["wakes"] = function.wakes
    instants = {
        "nextStart": function.next_start,
        "createdAt": function.created_at,
        "changedAt": function.changed_at,
    }
    return value | {key: instant for key, instant in instants.items() if instant is not None}


def _endpoint_to_json(endpoint: Endpoint) -> dict[str, Any]:
    value: dict[str, Any] = {"instance": endpoint.instance, "address": f"{endpoint.host}:{endpoint.port}"}
    if endpoint.max_inflight:
        value["maxInflight"] = endpoint.max_inflight
    if endpoint.prefix:
        value["prefix"] = endpoint.prefix
    if endpoint.environment_s:
        value["environmentSeconds"] = endpoint.environment_s
    return value


def _function_from_json(value: dict[str, Any]) -> FunctionEndpoints:
    labels = dict(value.get("labels") or {})
    return FunctionEndpoints(
        ref=FunctionRef(value["namespace"], value["name"]),
        replicas=int(value["replicas"]),
        version=str(value["version"]),
        endpoints=tuple(_endpoint_from_json(item) for item in value["endpoints"]),
        labels=labels,
        owner=ownership.owner_from_text(value.get("owner"), labels),
        problem=value.get("problem"),
        lasting=value.get("lasting") is True,
        delay=value.get("delay"),
        next_start=float(value["nextStart"]) if value.get("nextStart") is not None else None,
        timeout=_timeout_from_json(value.get("timeout")),
        learned_wake=int(value["learnedWake"]) if value.get("learnedWake") is not None else None,
        wakes=int(value.get("wakes", 0)),
        longest_start_s=longest_start_of(value),
        annotations=bounded_annotations(value.get("annotations") or {}),
        created_at=_instant_from_json(value.get("createdAt")),
        changed_at=_instant_from_json(value.get("changedAt")),
    )


def _instant_from_json(value: Any) -> Instant | None:
    return Instant(float(value)) if value is not None else None


def longest_start_of(function: Mapping[str, Any]) -> float | None:
    """As a function's JSON tells it, here and in listings; None where it does not."""
    told = function.get("longestStartSeconds")
    return None if told is None else float(told)


def _timeout_from_json(value: dict[str, Any] | None) -> CallTimeout | None:
    if not value:
        return None
    seconds = float(value["seconds"])
    return CallTimeout(seconds, str(value["source"])) if 0 <= seconds <= MAX_DURATION_S else None


def _endpoint_from_json(value: dict[str, Any]) -> Endpoint:
    host, _, port = value["address"].rpartition(":")
    limit, prefix = int(value.get("maxInflight", 0)), str(value.get("prefix", ""))
    waited_s = float(value.get("environmentSeconds", 0))
    return Endpoint(value["instance"], host, int(port), limit, prefix, waited_s)
