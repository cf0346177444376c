"""How several copies of the worker share the room of a function: what each of them may hold. Pure; ``now`` in seconds.

Each copy says now and then what it holds, and which message of each other copy it heard last. A function's room is
divided between the copies that are there; one that holds more than its part, as it was there before, leaves the others
less until its jobs have ended.

A copy takes jobs only while each other one is known to count it. That is a lease: the others count it for ``LEASE_S``
after they heard it, and it reckons from when it sent the message that they say they heard. So a copy that was stopped
or cut off finds by its own clock that it may not, whatever old messages it reads first. It hears its own messages, too:
while it does not, it knows nothing of the others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

LEASE_S = 3.0
SETTLE_S = 0.5
"""How long a copy that comes, or comes back, listens before it counts as heard by all that are there."""

MAX_DEAF_S = 10.0
"""A copy that cannot settle though it says what it should goes by what it knows after that: a server may be closed to
such messages, and jobs are to go out all the same."""

MAX_COPIES = 1000

_NEVER = float("-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """``number`` counts the messages of one copy. ``heard`` has that of the last one of each copy that it counts;
    ``holds`` its jobs by function, those included that it is about to take. One that is ``leaving`` takes none any
    more."""

    copy: str
    number: int
    heard: Mapping[str, int] = field(default_factory=dict)
    holds: Mapping[str, int] = field(default_factory=dict)
    leaving: bool = False


class _Other(NamedTuple):
    said: Said
    heard_at: float
    counts_me_since: float
    """When that message of ours was sent which it heard last."""


class Sharing:
    """Of the copy ``me``. ``forget_s``: how long what a copy held counts after it was heard last, which is as long as
    its leases last."""

    def __init__(self, me: str, *, forget_s: float) -> None:
        self._me = me
        self._forget_s = max(forget_s, LEASE_S)
        self._number = 0
        self._sent_at: dict[int, float] = {}
        """Of the messages of the last ``LEASE_S``, by number."""
        self._said_at = self._heard_since = self._began_at = _NEVER
        """When the last message was sent; the last one that we heard ourselves; the first without a gap since."""
        self._unsettled_since: float | None = None
        self._others: dict[str, _Other] = {}
        self._seen: object = None

    def __repr__(self) -> str:
        return f"<Sharing of {self._me} with {len(self._others)} others>"

    # What is said and heard.

    def say(self, holds: Mapping[str, int], *, leaving: bool, now: float) -> Said:
        """The next message of this copy."""
        if self._heard_since < now - LEASE_S and self._began_at < now - LEASE_S:
            self._began_at = now
        if self._settled(now):
            self._unsettled_since = None
        elif self._unsettled_since is None or self._said_at < now - LEASE_S:
            self._unsettled_since = now
        self._number += 1
        self._said_at = now
        self._sent_at = {number: at for number, at in self._sent_at.items() if at >= now - LEASE_S}
        self._sent_at[self._number] = now
        heard = {name: self._others[name].said.number for name in self._counted(now)}
        # Alone there is nobody whom it concerns.
        told = dict(holds) if self._others else {}
        return Said(copy=self._me, number=self._number, heard=heard, holds=told, leaving=leaving)

    def unsaid(self) -> None:
        """It did not go out: the server is away."""
        self._unsettled_since = None

    def hear(self, said: Said, *, now: float) -> bool:
        """Whether it is to be answered at once: that copy was not counted, and waits for that."""
        if said.copy == self._me:
            self._heard_since = max(self._heard_since, self._sent_at.get(said.number, _NEVER))
            return False
        before = self._others.get(said.copy)
        if before is not None and said.number <= before.said.number:
            return False
        if said.leaving and not said.holds:
            self._others.pop(said.copy, None)
            return False
        if before is None and len(self._others) >= MAX_COPIES:
            return False
        since = self._sent_at.get(said.heard.get(self._me, 0), _NEVER)
        self._others[said.copy] = _Other(said, now, since)
        return not said.leaving and (before is None or not _is_counted(before, now))

    def changed(self, now: float) -> bool:
        """Whether somebody may have more room than when this was asked last."""
        self._others = {name: other for name, other in self._others.items() if other.heard_at >= now - self._forget_s}
        holds = {name: other.said.holds for name, other in self._others.items()}
        before, self._seen = self._seen, (self.may_take(now), self._counted(now), holds)
        return before != self._seen

    # What follows from it.

    def others(self, now: float) -> int:
        """Copies that room is shared with."""
        return len(self._counted(now))

    def deaf(self, now: float) -> bool:
        """Whether it goes by what it knows, for it cannot settle."""
        since = self._unsettled_since
        return since is not None and now >= since + MAX_DEAF_S and self._said_at >= now - LEASE_S

    def may_take(self, now: float) -> bool:
        return self._settled(now) or self.deaf(now)

    def room(self, function: str, whole: int, *, now: float) -> int:
        """Jobs that this copy may hold of a function that has room for ``whole``."""
        if not self.may_take(now):
            return 0
        if not self._others:
            return whole
        counted = self._counted(now)
        shares = divided(function, whole, [*counted, self._me])
        theirs = sum(
            max(other.said.holds.get(function, 0), shares.get(name, 0)) for name, other in self._others.items()
        )
        return max(0, whole - theirs)

    def _settled(self, now: float) -> bool:
        return (
            self._heard_since >= max(self._began_at, now - LEASE_S)
            and now >= self._began_at + SETTLE_S
            and all(self._others[name].counts_me_since >= now - LEASE_S for name in self._counted(now))
        )

    def _counted(self, now: float) -> list[str]:
        return [name for name, other in self._others.items() if _is_counted(other, now)]


def divided(function: str, whole: int, copies: Sequence[str]) -> dict[str, int]:
    """What each copy has of it; whoever gets one more than others is another one for another function.

    The order is that of rendezvous hashing (D. Thaler and C. Ravishankar, "A Name-Based Mapping Scheme for
    Rendezvous", 1996): when a copy goes, no part of another becomes smaller, so that for as long as copies do not
    agree on who is there, they have no more than the whole.
    """
    each, more = divmod(whole, len(copies))
    order = sorted(copies, key=lambda copy: hashlib.blake2b(f"{copy} {function}".encode(), digest_size=8).digest())
    return {copy: each + (place < more) for place, copy in enumerate(order)}


def _is_counted(other: _Other, now: float) -> bool:
    return not other.said.leaving and other.heard_at >= now - LEASE_S
