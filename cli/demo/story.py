"""The story: load comes, the function climbs; load goes, it descends and falls asleep; a call wakes it."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from springtide.cli.demo.decisions import Decisions
from springtide.cli.demo.load import Load
from springtide.cli.demo.timeline import Timeline
from springtide.cli.gateway_client import GatewayClient
from springtide.cli.stack import PYTHON_IMAGE
from springtide.provider.spec import FunctionSpec, spec_to_json
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.durations import format_duration
from springtide.runtime.errors import SpringtideError, Unavailable, kind_and_reason_of
from springtide.scaler.core import label_names, policy, steps
from springtide.scaler.core.label_names import HANDLER
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE, FunctionRef, Reason
from springtide.wire.provider_client import ProviderClient

FOLDER = Path(__file__).parents[1] / "samples" / "hello"
MARK = label_names.DEMO
"""Label by which functions of a demo that was killed are found and removed."""
CALLS_PER_S = 60.0
COLD_CALL_DEADLINE_S = 30.0
POLL_S = 0.1


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


FAST = Pace(idle_s=15, ready_s=15, climb_s=35, descend_s=30, sweep_s=15)
USUAL = Pace(idle_s=60, ready_s=30, climb_s=120, descend_s=90, sweep_s=120)


class Story:
    """Plays once, on a function of its own, which is gone afterwards."""

    def __init__(self, gateway: str, credentials: Credentials, pace: Pace, timeline: Timeline) -> None:
        self._gateway, self._credentials, self._pace = gateway, credentials, pace
        self._timeline = timeline
        self._ref = FunctionRef(DEFAULT_NAMESPACE, f"demo-{secrets.token_hex(2)}")
        self._labels = {
            policy.MIN: "1",
            policy.MAX: "20",
            policy.FACTOR: "20",
            policy.ZERO: "true",
            policy.ZERO_DURATION: format_duration(pace.idle_s),
            MARK: "true",
        }
        self._policy, _ = ScalePolicy.from_labels(self._labels)
        self._url = f"{gateway}/function/{self._ref}"

    async def play(self) -> None:
        """Raises Unavailable naming the first thing that did not happen."""
        async with (
            Decisions(self._gateway, self._credentials, self._ref, told=self._timeline.decided) as decisions,
            self._deployed() as status,
        ):
            await self._climb(decisions, status)
            await self._descend(decisions)
            await self._sleep(decisions, status)
            await self._wake(decisions)

    async def _climb(self, decisions: Decisions, status: ProviderClient) -> None:
        top = self._policy.max
        async with Load(self._url, per_second=CALLS_PER_S) as load:
            self._tell(1, "load_started", f"{CALLS_PER_S:g} calls a second")
            what = f"the alert did not take the function to {top} replicas"
            await decisions.until(Reason.ALERT_FIRING, top, within_s=self._pace.climb_s, what=what)
            await self._ready(status, top)
        self._tell(top, "load_stopped", str(load.answers))
        _compare("up", decisions.steps(Reason.ALERT_FIRING), _steps(steps.climbed, self._policy, 1))
        if load.answers.failed:
            raise Unavailable(f"{load.answers.failed} calls were not answered with 200: {load.answers}")

    async def _descend(self, decisions: Decisions) -> None:
        what = "the resolved alert did not take the function back to 1 replica"
        await decisions.until(Reason.ALERT_RESOLVED, 1, within_s=self._pace.descend_s, what=what)
        down = _steps(steps.descended, self._policy, self._policy.max)
        _compare("down", decisions.steps(Reason.ALERT_RESOLVED), down)

    async def _sleep(self, decisions: Decisions, status: ProviderClient) -> None:
        within_s = self._pace.idle_s + self._pace.sweep_s
        await decisions.until(Reason.IDLE, 0, within_s=within_s, what="the idler did not take the function to zero")
        await self._ready(status, 0)

    async def _wake(self, decisions: Decisions) -> None:
        async with httpx.AsyncClient(timeout=COLD_CALL_DEADLINE_S, trust_env=False) as http:
            began = time.monotonic()
            try:
                answer = (await http.get(self._url)).status_code
            except httpx.HTTPError as error:
                raise Unavailable(f"the cold call was not answered: {kind_and_reason_of(error)}") from error
            took_s = time.monotonic() - began
        what = "the cold call did not wake the function"
        await decisions.until(Reason.WAKE, 1, within_s=self._pace.ready_s, what=what)
        self._tell(1, "cold_call", f"answered {answer} after {took_s * 1000:.0f} ms")
        if answer != 200:
            raise Unavailable(f"the cold call was answered with {answer}, not with 200")

    async def _ready(self, status: ProviderClient, count: int) -> None:
        """Wait until exactly ``count`` replicas answer, and tell how long that took."""
        began = time.monotonic()

        async def there() -> bool:
            scale = (await status.read(self._ref)).scale
            return scale.ready == count == scale.desired

        await _eventually(there, within_s=self._pace.ready_s, what=f"there were not {count} ready replicas")
        if count:
            self._tell(count, "replicas_ready", f"all {count} answer, {time.monotonic() - began:.1f} s later")

    @asynccontextmanager
    async def _deployed(self) -> AsyncIterator[ProviderClient]:
        """The function with one ready replica; gone at the end, and those that earlier demos left."""
        spec = FunctionSpec(ref=self._ref, image=PYTHON_IMAGE, labels=self._labels, annotations={HANDLER: str(FOLDER)})
        status = ProviderClient(self._gateway, self._credentials)
        with GatewayClient(self._gateway, self._credentials, timeout_s=10.0) as client:
            await asyncio.to_thread(_remove_left_over, client)
            await asyncio.to_thread(client.deploy, spec_to_json(spec))
            try:
                await _eventually(
                    lambda: _first_ready(status, self._ref),
                    within_s=self._pace.ready_s,
                    what="the function had no ready replica",
                )
                idle = format_duration(self._pace.idle_s)
                self._tell(1, "deployed", f"{self._ref.name} answers; asleep after {idle} of silence")
                yield status
            finally:
                await status.aclose()
                await asyncio.to_thread(client.remove, self._ref.name, self._ref.namespace)

    def _tell(self, replicas: int, reason: str, detail: str) -> None:
        self._timeline.happened(time.time(), str(self._ref), replicas=replicas, reason=reason, detail=detail)


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


async def _first_ready(status: ProviderClient, ref: FunctionRef) -> bool:
    return (await status.read(ref)).scale.ready >= 1


async def _eventually(check: Callable[[], Awaitable[bool]], *, within_s: float, what: str) -> None:
    """Ask again and again; an answer that cannot be had counts as no."""
    try:
        async with asyncio.timeout(within_s):
            while not await _yes(check):  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(POLL_S)
    except TimeoutError as error:
        raise Unavailable(f"{what} within {within_s:g} s") from error


async def _yes(check: Callable[[], Awaitable[bool]]) -> bool:
    try:
        return await check()
    except SpringtideError:
        return False


def _remove_left_over(client: GatewayClient) -> None:
    for function in client.functions(DEFAULT_NAMESPACE):
        if MARK in (function.get("labels") or {}):
            client.remove(function["name"], DEFAULT_NAMESPACE)
