"""What outlives whoever learns: each function's history, and up to when gateways were heard.

It is kept where schedules are, in the state folder of one machine, or in the broker, which every copy reaches: so what
was learned moves with who leads, and costs neither the provider nor an API server anything. It is written every few
tens of seconds, as far as it has changed, and when the part ends; what gateways still remember of the time since is
asked of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from springtide.runtime import bounded_json
from springtide.runtime.errors import BadInput
from springtide.scaler.core.keepalive.encoding import DamagedHistory, decode, encode
from springtide.scaler.core.keepalive.forecasts import REMEMBERED, Outcome, Score
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.triggers.sleep.watching import Heard, Watched

MAX_GATEWAYS = 1000
MAX_LIVES = 16
"""Of gateways that a function was called at, which are counted on."""


@dataclass(frozen=True, slots=True)
class Position:
    """Up to when every gateway was heard, and which ones there were."""

    heard_until: float
    gateways: Mapping[str, Heard] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Kept:
    """``position`` None: nobody ever learned here. ``records`` are texts as ``record`` writes them."""

    position: Position | None = None
    records: Mapping[FunctionRef, str] = field(default_factory=dict)


class Store(Protocol):
    """Both raise SpringtideError."""

    async def load(self) -> Kept: ...

    async def save(self, position: Position, changed: Mapping[FunctionRef, str | None]) -> None:
        """The records first, of which None is removed: what was heard after ``position`` is asked for again.

        Raises Conflict where another copy has written since ``load``.
        """


def record(watched: Watched, score: Score) -> str:
    """One line of JSON."""
    value: dict[str, Any] = {"h": encode(watched.history)}
    if watched.last_busy is not None:
        value["b"] = watched.last_busy
    if watched.counted:
        newest = sorted(watched.counted.items(), key=lambda one: one[1])[-MAX_LIVES:]
        value["c"] = {life: list(counted) for life, counted in newest}
    if score != Score():
        value["s"] = [outcome.value for outcome in score.last]
        value["l"] = list(score.lost_for) if score.lost_for is not None else None
    return json.dumps(value, separators=(",", ":"))


def from_record(text: str) -> tuple[Watched, Score]:
    """Raises BadInput."""
    try:
        value = bounded_json.loads(text.encode())
        counted = {str(life): (float(begun), int(calls)) for life, (begun, calls) in value.get("c", {}).items()}
        last_busy = value.get("b")
        watched = Watched(decode(str(value["h"])), float(last_busy) if last_busy is not None else None, counted)
        lost_for = value.get("l")
        score = Score(
            tuple(Outcome(outcome) for outcome in value.get("s", ())[-REMEMBERED:]),
            tuple(int(number) for number in lost_for) if lost_for is not None else None,
        )
    except (AttributeError, DamagedHistory, KeyError, TypeError, ValueError) as error:
        raise BadInput(f"no history of a function: {error!r:.200}") from error
    return watched, score


def position_json(position: Position) -> str:
    gateways = {url: [heard.life, heard.at] for url, heard in position.gateways.items()}
    return json.dumps({"at": position.heard_until, "gateways": gateways}, separators=(",", ":"))


def position_from_json(text: str) -> Position:
    """Raises BadInput."""
    try:
        value = bounded_json.loads(text.encode())
        gateways = list(value["gateways"].items())[:MAX_GATEWAYS]
        return Position(float(value["at"]), {str(url): Heard(str(life), float(at)) for url, (life, at) in gateways})
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadInput(f"no position of what was heard: {error!r:.200}") from error
