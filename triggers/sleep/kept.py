"""What outlives whoever learns: each function's history and account, and up to when gateways were heard.

It is kept where schedules are, in the state folder of one machine, or in the broker, which every copy reaches: so what
was learned moves with who leads, and costs neither the provider nor an API server anything. It is written every few
tens of seconds, as far as it has changed, and when the part ends; what gateways still remember of the time since is
asked of them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from springtide.runtime import bounded_json
from springtide.runtime.errors import BadInput
from springtide.scaler.core.keepalive.account import Account
from springtide.scaler.core.keepalive.encoding import DamagedHistory, decode, encode
from springtide.scaler.core.keepalive.forecasts import REMEMBERED, Outcome, Score
from springtide.scaler.core.keepalive.windows import Window
from springtide.scaler.core.vocabulary import FunctionRef, Instant
from springtide.triggers.sleep.watching import Heard, Watched
from springtide.wire.learned_sleep import MAX_WINDOWS

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


def record(watched: Watched, score: Score, account: Account | None = None) -> str:
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
    if account is not None:
        value["a"] = _account_json(account)
    return json.dumps(value, separators=(",", ":"))


def from_record(text: str) -> tuple[Watched, Score, Account | None]:
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
        account = _account(value["a"]) if "a" in value else None
    except (AttributeError, DamagedHistory, KeyError, TypeError, ValueError) as error:
        raise BadInput(f"no history of a function: {error!r:.200}") from error
    return watched, score, account


def _account_json(account: Account) -> list[Any]:
    """The windows by the age of their pause, to a tenth of a second; null is without end."""
    since = account.since
    ages = [
        [round(age - since, 1) if math.isfinite(age) else None for age in (window.since, window.until)]
        for window in account.windows
        if since is not None
    ]
    return [account.day, round(account.balance_s, 1), since, ages]


def _account(value: Any) -> Account:
    day, balance_s, since, ages = value
    if len(ages) > MAX_WINDOWS:
        raise ValueError(f"{len(ages)} windows of a pause")
    if since is None:
        return Account(int(day), _finite(balance_s))
    at = Instant(_finite(since))
    windows = (Window(*(math.inf if age is None else at + _finite(age) for age in pair)) for pair in ages)
    return Account(int(day), _finite(balance_s), at, tuple(windows))


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{number} is not finite")
    return number


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
