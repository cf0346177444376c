"""What a check is, and what it finds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

Facts = TypeVar("Facts")
MAX_NAMED = 5


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """It works, and something may be lost, or stop, if nothing is done."""
    ERROR = "error"
    """Something does not work."""


@dataclass(frozen=True, slots=True)
class Verdict:
    level: Level
    says: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    """Its area and its name, as scripts know it: ``broker.sync``."""
    verdict: Verdict


Check = Callable[[Facts], Verdict | None]
"""Named by its function. None: there is nothing to look at."""


@dataclass(frozen=True, slots=True)
class Area(Generic[Facts]):
    name: str
    gather: Callable[[], Awaitable[Facts]]
    """It raises nothing: what cannot be had is a fact, too."""
    checks: Sequence[Check[Facts]]

    async def examine(self) -> list[Finding]:
        facts = await self.gather()
        looked = [(f"{self.name}.{check.__name__}", check(facts)) for check in self.checks]
        return [Finding(name, verdict) for name, verdict in looked if verdict is not None]


def ok(says: str) -> Verdict:
    return Verdict(Level.OK, says)


def warning(says: str, remedy: str) -> Verdict:
    return Verdict(Level.WARNING, says, remedy)


def error(says: str, remedy: str) -> Verdict:
    return Verdict(Level.ERROR, says, remedy)


def named(names: Sequence[str]) -> str:
    more = len(names) - MAX_NAMED
    return ", ".join(names[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
