"""Which replicas to start and which to stop, so that what runs becomes what was asked for. Pure.

The wanted number comes from outside. Rules, in order: never take away a replica that answers while fewer than wanted
do; the new generation must answer before the old one goes; among equals the least busy goes, then the youngest.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass


class ReplicaState(enum.Enum):
    STARTING = "starting"
    READY = "ready"
    UNREADY = "unready"
    """Answered before, and does not now; it gets no calls."""
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class ReplicaView:
    """One replica as a plan sees it. ``age`` orders by start: a larger number started later."""

    instance: str
    state: ReplicaState
    current: bool
    """Of the generation that is wanted now."""
    age: int
    in_flight: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    start: int
    stop: tuple[str, ...]


def plan(wanted: int, replicas: Iterable[ReplicaView], *, surge: bool = True) -> Plan:
    """``surge`` False: two generations cannot run side by side (they would want the same port)."""
    all_replicas = list(replicas)
    alive = [replica for replica in all_replicas if replica.state is not ReplicaState.STOPPING]
    current = [replica for replica in alive if replica.current]
    old = [replica for replica in alive if not replica.current]
    if not surge and old:
        return Plan(0, tuple(replica.instance for replica in old))
    if not surge and len(all_replicas) > len(alive):
        return Plan(0, ())
    spare = sum(replica.state is ReplicaState.READY for replica in alive) - wanted
    stop: list[ReplicaView] = []
    for replica in [*_first_to_go(old), *_first_to_go(current)[: max(0, len(current) - wanted)]]:
        if replica.state is ReplicaState.READY:
            if spare <= 0:
                continue
            spare -= 1
        stop.append(replica)
    # During an update a quarter more than wanted may run, and at least one more.
    room = wanted + max(1, -(-wanted // 4)) if old else wanted
    start = min(wanted - len(current), room - len(alive))
    return Plan(max(0, start), tuple(replica.instance for replica in stop))


def choice_matters(plan: Plan, replicas: Iterable[ReplicaView]) -> bool:
    """Whether some, but not all, that answer are stopped: then it is worth asking how busy they are."""
    ready = {replica.instance for replica in replicas if replica.state is ReplicaState.READY}
    return bool(ready & set(plan.stop)) and not ready <= set(plan.stop)


def _first_to_go(replicas: list[ReplicaView]) -> list[ReplicaView]:
    return sorted(replicas, key=lambda replica: (replica.state is ReplicaState.READY, replica.in_flight, -replica.age))
