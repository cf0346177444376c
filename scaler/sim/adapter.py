"""The production decision for any simulator: ``scaler.core.loop.decide`` behind samples and counts, and nothing else.

Make one ``Springtide`` for each function from its labels, ask ``wanted`` once a second, and ``woken`` when a call finds
the function at zero::

    decider = Springtide({"com.openfaas.scale.type": "capacity", "com.openfaas.scale.target": "1"})
    sample = LoadSample(at=now - 0.5, started=120, completed=113, in_flight=7, waiting=2)
    count = decider.wanted(sample, wanted=5, ready=5, now=now)

As in production it takes nothing away in its first half minute, nor on samples older than five seconds. Labels it
knows are those of the control loop: type (``rps`` or ``capacity``), target, min, max, target-proportion, down.window,
and ``com.springtide.scale.policy`` and ``.wake``. Taking a function to zero is the idle rule's (``core.idle``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from springtide.scaler.core import demand, follow, loop, targets
from springtide.scaler.core import policy as policy_of
from springtide.scaler.core.demand import LoadHistory, LoadSample
from springtide.scaler.core.follow import Bounds, FollowHistory
from springtide.scaler.core.loads import loads_of
from springtide.scaler.core.loop import LoopHistory
from springtide.scaler.core.observation import CALLS, Calls, Observation, signal_key
from springtide.scaler.core.policy import Rule, ScalePolicy, Wake, wake_replicas
from springtide.scaler.core.target_rule import IN_FLIGHT_EVERY_S
from springtide.scaler.core.vocabulary import Decision, Function, FunctionRef, Instant, Scale, Writer
from springtide.scaler.sim import steady, walks
from springtide.scaler.sim.engine import BEAT_S, Stretch, asked
from springtide.scaler.sim.walks import NeedOf

MAX_WALK_S = 128.0
"""A walk costs for each beat; a longer stretch is tried by what can be said of it as a whole."""

_REF = FunctionRef("", "simulated")


class Springtide:
    """One function under the control loop. Instants are seconds on one clock that only goes forward."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        """Raises ValueError that says what is wrong with a label."""
        self._labels = labels
        self._policy, problems = ScalePolicy.from_labels(labels)
        self._loads, wrong = loads_of(labels, {})
        if problems or wrong:
            raise ValueError("; ".join((*problems, *wrong)))
        if any(signal_key(load) != CALLS for load in self._loads):
            raise ValueError(f"{policy_of.TYPE}={self._policy.type!r}: samples tell of calls; write rps or capacity")
        self._history = LoopHistory()
        self._rested, self._loaded_at = False, float("-inf")
        self._remembered_s = 0.0
        if self._policy.rule is Rule.TARGET:
            self._remembered_s = loop.TARGET_SETTLE_S + (self._policy.down_window_s or 0.0)
        self.lead_s = 2.0 + self._remembered_s
        self.decision: Decision | None = None
        """The last one, with its reason and numbers."""

    def wanted(self, sample: LoadSample, *, wanted: int, ready: int, now: float) -> int:
        """How many replicas there should be from now on.

        ``sample`` was so at its ``at``, a moment ago; its ``started`` and ``completed`` only grow, and ``in_flight``
        includes ``waiting``. ``wanted`` are the replicas that there shall be, ``ready`` those that take calls.
        """
        before = self._history.looked_at
        if self._rested and before is not None and now - before > BEAT_S:
            # The simulator leapt over a silence, as it was told it may: that is no pause, and no old sample.
            self._history = self._still_looking(self._history.rested(Instant(now - BEAT_S)), now - BEAT_S)
            last, old = self._history.signals.calls.last, Instant(now - BEAT_S)
            if last is not None and sample.at < old and replace(last, at=sample.at) == sample:
                sample = replace(sample, at=old)
        self._rested = False
        function = Function(_REF, Scale(wanted, ready, ""), self._labels, owner=Writer.SCALER)
        seen = Observation(function, {CALLS: Calls(sample)})
        outcome = loop.decide(self._policy, self._loads, self._history, seen, Instant(now))
        self._history, self.decision = outcome.written, outcome.decision
        if self.decision.inputs.get("load"):
            self._loaded_at = now
        return self.decision.after

    def _still_looking(self, history: LoopHistory, until: float) -> LoopHistory:
        """With calls in flight looked at every few seconds through a silence: which looks are next depends on it."""
        seen = history.signals.target.in_flight
        if not seen or until <= seen[-1][0]:
            return history
        times = math.ceil((until - seen[-1][0]) / IN_FLIGHT_EVERY_S) - 1
        last = (seen[-1][0] + times * IN_FLIGHT_EVERY_S, 0.0)
        target = replace(history.signals.target, in_flight=(*seen, last) if times else seen)
        return replace(history, signals=replace(history.signals, target=target))

    def woken(self) -> int:
        """Replicas for a function at zero that is called."""
        if self._policy.wake is Wake.MIN:
            return wake_replicas(self._policy)
        bounds = Bounds(wake_replicas(self._policy), max(1, self._policy.max))
        return follow.wake_replicas(bounds, self._history.replicas)

    def at_rest(self, *, wanted: int, now: float) -> bool:
        """Whether, with no call under way, it may be left alone until ``lead_s`` before the next one begins.

        At its minimum it cannot shrink, and without arrivals in all that is remembered of them it does not grow.
        """
        replicas, calls = self._history.replicas, self._history.signals.calls
        waking = now - replicas.woken_at <= follow.WAKE_LOOK_S + BEAT_S
        asked = replicas.certain_before if self._policy.rule is Rule.QUEUEING else 0.0
        forgotten = calls.arrived(2 * demand.WINDOW_S) <= 0 and asked <= 0
        quiet = now - self._loaded_at > self._remembered_s
        self._rested = wanted <= wake_replicas(self._policy) and forgotten and quiet and not waking
        return self._rested

    def steady(self, stretch: Stretch, *, wanted: int) -> tuple[float, int] | None:
        """Up to which of these samples it may be left alone; see ``sim.engine``."""
        if self._policy.fixed_size:
            return stretch.end, wanted
        if self._policy.rule is Rule.TARGET:
            return asked(self, stretch, wanted)
        history, replicas = self._history, self._history.replicas
        waking = stretch.begin + BEAT_S - replicas.woken_at <= follow.WAKE_LOOK_S
        if waking or (replicas.wanted, replicas.ready) != (wanted, wanted):
            return None
        before = steady.begun(history.signals.calls, stretch)
        if wanted <= wake_replicas(self._policy) and math.ceil(replicas.certain_before) <= wanted:
            last = self._enough_until(before, stretch, wanted)
            if last >= stretch.begin:
                remembered = steady.remembered_arrivals if self._by_arrivals else steady.remembered
                return self._left_out(last, remembered(before, stretch.until(last)), replicas, wanted)
        if stretch.end - stretch.begin > MAX_WALK_S and not self._by_arrivals:
            return None
        bounds = Bounds(wake_replicas(self._policy), max(1, self._policy.max), self._loads[0].target)
        walk = walks.walked_by_arrivals if self._by_arrivals else walks.walked
        walked = walk(before, replicas, stretch, bounds=bounds, need_of=self._need_of(ready=wanted))
        return None if walked is None else self._left_out(walked.last, walked.load, walked.replicas, wanted)

    @property
    def _by_arrivals(self) -> bool:
        """Whether they alone tell what is needed, however long calls take."""
        return self._loads[0].type is targets.RPS

    def _enough_until(self, before: LoadHistory, stretch: Stretch, wanted: int) -> float:
        """The last of these beats before one that may show that more is needed; one before the first where that does.

        What was needed meanwhile is then forgotten: by a growth, which needs more, and by a shrink, which leaves the
        minimum at least.
        """
        load, under_way, service_s = self._loads[0], stretch.most_at_once(), 0.0
        if load.type is targets.CAPACITY:
            service_s = steady.longest_service_s(before, stretch)

        def enough(rate: float) -> bool:
            mean, variance = rate, rate
            if load.type is targets.CAPACITY:
                mean, variance = max(under_way, rate * service_s), under_way / 4 + rate * service_s
            return mean + demand.HEADROOM_SD * math.sqrt(variance) <= wanted * load.target

        ahead_s = self._history.replicas.cold_start_s
        if enough(steady.most_calls_per_second(before, stretch, ahead_s)):
            return stretch.end
        above = steady.first_above(before, stretch, ahead_s, enough)
        return stretch.end if above is None else above - BEAT_S

    def _need_of(self, *, ready: int) -> NeedOf:
        """What a load needs, for as long as no replica starts."""
        target, cold_start_s = self._loads[0].target, self._history.replicas.cold_start_s
        if self._loads[0].type is targets.CAPACITY:
            return lambda load: demand.calls_under_way(load, target, ready=ready, cold_start_s=cold_start_s)[1]
        return lambda load: demand.calls_per_second(load, target, cold_start_s=cold_start_s)[1]

    def _left_out(self, last: float, load: LoadHistory, replicas: FollowHistory, wanted: int) -> tuple[float, int]:
        signals = replace(self._history.signals, calls=load)
        history = replace(self._history, signals=signals, replicas=replicas)
        self._history = history.rested(Instant(last + BEAT_S))
        return last, wanted


def labels_of(bounds: Bounds, *, load: str = "capacity", wake: Wake = Wake.LEARNED) -> dict[str, str]:
    """Labels that say these bounds; the target is ``slots``."""
    return {
        policy_of.TYPE: load,
        policy_of.TARGET: f"{bounds.slots:f}",
        policy_of.MIN: str(bounds.min),
        policy_of.MAX: str(bounds.max),
        policy_of.WAKE: wake.value,
    }
