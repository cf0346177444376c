"""Leadership where there is only one copy, what a write says about it, and how whoever is written to uses that.

A leader asks ``hold`` right before each write, and bounds the write by ``left_s``. That is not enough: a process can be
stopped between the question and the write, and go on minutes later. So each request names the term it was made in
(``X-Springtide-Leader: ROLE TERM``), and ``Terms`` at the other side refuses one from a term before the last it heard
of. A new leader's first request, which is a read, shuts the door behind its predecessor.
"""

from __future__ import annotations

import asyncio
import math

from prometheus_client import CollectorRegistry

from springtide.runtime.errors import BadInput, Conflict, Unavailable
from springtide.scaler.core import catalogue
from springtide.scaler.core.ports import Leadership
from springtide.wire import instruments

LEADER_HEADER = "X-Springtide-Leader"
MAX_ROLES = 100
MAX_HEADER_CHARS = 400


class Standby(Unavailable):
    """This copy does not lead, so it does not write."""


class Always:
    """The only copy there is."""

    role = ""

    def hold(self) -> int | None:
        return 0

    def left_s(self) -> float:
        return math.inf

    async def change(self, known: int | None) -> int | None:
        if known is None:
            return 0
        await asyncio.Event().wait()
        raise AssertionError("nobody else takes over")


class Terms:
    """The last term heard of, by role. Older ones are refused from then on."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<Terms {self._last}>"

    def check(self, header: str | None) -> None:
        """Raises Conflict for a request of a former leader; one without the header is nobody's term."""
        if header is None:
            return
        role, term = decode(header)
        last = self._last.get(role)
        if last is not None and term < last:
            raise Conflict(f"{role}: written in term {term}, but term {last} has begun; another copy leads now")
        if last is None and len(self._last) >= MAX_ROLES:
            raise BadInput(f"{LEADER_HEADER}: more than {MAX_ROLES} roles")
        self._last[role] = term


def read_headers(leadership: Leadership) -> dict[str, str]:
    """What a request that only asks says about the term: a new leader's first one shuts its predecessor out."""
    term = leadership.hold()
    return {LEADER_HEADER: f"{leadership.role} {term}"} if leadership.role and term is not None else {}


def write_headers(leadership: Leadership) -> dict[str, str]:
    """What a request that writes says about the term. Raises Standby from a copy that does not lead.

    It looks at the term once: between two looks a process can be stopped for hours.
    """
    term = leadership.hold()
    if term is None:
        raise Standby("not written: this copy does not lead")
    return {LEADER_HEADER: f"{leadership.role} {term}"} if leadership.role else {}


def decode(text: str) -> tuple[str, int]:
    role, _, term = text.rpartition(" ")
    if not role or not term.isascii() or not term.isdigit() or len(text) > MAX_HEADER_CHARS:
        raise BadInput(f"{LEADER_HEADER}: {text[:100]!r} is not a role, a space and a number")
    return role, int(term)


def show(leadership: Leadership, registry: CollectorRegistry) -> None:
    """``springtide_leader`` in /metrics, as true as each scrape."""

    def leading() -> float:
        return float(leadership.hold() is not None)

    instruments.gauge(catalogue.LEADER, registry).set_function(leading)
