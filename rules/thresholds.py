"""Every number that an alert compares with, in one place.

``python -m springtide.rules --set NAME=VALUE --to FOLDER`` writes the rules with other ones; the table in
``docs/runbooks/README.md`` is made from the texts here.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from springtide.runtime.errors import BadInput


def _number(default: float, unit: str, meaning: str, *, low: float = 0.0, high: float = math.inf) -> Any:
    metadata = {"unit": unit, "meaning": meaning, "low": low, "high": high}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Names say which alert they belong to, units are in the names (``_s``: seconds). Raises BadInput out of range."""

    # Loads above which a function climbs.
    calls_per_s: float = _number(5, "calls/s", "calls of a function that begin, all its replicas together")
    calls_in_flight: float = _number(10, "calls", "calls in flight per replica of a function's minimum")

    # The parts.
    down_s: float = _number(30, "s", "a part does not answer its scrapes")
    gone_s: float = _number(3600, "s", "a part that is not there at all any more is still missed", low=600)
    disconnected_s: float = _number(30, "s", "a gateway hears nothing from the provider")
    no_leader_s: float = _number(60, "s", "no copy of a part leads")
    no_sweep_s: float = _number(300, "s", "the idler finished no sweep; above two of its sweep intervals")
    settling_s: float = _number(60, "s", "a part that has just started is given to do its first round")
    failing_s: float = _number(60, "s", "queries, deliveries or cold starts keep failing")
    holding_s: float = _number(300, "s", "functions are held because nothing fresh is measured")
    look_s: float = _number(1, "s", "a look of the scaler takes; its interval")
    no_look_s: float = _number(10, "s", "the scaler ended no look; after a pause as long it begins anew")
    calls_age_s: float = _number(3, "s", "what gateways tell each second is old; beyond 5 s it is not believed", high=5)
    behind_s: float = _number(60, "s", "the scaler is behind by one of the three")
    overdue_s: float = _number(60, "s", "a tick of a schedule is late that is not sent yet")
    unheard_s: float = _number(
        120, "s", "who learns when functions sleep has not heard every gateway; after 60 s it plans nothing"
    )
    loop_behind_ratio: float = _number(
        0.1, "", "share of the time by which an event loop may be behind: 0.1 is about 55 ms each half second", high=1
    )
    loop_behind_s: float = _number(120, "s", "an event loop is behind by more than that share")
    wrong_passwords: float = _number(
        20, "requests", "requests to one part in five minutes that showed a wrong password"
    )
    held_ratio: float = _number(0.8, "", "share of the queue of waiting calls that may be taken", high=1)
    held_s: float = _number(10, "s", "the queue is fuller than that")

    # Asynchronous calls.
    broker_away_s: float = _number(30, "s", "the server that keeps asynchronous calls does not answer a worker")
    broker_full_ratio: float = _number(0.8, "", "share of what that server may keep that is taken", high=1)
    unsynced_s: float = _number(
        0.5, "s", "an accepted call may be on no disk; 0.5: whenever writes are not synced first"
    )
    backlog: float = _number(100, "calls", "calls of a function in a queue below which its growth is nothing to tell")
    growing_s: float = _number(600, "s", "such a queue grows without a pause")
    oldest_job_s: float = _number(3600, "s", "age of a queue's oldest call, which waits, runs or is repeated")
    dead_letters: float = _number(1, "letters", "calls and callbacks of a queue that were given up and lie there")
    callback_failures: float = _number(5, "tries", "tries in five minutes to tell callers an answer that failed")

    # Events.
    source_away_s: float = _number(120, "s", "no connector is connected to a source of events")
    not_taken_s: float = _number(60, "s", "the gateway has taken no event of a source for five minutes, and longer")
    failed_events: float = _number(5, "events", "events of a function in 15 minutes that it failed or was refused")

    # Objectives.
    objective: float = _number(0.99, "", "share of a function's calls that are to be answered without a 5xx", high=1)
    burn_fast: float = _number(14.4, "×", "pace of errors that pages: a 30-day budget is gone in two days", low=1)
    burn_slow: float = _number(6, "×", "pace of errors that is worth a ticket: the budget is gone in five days", low=1)
    least_failed: float = _number(10, "calls", "failed calls in the longer window below which nothing burns")
    cold_start_p95_s: float = _number(5, "s", "wait that 95 % of a function's cold calls stay below")
    least_cold_starts: float = _number(3, "calls", "cold calls in an hour below which no quantile is taken")

    # Functions.
    not_ready_s: float = _number(300, "s", "a function has fewer ready replicas than wanted")
    at_max_s: float = _number(900, "s", "a function has as many replicas as its label allows")
    peaks: float = _number(3, "turns", "turns from up to down in half an hour that are flapping", low=1)
    crashes: float = _number(5, "restarts", "replicas of a function that died and were started again in 15 minutes")
    conflicts: float = _number(3, "writes", "writes to a function in 15 minutes that lost to another's")
    alternating: float = _number(
        3, "writes", "writes of each of two writers to one function in 15 minutes that are a fight", low=1
    )

    def __post_init__(self) -> None:
        problems = [problem for setting in settings(self) if (problem := setting.problem) is not None]
        problems += [] if problems else _unreachable(self)
        if problems:
            raise BadInput("\n".join(problems))


def _unreachable(thresholds: Thresholds) -> list[str]:
    """Paces of errors at which more than all calls would have to fail: alerts that are there and never fire."""
    budget = 1 - thresholds.objective
    paces = {"burn_fast": thresholds.burn_fast, "burn_slow": thresholds.burn_slow}
    return [
        f"{name}={pace:g}: with objective={thresholds.objective:g} that is {pace * budget:.0%} of the calls, "
        f"which never fail; write less than {1 / budget:g}"
        for name, pace in paces.items()
        if pace * budget >= 1
    ]


@dataclass(frozen=True, slots=True)
class Setting:
    """One field of Thresholds, for people."""

    name: str
    value: float
    unit: str
    meaning: str
    problem: str | None


def settings(thresholds: Thresholds) -> tuple[Setting, ...]:
    return tuple(_setting(each, getattr(thresholds, each.name)) for each in dataclasses.fields(thresholds))


def changed(given: Mapping[str, str]) -> Thresholds:
    """The defaults with some replaced. Raises BadInput naming every name or value that is none."""
    known = {each.name for each in dataclasses.fields(Thresholds)}
    problems = [f"{name}: no such threshold; there are {', '.join(sorted(known))}" for name in given.keys() - known]
    values: dict[str, float] = {}
    for name, text in given.items():
        try:
            values[name] = float(text)
        except ValueError:
            problems.append(f"{name}={text}: not a number")
    if problems:
        raise BadInput("\n".join(problems))
    return Thresholds(**values)


def _setting(each: dataclasses.Field[Any], value: float) -> Setting:
    low, high = each.metadata["low"], each.metadata["high"]
    # Not a number compares false with everything, so the range is asked for, not its opposite.
    problem = None if low < value < high else f"{each.name}={value:g}: must be above {low:g} and below {high:g}"
    return Setting(each.name, value, each.metadata["unit"], each.metadata["meaning"], problem)
