"""One function's recording under one policy: a life for each stretch that is known, and its picture over the time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from springtide.scaler.sim.engine import PARTS, Outcome
from springtide.scaler.sim.policies import Policy
from springtide.scaler.sim.recording import Recording
from springtide.scaler.sim.replay import Circumstances, Result, replicas_over_time, run


@dataclass(frozen=True, slots=True)
class Shown:
    """Calls a second and replicas in ``PARTS`` equal parts of the recorded time; None where it is not known."""

    load: Sequence[float | None]
    replicas: Sequence[float | None]


def lives(recording: Recording, policy: Policy, given: Circumstances) -> tuple[Result, Shown]:
    """Nothing is carried over what is not known: each stretch is a life of its own."""
    result, outcomes = Result(policy.name), []
    for stretch in recording.stretches:
        outcome = run(stretch.trace, policy, given)
        result.add(outcome)
        outcomes.append(outcome)
    return result, _shown(recording, outcomes)


def _shown(recording: Recording, outcomes: Sequence[Outcome]) -> Shown:
    width = recording.length_s / PARTS
    calls, counts, known = ([0.0] * PARTS for _ in range(3))
    for stretch, outcome in zip(recording.stretches, outcomes, strict=True):
        step = stretch.trace.length_s / PARTS
        replicas = replicas_over_time(outcome, stretch.trace.length_s)
        for number in range(PARTS):
            since = stretch.since_s + number * step
            first, last = int(since / width), int((since + step) / width - 1e-9)
            for place in range(max(0, first), min(PARTS - 1, last) + 1):
                lap = min(since + step, (place + 1) * width) - max(since, place * width)
                if lap > 0:
                    calls[place] += outcome.arrived[number] * lap / step
                    counts[place] += replicas[number] * lap
                    known[place] += lap
    seen = [lap > width * 0.01 for lap in known]
    return Shown(
        [total / lap if there else None for total, lap, there in zip(calls, known, seen, strict=True)],
        [total / lap if there else None for total, lap, there in zip(counts, known, seen, strict=True)],
    )
