"""A time limit as it is told to whoever meets it: its name, whose it is, how long, and what to do about it. Pure."""

from __future__ import annotations

from typing import NamedTuple

GATEWAY = "the gateway"


class TimeLimit(NamedTuple):
    """``name`` is what a person sets to change it, at ``owner``; 0 seconds are no limit."""

    name: str
    seconds: float
    owner: str = GATEWAY
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({shown_s(self.seconds)}) of {self.owner}"

    @property
    def with_remedy(self) -> str:
        return f"{self}; {self.remedy}" if self.remedy else str(self)


def shown_s(seconds: float) -> str:
    """``60 s``, ``0.25 s``: the same unit everywhere, so that limits can be compared at a glance."""
    return f"{seconds:.10g} s"
