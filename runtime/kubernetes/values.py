"""What goes into requests to an API server and comes out of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
"""One API object as the server sent it."""


@dataclass(frozen=True, slots=True)
class Where:
    """Which objects of a kind: ``namespace`` None is every namespace; selectors as kubectl writes them."""

    namespace: str | None = None
    labels: str = ""
    fields: str = ""

    @property
    def params(self) -> dict[str, str]:
        given = {"labelSelector": self.labels, "fieldSelector": self.fields}
        return {key: value for key, value in given.items() if value}


@dataclass(frozen=True, slots=True)
class Listing:
    """A consistent list, and the version from which a watch goes on."""

    items: list[Json]
    resource_version: str


@dataclass(frozen=True, slots=True)
class Scale:
    """The scale subresource. ``version`` is the object's resourceVersion: the compare-and-set of a write."""

    replicas: int
    running: int
    version: str


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """``kind`` is ADDED, MODIFIED, DELETED or BOOKMARK; an ERROR is raised instead."""

    kind: str
    object: Json


@dataclass(frozen=True, slots=True)
class LogWish:
    """Which lines of a container's log; ``since_s`` seconds back, ``tail`` at most so many."""

    container: str = ""
    follow: bool = False
    since_s: int | None = None
    since_time: str = ""
    tail: int | None = None
    previous: bool = False

    @property
    def params(self) -> dict[str, str]:
        given = {
            "container": self.container,
            "follow": "true" if self.follow else "",
            "sinceSeconds": "" if self.since_s is None else str(max(1, self.since_s)),
            "sinceTime": self.since_time,
            "tailLines": "" if self.tail is None else str(self.tail),
            "previous": "true" if self.previous else "",
            "timestamps": "true",
        }
        return {key: value for key, value in given.items() if value}


def delete_options(
    *, uid: str = "", resource_version: str = "", propagation: str = "Background", grace_s: int | None = None
) -> Json:
    """What ``delete`` takes: preconditions, what becomes of dependents, and the time to end."""
    preconditions = {key: value for key, value in {"uid": uid, "resourceVersion": resource_version}.items() if value}
    options: Json = {"propagationPolicy": propagation}
    if preconditions:
        options["preconditions"] = preconditions
    if grace_s is not None:
        options["gracePeriodSeconds"] = grace_s
    return options
