"""Judges what functions noted of their executions. Pure. Instants are seconds since 1970.

How long it takes from a function's answer until its job's outcome is stored depends on how busy the machine is, so it
is not assumed but seen: of each outcome the broker tells when it was stored. Who is killed while outcomes of executions
that ended at some instant are being stored takes along those of executions that ended later.
"""

from __future__ import annotations

import bisect
import itertools
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

REPEATED = frozenset((408, 429, 500, 502, 503, 504))
SETTLING_S = 2.0
"""From a function's answer until its job is settled, where nothing is seen of it: gateway, worker and three syncs."""

SEEN_S = 1.0
"""How long before a kill an outcome may have been stored that shows how far its worker had come."""

MAX_SETTLING_S = 60.0

BROKER, WORKER = "nats", "queue-worker"
CATCHING_UP_S = 5.0
"""After the broker is back: its clients connect again, and all that ended meanwhile is settled at once."""

LEASED_S = 1.0
"""Before a function's start, at most, its job was given to a worker."""


@dataclass(frozen=True, slots=True)
class Kill:
    """``back``: when the part had been replaced."""

    at: float
    part: str
    back: float


@dataclass(slots=True)
class Execution:
    """``ended`` is infinite where it was cut off."""

    job: str
    number: int
    started: float
    ended: float = math.inf
    status: int = 0
    followed: float = math.inf
    """When the job's next one began."""
    settled: float = math.inf
    stored: float = math.inf
    """When its outcome was, if it is its job's last one."""

    def settle(self, broker_kills: Sequence[Kill]) -> None:
        """Find out when it was settled, at the latest: that takes longer where the broker was away."""
        ended = min(self.ended, self.followed)
        self.settled = ended + SETTLING_S
        for kill in broker_kills:
            if kill.at <= self.settled and ended <= kill.back + SETTLING_S:
                self.settled = max(self.settled, kill.back + CATCHING_UP_S)

    def in_flight(self, kill: Kill, storing: float) -> bool:
        """Between its job's being given out and its being settled. ``storing``: of executions that had ended by then
        outcomes were being stored at the kill."""
        if not self.started - LEASED_S <= kill.at:
            return False
        return kill.at <= self.settled or storing <= self.ended <= kill.at

    def stored_at_once(self, worker_kills: Sequence[float]) -> bool:
        """By the worker that called it: another one stores what it finds once more."""
        if not self.ended <= self.stored < math.inf:
            return False
        following = bisect.bisect_left(worker_kills, self.ended)
        return following == len(worker_kills) or worker_kills[following] > self.stored

    @property
    def to_be_repeated(self) -> bool:
        return self.status in REPEATED


@dataclass(frozen=True, slots=True)
class Extra:
    """An execution that no status of the one before it asked for."""

    job: str
    number: int
    before: Execution
    started: float
    kill: Kill | None
    """What explains it."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead one."""

    job: str
    attempts: int
    reason: str


@dataclass(slots=True)
class Verdict:
    accepted: int
    executions: int
    never_executed: list[str] = field(default_factory=list)
    never_ended: list[str] = field(default_factory=list)
    """No execution of it ended with a final status, and there is no dead letter either."""
    other_jobs: list[int] = field(default_factory=list)
    """Numbers that ran under another id than the one they were answered with."""
    extras: list[Extra] = field(default_factory=list)
    settling_s: list[float] = field(default_factory=list)
    """From the end of an execution until its outcome was stored, where that is known."""
    allowed_extras: int = 0
    """The sum of executions in flight at each kill."""
    strange_letters: list[Letter] = field(default_factory=list)
    """Of jobs that should have had more attempts."""
    missing_letters: list[str] = field(default_factory=list)
    """Of jobs that failed as often as they may."""

    @property
    def unexplained(self) -> list[Extra]:
        return [extra for extra in self.extras if extra.kill is None]

    @property
    def problems(self) -> list[str]:
        found: dict[str, Sequence[object]] = {
            "accepted and never executed": self.never_executed,
            "accepted, and neither ended nor dead": self.never_ended,
            "run under another id than the caller was told": self.other_jobs,
            "executed once more with no kill that explains it": self.unexplained,
            "dead before its attempts were over": self.strange_letters,
            "failed for good, and no dead letter": self.missing_letters,
        }
        named = [f"{what}: {len(those)}, such as {those[0]}" for what, those in found.items() if those]
        if len(self.extras) > self.allowed_extras:
            named.append(f"{len(self.extras)} extra executions are more than {self.allowed_extras} in flight at kills")
        return named


def executions(lines: Iterable[str]) -> list[Execution]:
    """Of the ledger's lines; the last of a file may be cut off."""
    found: dict[str, Execution] = {}
    ends: list[Mapping[str, Any]] = []
    for line in lines:
        try:
            noted = json.loads(line)
        except ValueError:
            continue
        if noted["what"] == "start":
            found[noted["execution"]] = Execution(noted["job"], noted["number"], noted["at"])
        else:
            ends.append(noted)
    for noted in ends:
        one = found[noted["execution"]]
        one.ended, one.status = noted["at"], noted["status"]
    return sorted(found.values(), key=lambda one: one.started)


def judge(
    accepted: Mapping[int, str],
    ran: Sequence[Execution],
    letters: Sequence[Letter],
    kills: Sequence[Kill],
    *,
    attempts: Mapping[int, int],
    stored: Mapping[str, float] | None = None,
) -> Verdict:
    """``accepted``: numbers that were answered 202, with the ids of their jobs; ``attempts``: how often a
    number's job is tried; ``stored``: when the outcomes of jobs were."""
    jobs: defaultdict[str, list[Execution]] = defaultdict(list)
    by_number: defaultdict[int, set[str]] = defaultdict(set)
    for one in ran:
        jobs[one.job].append(one)
        by_number[one.number].add(one.job)
    dead = {letter.job for letter in letters}
    verdict = Verdict(len(accepted), len(ran))
    for job in accepted.values():
        if job not in jobs and job not in dead:
            verdict.never_executed.append(job)
        elif job not in dead and not any(one.status and not one.to_be_repeated for one in jobs[job]):
            verdict.never_ended.append(job)
    verdict.other_jobs = [number for number, job in accepted.items() if by_number[number] - {job}]
    for those in jobs.values():
        for before, again in itertools.pairwise(those):
            before.followed = again.started
    of_broker = [kill for kill in kills if kill.part == BROKER]
    for one in ran:
        one.settle(of_broker)
    for job, those in jobs.items():
        those[-1].stored = (stored or {}).get(job, math.inf)
    of_worker = [kill.at for kill in kills if kill.part == WORKER]
    whole = sorted((one for one in ran if one.stored_at_once(of_worker)), key=lambda one: one.ended)
    verdict.settling_s = [one.stored - one.ended for one in whole]
    near = [(kill, _storing(kill, whole)) for kill in kills]
    for those in jobs.values():
        verdict.extras += _extras(those, near)
    verdict.allowed_extras = sum(1 for kill, storing in near for one in ran if one.in_flight(kill, storing))
    verdict.strange_letters = [letter for letter in letters if letter.attempts < _attempts(jobs, letter, attempts)]
    failed = Counter(one.job for one in ran if one.to_be_repeated)
    verdict.missing_letters = [
        job for job, often in failed.items() if often >= attempts[jobs[job][0].number] and job not in dead
    ]
    return verdict


def _storing(kill: Kill, whole: Sequence[Execution]) -> float:
    """When the first of those had ended whose outcome was being stored at the kill; infinite where none was."""
    first = bisect.bisect_left(whole, kill.at - MAX_SETTLING_S, key=lambda one: one.ended)
    last = bisect.bisect_right(whole, kill.at, key=lambda one: one.ended)
    return next((one.ended for one in whole[first:last] if one.stored >= kill.at - SEEN_S), math.inf)


def _attempts(jobs: Mapping[str, Sequence[Execution]], letter: Letter, attempts: Mapping[int, int]) -> int:
    those = jobs.get(letter.job)
    return attempts[those[0].number] if those else min(attempts.values())


def _extras(those: Sequence[Execution], kills: Sequence[tuple[Kill, float]]) -> Iterable[Extra]:
    for before, again in itertools.pairwise(those):
        if not before.to_be_repeated:
            found = (kill for kill, storing in kills if kill.at <= again.started and before.in_flight(kill, storing))
            why = next(found, None)
            yield Extra(before.job, before.number, before, again.started, why)
