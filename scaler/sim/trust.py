"""How far a replay can be trusted: what really ran, beside what replaying that policy comes to.

What really ran is read from the decision log (``/system/scaling/decisions``, a JSON object a line).
"""

from __future__ import annotations

import itertools
import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from springtide.runtime.errors import BadInput
from springtide.scaler.core.vocabulary import Writer
from springtide.scaler.sim.engine import PARTS
from springtide.scaler.sim.recording import Really

MAX_LINES = 5_000_000
MAX_LINE_CHARS = 100_000
REPLICA_S_WITHIN, COLD_STARTS_WITHIN = 0.05, 0.10
"""Shares by which a replay of the policy that ran may be off and still be trusted."""
MAX_UNTOLD_S, NEAR_LOOKS = 300.0, 20
"""Without a look in the log for longer its looks are not known; how far apart they are is taken from near ones."""


@dataclass(frozen=True, slots=True)
class Change:
    """A count that was changed, or looked at and left."""

    at: float
    before: int
    after: int
    writer: str | None = None
    looked_at: float | None = None
    """As of when the control loop saw the load, where it was the one that looked."""


def read(lines: Iterable[str], source: str) -> Mapping[str, Sequence[Change]]:
    """By function, in order. Raises BadInput that names the line."""
    found: dict[str, list[Change]] = {}
    for number, line in enumerate(lines, 1):
        if number > MAX_LINES or len(line) > MAX_LINE_CHARS:
            raise BadInput(f"{source}, line {number}: more than {MAX_LINES:,} lines, or than {MAX_LINE_CHARS:,} in it")
        if line.strip():
            function, change = _change(line, f"{source}, line {number}")
            found.setdefault(function, []).append(change)
    if not found:
        raise BadInput(f"{source}: no decision; save what GET /system/scaling/decisions?tail=1000 answers")
    return {name: sorted(changes, key=lambda change: change.at) for name, changes in found.items()}


def _change(line: str, where: str) -> tuple[str, Change]:
    try:
        told = json.loads(line)
        at, before, after = float(told["t"]), int(told["before"]), int(told["after"])
        function, writer = str(told["function"]), told.get("writer")
        age_s = float(told.get("inputs", {}).get("data_age_s", 0.0))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        at, before, after, age_s, function, writer = math.nan, 0, 0, 0.0, "", None
    if not math.isfinite(at - age_s) or min(before, after) < 0:
        told = line.strip()[:40]
        raise BadInput(f"{where}: {told!r} is no decision; write t, function, before and after, as the decision log")
    looked_at = at - age_s if writer == Writer.SCALER else None
    return function, Change(at, before, after, writer, looked_at)


def looks(log: Iterable[Sequence[Change]], begin: float, length_s: float) -> tuple[float, ...]:
    """When the control loop looked, from a while before ``begin`` on; empty where the log tells it too seldom.

    A look at which nothing is told of any function is not in the log; they come evenly in between.
    """
    told = sorted({change.looked_at - begin for changes in log for change in changes if change.looked_at is not None})
    told = [at for at in told if -MAX_UNTOLD_S < at <= length_s + MAX_UNTOLD_S]
    gaps_s = [later - earlier for earlier, later in itertools.pairwise(told)]
    near = [gap_s / round(gap_s) for gap_s in gaps_s if round(gap_s) in range(1, NEAR_LOOKS + 1)]
    if not near or max(*gaps_s, told[0], length_s - told[-1]) > MAX_UNTOLD_S:
        return ()
    period_s = statistics.median(near)
    # Before the first and after the last that is told they come as they do in between.
    first = told[0] - period_s * math.ceil(max(0.0, told[0]) / period_s)
    last = told[-1] + period_s * math.ceil(max(0.0, length_s - told[-1]) / period_s)
    found: list[float] = []
    for earlier, later in itertools.pairwise(sorted({first, *told, last})):
        number = max(1, round((later - earlier) / period_s))
        found += [earlier + (later - earlier) * place / number for place in range(number)]
    return (*found, last)


def really(changes: Sequence[Change], begin: float, length_s: float, looked: tuple[float, ...] = ()) -> Really | None:
    """What there was from ``begin`` on, wanted counts taken; None where the log does not say it.

    ``looked``: see ``looks``.
    """
    end = begin + length_s
    earlier = [change for change in changes if change.at <= begin]
    within = [change for change in changes if begin < change.at < end]
    if not earlier and not within:
        return None
    first = earlier[-1].after if earlier else within[0].before
    steps = [(begin, first), *((change.at, change.after) for change in within), (end, 0)]
    spans = [(since, until, count) for (since, count), (until, _) in itertools.pairwise(steps)]
    part_s = length_s / PARTS
    edges = [begin + part * part_s for part in range(PARTS)]
    return Really(
        replica_s=sum(count * (until - since) for since, until, count in spans),
        cold=None,
        largest=max(count for _, count in steps),
        replicas=[_replica_s(spans, edge, edge + part_s) / part_s for edge in edges],
        awake=first > 0,
        swept_s=next((change.at - begin for change in within if change.writer == Writer.IDLER), 0.0),
        cold_starts=sum(change.before == 0 < change.after for change in within),
        looks=tuple(at for at in looked if at > min(0.0, _deployed_at(changes[0]) - begin)),
    )


def _deployed_at(first: Change) -> float:
    """Before a function was there it had no calls; where the log begins later nobody knows what came before."""
    return first.at if first.before == 0 and first.writer == Writer.PERSON else math.inf


def _replica_s(spans: Sequence[tuple[float, float, int]], begin: float, end: float) -> float:
    return sum(count * max(0.0, min(until, end) - max(since, begin)) for since, until, count in spans)


@dataclass(frozen=True, slots=True)
class Error:
    """By what a replay differs from what there was, as a share: 0.05 is five hundredths more. None: not known."""

    replica_s: float | None
    cold_starts: float | None

    def __str__(self) -> str:
        parts = [
            f"{name} {error:+.1%}" + ("" if abs(error) <= within else f" (more than {within:.0%})")
            for name, error, within in (
                ("replica-seconds", self.replica_s, REPLICA_S_WITHIN),
                ("cold starts", self.cold_starts, COLD_STARTS_WITHIN),
            )
            if error is not None
        ]
        return ", ".join(parts) or "not known"


def error(was: Iterable[Really], *, replica_s: float, cold: int, cold_starts: int) -> Error:
    """Cold starts where the log tells them, else the calls that were measured as cold."""
    known = list(was)
    if not known:
        return Error(None, None)
    starts = [each.cold_starts for each in known if each.cold_starts is not None]
    calls = [each.cold for each in known if each.cold is not None]
    off = None
    if len(starts) == len(known):
        off = _share(cold_starts, sum(starts))
    elif len(calls) == len(known):
        off = _share(cold, sum(calls))
    return Error(_share(replica_s, sum(each.replica_s for each in known)), off)


def _share(simulated: float, was: float) -> float | None:
    if was:
        return simulated / was - 1.0
    return None if simulated else 0.0
