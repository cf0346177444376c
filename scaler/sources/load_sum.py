"""The load of each function added up over every gateway, from the lines that they tell. Pure but for its clock.

Totals of started and completed calls only grow, whatever happens to gateways: the counters of a new life of a gateway,
which may be another gateway at an old address, are counted from its first line on. A gateway that has not been heard
for ``SILENT_AFTER_S`` is named, and what it has in flight is not in the sum: that is too small then. One that ended by
intention has no calls any more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from springtide.runtime.errors import Unavailable
from springtide.runtime.outage import Outage
from springtide.scaler.core.demand import LoadSample
from springtide.scaler.core.observation import Calls
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import FunctionRef, Instant, NoData
from springtide.wire.load_stream import INTERVAL_S, MAX_FUNCTIONS, End, Load, LoadLine

SILENT_AFTER_S = 3.0
"""A gateway tells each second."""

MAX_DRIFT_S = 1.0
"""Two clocks that were compared and are apart by more than this now: one of them was set."""


class Gateway:
    """One address. Instants are on our monotonic clock."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.known: dict[str, Load] = {}
        self.life = ""
        """Which life of the gateway ``known`` is of."""
        self.at: float | None = None
        """As of when ``known`` is."""
        self.whole_at = float("-inf")
        """When it was last heard with all its numbers."""
        self.ended = False
        self.retired = False
        """Its address is gone."""
        self.outage = Outage("a gateway does not tell its load", gateway=url)
        self._ahead_s = 0.0
        """What to add to the gateway's clock for ours: the least seen, which is what the fastest line took."""

    def __repr__(self) -> str:
        state = "ended" if self.ended else "heard" if self.at is not None else "not heard yet"
        return f"<Gateway {self.url} {state}, {len(self.known)} functions>"

    def silent(self, now: float) -> bool:
        return not self.ended and now - self.whole_at > SILENT_AFTER_S

    def heard_at(self, at: float, now: float) -> float:
        """When a line that came ``now`` was true, by our clock."""
        ahead_s = now - at
        if self.at is None or not 0 <= ahead_s - self._ahead_s <= MAX_DRIFT_S:
            self._ahead_s = ahead_s
        return at + self._ahead_s

    def forget(self) -> None:
        """It has no calls any more."""
        self.known, self.life, self.at, self.ended = {}, "", None, True


@dataclass(frozen=True, slots=True)
class _View:
    """What a look at ``now`` sees, the same for every function. ``at`` is None where no gateway is heard."""

    now: Instant
    at: Instant | None
    known: list[dict[str, Load]]
    silent: tuple[str, ...]
    nothing: NoData


class LoadSum:
    """What all gateways together say. ``add`` one before it is heard; ``take`` each of its lines."""

    def __init__(self, *, clock: Clock, unfound: Callable[[], Collection[str]] = tuple) -> None:
        """``unfound``: names that should stand for gateways and are not found; they are silent, too."""
        self._clock = clock
        self._unfound = unfound
        self.gateways: dict[str, Gateway] = {}
        self._totals: dict[str, tuple[float, float]] = {}
        self._view: _View | None = None
        self._wall_ahead_s = clock.wall() - clock.now()

    def __repr__(self) -> str:
        return f"<LoadSum {list(self.gateways.values())}, {len(self._totals)} functions>"

    def add(self, url: str) -> Gateway:
        """One that should be heard from now on."""
        self.changed()
        one = self.gateways[url] = Gateway(url)
        return one

    def drop(self, url: str) -> None:
        self.changed()
        del self.gateways[url]

    def changed(self) -> None:
        """Something is other than the last look saw it."""
        self._view = None

    def calls(self, ref: FunctionRef, now: Instant) -> Calls | NoData:
        """The function's calls over all gateways that are heard, as of when the last of them told."""
        view = self._view
        if view is None or view.now != now:
            view = self._view = self._seen(now)
        if view.at is None:
            return view.nothing
        name = str(ref)
        loads = [load for known in view.known if (load := known.get(name)) is not None]
        if not loads:
            return _UNLISTED
        started, completed = self._totals[name]
        in_flight, waiting = sum([load.in_flight for load in loads]), sum([load.waiting for load in loads])
        return Calls(LoadSample(view.at, started, completed, in_flight, waiting), view.silent)

    def silent(self) -> tuple[str, ...]:
        """Which gateways should be heard, and are not; of names that are not found, which."""
        now = self._clock.now()
        return (*(one.url for one in self.gateways.values() if one.silent(now)), *self._unfound())

    def take(self, one: Gateway, line: LoadLine | End, *, first: bool) -> None:
        """``first``: of its stream."""
        self.changed()
        if isinstance(line, End):
            one.forget()
        else:
            now = self._clock.now()
            at = one.heard_at(line.at, now)
            if first and line.gateway == one.life:
                self._forget_all_but(one, line)
            self._count(one, line, self._share(one, at))
            one.life, one.at, one.ended = line.gateway, at, False
            if not line.partial:
                one.whole_at = now
                one.outage.over()
            else:
                one.outage.failed(line.partial)

    def _share(self, one: Gateway, at: float) -> float:
        """What part of the calls since its last line counts.

        All, as a rule. But where it was away while others were heard, the sum's time went on without it: what came
        meanwhile would look as if it had come at once, which no replicas are needed for.
        """
        if one.at is None:
            return 1.0
        away_s = at - one.at
        others = max((other.at for other in self.gateways.values() if other is not one and other.at), default=one.at)
        return INTERVAL_S / away_s if away_s > 2 * INTERVAL_S and others > one.at + INTERVAL_S else 1.0

    def _count(self, one: Gateway, line: LoadLine, share: float) -> None:
        new_life = one.at is None or line.gateway != one.life
        if new_life:
            one.known = {}
        for name, load in line.functions.items():
            if load is None:
                self._forget(one, name)
                continue
            before = load if new_life else one.known.get(name, _NONE)
            started, completed = self._totals.get(name, (0.0, 0.0))
            self._totals[name] = (
                started + share * _grown(before.started, load.started),
                completed + share * _grown(before.completed, load.completed),
            )
            one.known[name] = load
        if len(one.known) > MAX_FUNCTIONS:
            raise Unavailable(f"it tells of more than {MAX_FUNCTIONS} functions")
        if len(self._totals) > 2 * MAX_FUNCTIONS:
            listed = {name for other in self.gateways.values() for name in other.known}
            self._totals = {name: total for name, total in self._totals.items() if name in listed}

    def _forget_all_but(self, one: Gateway, line: LoadLine) -> None:
        """The first line of a stream has every function; those it lacks were deleted while it was not heard."""
        for name in [name for name in one.known if name not in line.functions]:
            self._forget(one, name)

    def _forget(self, one: Gateway, name: str) -> None:
        one.known.pop(name, None)
        if not any(name in other.known for other in self.gateways.values()):
            self._totals.pop(name, None)

    def _seen(self, now: Instant) -> _View:
        moment = self._clock.now()
        silent = self.silent()
        heard = [one for one in self.gateways.values() if one.at is not None and moment - one.at <= SILENT_AFTER_S]
        last = max((one.at for one in heard if one.at is not None), default=None)
        return _View(
            now=now,
            at=self._instant(last, now) if last is not None else None,
            known=[one.known for one in heard],
            silent=silent,
            nothing=NoData(f"no gateway is heard: {', '.join(silent)}" if silent else "there is no gateway"),
        )

    def _instant(self, moment: float, now: Instant) -> Instant:
        """A moment of our monotonic clock on the clock that ``now`` is of; the same each time unless that was set."""
        ahead_s = now - self._clock.now()
        if abs(ahead_s - self._wall_ahead_s) > MAX_DRIFT_S:
            self._wall_ahead_s = ahead_s
        return Instant(min(moment + self._wall_ahead_s, now))


_NONE = Load(0, 0, 0, 0)
_UNLISTED = NoData("no gateway knows this function")


def _grown(before: int, now: int) -> int:
    """What a counter counted. Where it fell nobody knows: what it shows by then may be of long ago."""
    return max(0, now - before)
