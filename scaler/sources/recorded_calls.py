"""A function's past as the suite's own Prometheus has it, for what replays it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence

from springtide.runtime.errors import BadInput, NotFound
from springtide.scaler.core import catalogue
from springtide.scaler.sim import recording as recordings
from springtide.scaler.sim.engine import PARTS
from springtide.scaler.sim.recording import MAX_CALLS, Really, Recording, Scrapes, Stretch
from springtide.scaler.sim.traces import drawn_from
from springtide.scaler.sim.worlds import Draw
from springtide.wire.prometheus import PrometheusClient, quoted

CHUNK_S = 6 * 3600
"""Of raw samples in one answer: 7,200 of a gateway scraped every 3 s, some 200 kB."""
MAX_SINCE_S = 90 * 86400.0
MAX_SAMPLES = 20_000_000
MAX_FUNCTIONS = 5_000
NOTHING = "it has none of any function: does it scrape the gateway, and did it do so then?"
MIN_STEP_S = 30
READY_PART = "ready"
"""The part of a cold start that the replica takes, in ``COLD_START_PART``."""

Progress = Callable[[float], None]
"""Told the share that is done."""


class RecordedCalls:
    """Raises Unavailable when Prometheus cannot be asked, NotFound when it has nothing."""

    def __init__(self, prometheus: PrometheusClient) -> None:
        self._prometheus = prometheus

    async def functions(self, since: float, until: float) -> list[str]:
        """Functions whose calls were counted in that time, in the order of their names."""
        length_s = _whole(until - since)
        name = catalogue.STARTED.name
        found = await self._prometheus.vector(
            f"group by (function_name) (last_over_time({name}[{length_s}s]))", at=until
        )
        names = sorted(sample.labels["function_name"] for sample in found if sample.labels.get("function_name"))
        if len(names) > MAX_FUNCTIONS:
            raise BadInput(f"Prometheus has {len(names)} functions in that time; name one (at most {MAX_FUNCTIONS})")
        return names

    async def named(self, name: str, since: float, until: float) -> str:
        """The function that is meant by its name alone, or by name and namespace. Raises NotFound, or BadInput."""
        known = await self.functions(since, until)
        meant = [name] if name in known else [each for each in known if each.rpartition(".")[0] == name]
        if len(meant) > 1:
            raise BadInput(f"{name}: there are {', '.join(meant[:5])}; write its namespace, too")
        if not meant:
            there = f"there are {', '.join(known[:5])}{' …' if len(known) > 5 else ''}" if known else NOTHING
            raise NotFound(f"Prometheus at {self._prometheus.url} has no calls of {name} in that time; {there}")
        return meant[0]

    async def record(
        self, function: str, since: float, until: float, *, progress: Progress = lambda _: None
    ) -> Recording:
        """All that is known of the function between two instants, in seconds since the epoch."""
        series = await self._scrapes(function, since, until, progress)
        begin, length_s, known = recordings.stretches(function, series)
        if not known:
            raise NotFound(
                f"Prometheus at {self._prometheus.url} has no calls of {function} in that time; "
                "look at its name with springtide list, ask for a longer --since, or wait some seconds if it is new"
            )
        calls = sum(stretch.trace.calls for stretch in known)
        if calls > MAX_CALLS:
            raise BadInput(
                f"{function} had {calls:,} calls in that time; at most {MAX_CALLS:,} are replayed: shorten it"
            )
        end = begin + length_s
        service = await self._service(function, begin, end)
        progress(0.95)
        return Recording(
            function=function,
            begin=begin,
            length_s=length_s,
            stretches=known,
            service_s=service and service[0],
            service_mean_s=service and service[1],
            cold_start_s=await self._cold_start_s(function, begin, end),
            really=await self._really(function, begin, end, known),
        )

    async def _scrapes(self, function: str, since: float, until: float, progress: Progress) -> Sequence[Scrapes]:
        """Of each gateway, in chunks of which none is too large for one answer."""
        found: dict[tuple[tuple[str, str], ...], Scrapes] = {}
        selector, samples, at = f"{catalogue.STARTED.name}{{{_one(function)}}}", 0, since
        while at < until:
            length_s = _whole(min(CHUNK_S, until - at))
            end = min(until, at + length_s)
            for series in await self._prometheus.raw(selector, until=end, length_s=length_s):
                key = tuple(sorted(series.labels.items()))
                found.setdefault(key, Scrapes()).extend(series.at, series.values)
                samples += len(series.at)
            if samples > MAX_SAMPLES:
                raise BadInput(f"{function}: more than {MAX_SAMPLES:,} samples in that time; ask for a shorter --since")
            at = end
            progress(0.9 * (at - since) / (until - since))
        return list(found.values())

    async def _service(self, function: str, since: float, until: float) -> tuple[Draw, float] | None:
        """How long calls take, and the mean in seconds: the histogram's shape, and of its sum what was not waiting."""
        name, window = catalogue.SECONDS.name, f"{{{_one(function)}}}[{_whole(until - since)}s]"
        total_s = await self._number(f"sum(increase({name}_sum{window}))", until)
        calls = await self._number(f"sum(increase({name}_count{window}))", until)
        if not total_s or not calls:
            return None
        held_s = await self._number(f"sum(increase({catalogue.COLD_START.name}_sum{window}))", until) or 0.0
        mean_s = max(total_s - held_s, total_s * 0.01) / calls
        buckets = await self._prometheus.vector(f"sum by (le) (increase({name}_bucket{window}))", at=until)
        counts = {float(sample.labels["le"]): sample.value for sample in buckets if sample.labels.get("le")}
        return drawn_from(scaled(counts, mean_s)), mean_s

    async def _cold_start_s(self, function: str, since: float, until: float) -> float | None:
        """The mean time until a replica took a call that had to wait for one."""
        selector = f'{{{_one(function)},part="{READY_PART}"}}[{_whole(until - since)}s]'
        name = catalogue.COLD_START_PART.name
        total_s = await self._number(f"sum(increase({name}_sum{selector}))", until)
        count = await self._number(f"sum(increase({name}_count{selector}))", until)
        return total_s / count if total_s and count and count >= 1 else None

    async def _really(self, function: str, since: float, until: float, known: Sequence[Stretch]) -> Really | None:
        """What the gateways said of the replicas; beyond the journal of decisions nobody else knows it."""
        # A shorter one would lie between two scrapes and find nothing.
        step_s = max(MIN_STEP_S, math.ceil((until - since) / (PARTS * 5)))
        desired, start = catalogue.DESIRED.name, _whole(since) + step_s
        if start > until:  # recorded for less than a step
            return None
        query = f"max(avg_over_time({desired}{{{_one(function)}}}[{step_s}s]))"
        means = await self._prometheus.first_of_range(query, start=start, end=int(until), step_s=step_s)
        if not means:
            return None
        spans = [(since + each.since_s, since + each.since_s + each.trace.length_s) for each in known]
        kept = {at: mean for at, mean in means.items() if any(low <= at - step_s / 2 <= high for low, high in spans)}
        known_s = sum(high - low for low, high in spans)
        window = f"{{{_one(function)}}}[{_whole(until - since)}s]"
        cold = await self._number(f"sum(increase({catalogue.COLD_START.name}_count{window}))", until)
        most = await self._number(f"max(max_over_time({desired}{window}))", until)
        return Really(
            replica_s=sum(kept.values()) / len(kept) * known_s if kept else 0.0,
            cold=None if cold is None else round(cold),
            largest=None if most is None else round(most),
            replicas=_in_parts(kept, step_s, since, until),
        )

    async def _number(self, query: str, at: float) -> float | None:
        found = await self._prometheus.vector(query, at=at)
        return found[0].value if found and math.isfinite(found[0].value) else None


def scaled(counts: Mapping[float, float], mean_s: float) -> tuple[tuple[float, float], ...]:
    """Points (share, seconds) of a histogram's cumulated counts, stretched so that their mean is ``mean_s``.

    Within a bucket calls are spread evenly; those above the last bound take between once and twice that.
    """
    bounds = sorted(counts)
    total = counts[bounds[-1]] if bounds else 0.0
    if total <= 0:
        return ((0.0, mean_s), (1.0, mean_s))
    points, below = [(0.0, 0.0)], 0.0
    for bound in bounds:
        share = max(points[-1][0], min(1.0, counts[bound] / total))
        below = bound if math.isfinite(bound) else 2 * below or mean_s
        if share > points[-1][0]:
            points.append((share, below))
        elif share == 0:
            points[-1] = (0.0, below)
        elif share < 1:
            # Nothing in this bucket: the next one begins at its own lower bound.
            points.append((share, below))
    middle = sum((later[0] - earlier[0]) * (earlier[1] + later[1]) / 2 for earlier, later in itertools.pairwise(points))
    factor = mean_s / middle if middle > 0 else 1.0
    return tuple((share, max(1e-6, seconds * factor)) for share, seconds in points)


def _in_parts(means: Mapping[float, float], step_s: int, since: float, until: float) -> list[float | None]:
    """A mean is that of the ``step_s`` seconds before its instant."""
    parts: list[list[float]] = [[] for _ in range(PARTS)]
    for at, mean in means.items():
        first, last = ((each - since) / (until - since) * PARTS for each in (at - step_s, at))
        for place in range(max(0, int(first)), min(PARTS, math.ceil(last))):
            parts[place].append(mean)
    return [sum(part) / len(part) if part else None for part in parts]


def _one(function: str) -> str:
    return f"function_name={quoted(function)}"


def _whole(seconds: float) -> int:
    """PromQL takes no fractions of the smallest unit it is asked in."""
    return max(1, math.ceil(seconds))
