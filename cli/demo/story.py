"""The story: load comes, the function climbs; load goes, it descends and falls asleep; a call wakes it.

Beside it, under the same load, one that the control loop has.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from springtide.cli.demo import followed
from springtide.cli.demo.decisions import Decisions
from springtide.cli.demo.followed import Followed
from springtide.cli.demo.load import Load
from springtide.cli.demo.stage import Stage
from springtide.cli.demo.timeline import Timeline
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.durations import format_duration
from springtide.runtime.errors import Unavailable, kind_and_reason_of
from springtide.scaler.core import policy, steps
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE, FunctionRef, Reason

CALLS_PER_S, SHORT_S = 21.0, 0.005
COLD_CALL_DEADLINE_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long each act may take, by the suite's intervals. Seconds.

    The function's idle duration is longer than the way down takes, so that it is seen to its end.
    """

    idle_s: float
    ready_s: float
    climb_s: float
    descend_s: float
    sweep_s: float
    follow_s: float
    back_s: float


FAST = Pace(idle_s=15, ready_s=60, climb_s=35, descend_s=30, sweep_s=15, follow_s=40, back_s=90)
USUAL = Pace(idle_s=60, ready_s=60, climb_s=120, descend_s=90, sweep_s=120, follow_s=40, back_s=90)


class Story:
    """Plays once, on two functions of its own, which are gone afterwards."""

    def __init__(self, gateway: str, credentials: Credentials, pace: Pace, timeline: Timeline) -> None:
        self._pace, self._timeline = pace, timeline
        self._stage = Stage(gateway, credentials, timeline, ready_s=pace.ready_s)
        mark = secrets.token_hex(2)
        self._ref = FunctionRef(DEFAULT_NAMESPACE, f"demo-alerts-{mark}")
        self._followed = FunctionRef(DEFAULT_NAMESPACE, f"demo-scaler-{mark}")
        self._labels = {
            policy.MIN: "1",
            policy.MAX: "20",
            policy.FACTOR: "20",
            policy.ZERO: "true",
            policy.ZERO_DURATION: format_duration(pace.idle_s),
        }
        self._policy, _ = ScalePolicy.from_labels(self._labels)

    async def play(self) -> None:
        """Raises Unavailable naming the first thing that did not happen."""
        functions = {self._ref: self._labels, self._followed: followed.LABELS}
        climbed = asyncio.Event()
        async with (
            self._decisions(self._ref) as decisions,
            self._decisions(self._followed) as others,
            self._stage.deployed(functions),
        ):
            acts = [
                asyncio.create_task(self._alerts(decisions, climbed)),
                asyncio.create_task(self._beside(others, climbed)),
            ]
            try:
                await asyncio.gather(*acts)
            finally:
                for act in acts:
                    act.cancel()
                await asyncio.wait(acts)

    async def _alerts(self, decisions: Decisions, climbed: asyncio.Event) -> None:
        await self._climb(decisions)
        climbed.set()
        await self._descend(decisions)
        await self._sleep(decisions)
        await self._wake(decisions)
        await decisions.stop()

    async def _beside(self, decisions: Decisions, climbed: asyncio.Event) -> None:
        beside = Followed(self._stage, decisions)
        async with self._short_calls(self._followed) as load:
            await climbed.wait()
        beside.short_calls_ended(load.answers)
        await beside.play(up_s=self._pace.follow_s, down_s=self._pace.back_s)

    def _decisions(self, ref: FunctionRef) -> Decisions:
        return Decisions(self._stage.gateway, self._stage.credentials, ref, told=self._timeline.decided)

    def _short_calls(self, ref: FunctionRef) -> Load:
        return Load(self._stage.url(ref, call_s=SHORT_S), per_second=CALLS_PER_S)

    async def _climb(self, decisions: Decisions) -> None:
        top = self._policy.max
        async with self._short_calls(self._ref) as load:
            self._tell(1, "load_started", f"{CALLS_PER_S:g} calls a second of {SHORT_S * 1000:g} ms, on both")
            what = f"the alert did not take the function to {top} replicas"
            await decisions.until(Reason.ALERT_FIRING, top, within_s=self._pace.climb_s, what=what)
            await self._stage.ready(self._ref, top)
        self._tell(top, "load_stopped", str(load.answers))
        _compare("up", decisions.steps(Reason.ALERT_FIRING), _steps(steps.climbed, self._policy, 1))
        if load.answers.failed:
            raise Unavailable(f"{load.answers.failed} calls were not answered with 200: {load.answers}")

    async def _descend(self, decisions: Decisions) -> None:
        what = "the resolved alert did not take the function back to 1 replica"
        await decisions.until(Reason.ALERT_RESOLVED, 1, within_s=self._pace.descend_s, what=what)
        down = _steps(steps.descended, self._policy, self._policy.max)
        _compare("down", decisions.steps(Reason.ALERT_RESOLVED), down)

    async def _sleep(self, decisions: Decisions) -> None:
        within_s = self._pace.idle_s + self._pace.sweep_s
        await decisions.until(Reason.IDLE, 0, within_s=within_s, what="the idler did not take the function to zero")
        await self._stage.ready(self._ref, 0)

    async def _wake(self, decisions: Decisions) -> None:
        async with httpx.AsyncClient(timeout=COLD_CALL_DEADLINE_S, trust_env=False) as http:
            began = time.monotonic()
            try:
                answer = (await http.get(self._stage.url(self._ref))).status_code
            except httpx.HTTPError as error:
                raise Unavailable(f"the cold call was not answered: {kind_and_reason_of(error)}") from error
            took_s = time.monotonic() - began
        what = "the cold call did not wake the function"
        await decisions.until(Reason.WAKE, 1, within_s=self._pace.ready_s, what=what)
        self._tell(1, "cold_call", f"answered {answer} after {took_s * 1000:.0f} ms")
        if answer != 200:
            raise Unavailable(f"the cold call was answered with {answer}, not with 200")

    def _tell(self, replicas: int, reason: str, detail: str) -> None:
        self._stage.tell(self._ref, replicas, reason, detail)


def _steps(step: Callable[[ScalePolicy, int], int], asked: ScalePolicy, start: int) -> list[tuple[int, int]]:
    """The changes that repeated steps make from ``start`` on."""
    changes, current = [], start
    while (after := step(asked, current)) != current:
        changes.append((current, after))
        current = after
    return changes


def _compare(way: str, seen: list[tuple[int, int]], expected: list[tuple[int, int]]) -> None:
    if seen != expected:
        raise Unavailable(f"the steps {way} were {_shown(seen)}, not {_shown(expected)}")


def _shown(changes: list[tuple[int, int]]) -> str:
    return ", ".join(f"{before} → {after}" for before, after in changes) or "none"
