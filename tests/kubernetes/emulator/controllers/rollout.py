"""How many pods a rolling update gives to the new ReplicaSet and leaves to the old ones: numbers only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Group:
    """The pods of one ReplicaSet."""

    wanted: int
    available: int


def resolved(value: int | str, replicas: int, *, up: bool) -> int:
    """A count, or a share of the replicas, rounded up or down."""
    if isinstance(value, int):
        return value
    percent = int(value.rstrip("%"))
    return -(-percent * replicas // 100) if up else percent * replicas // 100


def limits(surge: int | str, unavailable: int | str, replicas: int) -> tuple[int, int]:
    """Surge and unavailable as counts; never both zero."""
    most_surge, most_unavailable = resolved(surge, replicas, up=True), resolved(unavailable, replicas, up=False)
    return (most_surge, 1) if not most_surge and not most_unavailable else (most_surge, most_unavailable)


def new_size(replicas: int, surge: int, new: Group, old: Sequence[Group]) -> int:
    """Grow within the surge; shrink at once."""
    if new.wanted >= replicas:
        return replicas
    room = replicas + surge - new.wanted - sum(group.wanted for group in old)
    return min(new.wanted + max(room, 0), replicas)


def old_sizes(replicas: int, unavailable: int, new: Group, old: Sequence[Group]) -> list[int]:
    """Shrink as far as enough pods stay available: those that are not available first."""
    sizes = [group.wanted for group in old]
    least = replicas - unavailable
    total = new.wanted + sum(sizes)
    # Pods of the new ReplicaSet that are not there yet may not be paid for with old ones that are.
    spare = total - least - max(new.wanted - new.available, 0)
    for index, group in enumerate(old):
        broken = min(max(group.wanted - group.available, 0), max(spare, 0))
        sizes[index] -= broken
        spare -= broken
    surplus = new.available + sum(min(group.available, size) for group, size in zip(old, sizes, strict=True)) - least
    surplus = min(surplus, spare)
    for index, size in enumerate(sizes):
        gone = min(size, max(surplus, 0))
        sizes[index] -= gone
        surplus -= gone
    return sizes
