"""What was asked of the server, counted; and which permissions that took."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

from tests.kubernetes.emulator.request_info import RequestInfo


class Access(NamedTuple):
    """One permission: what a rule of a role has to grant."""

    verb: str
    group: str
    resource: str
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class _Kind:
    access: Access
    status: int
    user: str


class RequestLog:
    """Requests for resources; discovery and health are not counted."""

    def __init__(self) -> None:
        self._counts: Counter[_Kind] = Counter()

    def __repr__(self) -> str:
        by_access = Counter[Access]()
        for kind, count in self._counts.items():
            by_access[kind.access] += count
        listing = ", ".join(f"{access.verb} {access.resource}: {count}" for access, count in by_access.most_common())
        return f"<RequestLog {listing}>"

    def record(self, info: RequestInfo, status: int, user: str) -> None:
        access = Access(info.verb, info.group, info.resource, info.subresource)
        self._counts[_Kind(access, status, user)] += 1

    def clear(self) -> None:
        self._counts.clear()

    @property
    def used(self) -> set[Access]:
        return self.used_by(None)

    def used_by(self, user: str | None) -> set[Access]:
        """The permissions that one user has used; None: anyone."""
        return {kind.access for kind in self._counts if user is None or kind.user == user}

    def count(
        self,
        *,
        verb: str | None = None,
        resource: str | None = None,
        group: str | None = None,
        subresource: str | None = None,
        status: int | None = None,
    ) -> int:
        """Requests for which all that is given fits."""
        wanted = (verb, group, resource, subresource)
        return sum(
            count
            for kind, count in self._counts.items()
            if status in (None, kind.status)
            and all(want in (None, have) for want, have in zip(wanted, kind.access, strict=True))
        )
