"""Who waits for a replica, for how long, and who is refused: the queue's rules with calls that only remember."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from springtide.gateway.backend_replica import BackendReplica
from springtide.gateway.call_metrics import CallMetrics
from springtide.gateway.call_record import CallRecord
from springtide.gateway.coldstart import refusals
from springtide.gateway.coldstart.admission import Admission, WaitLimits
from springtide.gateway.coldstart.queue import QueueBounds
from springtide.gateway.coldstart.timing import WaitTiming
from springtide.gateway.connector import Connector
from springtide.gateway.endpoint_source import Pushed
from springtide.gateway.route import Route
from springtide.gateway.settings import GatewaySettings
from springtide.gateway.time_limit import TimeLimit
from springtide.gateway.timeouts import Timeouts
from springtide.runtime import virtual_time
from springtide.runtime.virtual_time import VirtualTimeLoop
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.endpoint_stream import Endpoint

LIMITS = WaitLimits(hold_s=60, reroute_s=5, problem_s=8)


@dataclass(eq=False)
class Remembering:
    """A WaitingCall that takes up its replica's room and keeps what it was told, and when."""

    route: Route
    requested_timeout: bytes = b""
    last_loss: str = ""
    kept_bytes: int = 10
    record: CallRecord | None = None
    timing: WaitTiming | None = None
    wait_limit: TimeLimit | None = None
    retry_after_s: list[int] = field(default_factory=list)
    told: list[tuple[float, str | int]] = field(default_factory=list)

    def assign(self, replica: BackendReplica) -> None:
        replica.in_flight += 1
        self.told.append((asyncio.get_running_loop().time(), replica.address))

    def refuse(self, status: int, text: str, reason: str, retry_after_s: int = 1) -> None:
        assert text
        assert reason
        self.retry_after_s.append(retry_after_s)
        self.told.append((asyncio.get_running_loop().time(), status))


@dataclass
class Wakes:
    routes: list[Route] = field(default_factory=list)

    def wake(self, route: Route) -> None:
        self.routes.append(route)


class Rig:
    def __init__(self, loop: VirtualTimeLoop) -> None:
        self._loop = loop
        self.clock = loop.clock
        self.wakes = Wakes()
        self.route = Route(FunctionRef("openfaas-fn", "echo"), CallMetrics(last_active=0.0))
        self.admission = Admission(
            QueueBounds(per_function=2, total=3, total_bytes=1000),
            LIMITS,
            loop=loop,
            clock=loop.clock,
            wakes=self.wakes,
            readiness=Pushed(),
        )
        settings = GatewaySettings()
        self._connector = Connector(loop, settings, clock=loop.clock, timeouts=Timeouts(loop, settings))

    def run_test(self, test: Coroutine[Any, Any, None]) -> None:
        virtual_time.run(test, self._loop)

    def replica(self, limit: int = 0) -> BackendReplica:
        return self._connector.replica(Endpoint("a", "a", 1, limit))

    def hold(self, requested_timeout: bytes = b"", last_loss: str = "") -> Remembering:
        call = Remembering(self.route, requested_timeout, last_loss)
        self.admission.hold(call)
        return call


@pytest.fixture
def rig() -> Rig:
    return Rig(VirtualTimeLoop())


@pytest.mark.parametrize(
    ("rerouted", "problem", "requested", "limit"),
    [
        pytest.param(False, False, b"", "hold_timeout (60 s) of the gateway", id="while the function wakes"),
        pytest.param(True, False, b"", "reroute_timeout (5 s) of the gateway", id="its replica went away"),
        pytest.param(False, True, b"", "problem_grace (8 s) of the gateway", id="a problem is known"),
        pytest.param(True, True, b"", "reroute_timeout (5 s) of the gateway", id="the shorter of two"),
        pytest.param(False, False, b"1.5s", "X-Timeout (1.5 s) of the request", id="the caller waits less"),
        pytest.param(False, False, b"10m", "hold_timeout (60 s) of the gateway", id="the caller would wait longer"),
        pytest.param(False, False, b"0", "hold_timeout (60 s) of the gateway", id="the caller asks for no limit"),
        pytest.param(False, False, b"0ms", "hold_timeout (60 s) of the gateway", id="and for none by a duration"),
        pytest.param(False, False, b"soon", "hold_timeout (60 s) of the gateway", id="no duration is the function's"),
    ],
)
def test_how_long_a_call_waits_and_which_limit_that_is(
    rerouted: bool, problem: bool, requested: bytes, limit: str
) -> None:
    assert str(LIMITS.limit(rerouted=rerouted, problem=problem, requested=requested)) == limit


@pytest.mark.parametrize(
    ("last_loss", "at_capacity", "problem", "status", "part"),
    [
        pytest.param("", False, None, 503, "took the call within hold_timeout (60 s) of the gateway", id="none came"),
        pytest.param("", False, "no such image", 503, "of the gateway: no such image", id="and it is known why"),
        pytest.param(
            "", True, None, 429, "are busy and none took the call within hold_timeout (60 s)", id="all are full"
        ),
        pytest.param(
            "refused", True, "x", 502, "within hold_timeout (60 s) of the gateway: refused", id="one was tried"
        ),
    ],
)
def test_what_a_call_is_told_that_waited_too_long(
    last_loss: str, at_capacity: bool, problem: str | None, status: int, part: str
) -> None:
    refusal = refusals.waited_too_long(
        "echo", limit=TimeLimit("hold_timeout", 60), last_loss=last_loss, at_capacity=at_capacity, problem=problem
    )

    assert refusal.status == status
    assert part in refusal.text


async def test_sleeping_function_is_woken_and_its_calls_are_let_in_in_order(rig: Rig) -> None:
    first, second = rig.hold(), rig.hold()
    assert set(rig.wakes.routes) == {rig.route}
    assert rig.admission.kept_bytes == 20
    await asyncio.sleep(3)

    rig.route.desired, rig.route.ready = 1, [rig.replica(limit=1)]
    rig.admission.changed(rig.route)
    assert (first.told, second.told) == ([(3, "a:1")], [])
    await asyncio.sleep(1)
    rig.route.ready[0].in_flight = 0
    rig.admission.release(rig.route)

    assert second.told == [(4, "a:1")]
    assert len(rig.admission) == rig.route.metrics.held == rig.admission.kept_bytes == 0
    assert first.timing is not None
    assert first.timing.cold


async def test_each_call_is_refused_at_its_own_time(rig: Rig) -> None:
    patient = rig.hold()
    await asyncio.sleep(1)
    hasty = rig.hold(b"2s")
    await asyncio.sleep(100)

    assert hasty.told == [(3, 503)]
    assert patient.told == [(60, 503)]
    assert rig.route.metrics.held == 0


async def test_call_beyond_the_bound_is_refused_at_once(rig: Rig) -> None:
    rig.hold()
    rig.hold()

    assert rig.hold().told == [(0, 503)]
    assert rig.route.metrics.held == 2


async def test_call_beyond_the_bound_at_full_replicas_is_429(rig: Rig) -> None:
    full = rig.replica(limit=1)
    full.in_flight = 1
    rig.route.desired, rig.route.ready = 1, [full]
    rig.hold()
    rig.hold()

    assert rig.hold().told == [(0, 429)]
    assert rig.wakes.routes == []


async def test_call_that_lost_its_replica_waits_for_another_only_shortly(rig: Rig) -> None:
    full = rig.replica(limit=1)
    full.in_flight = 1
    rig.route.desired, rig.route.ready = 1, [full]
    call = rig.hold(last_loss="the connection broke")
    await asyncio.sleep(100)

    assert call.told == [(5, 502)]


async def test_replica_that_could_not_be_reached_is_tried_again_when_its_pause_is_over(rig: Rig) -> None:
    paused = rig.replica()
    paused.pause()
    rig.route.desired, rig.route.ready = 1, [paused]
    call = rig.hold()
    await asyncio.sleep(1)

    ((at, by),) = call.told
    assert at == pytest.approx(paused.paused_until)
    assert by == "a:1"


async def test_problem_that_stays_ends_the_wait_of_all(rig: Rig) -> None:
    call = rig.hold()
    await asyncio.sleep(1)
    rig.route.desired, rig.route.problem = 1, "no such image"
    rig.admission.changed(rig.route)
    await asyncio.sleep(100)

    assert call.told == [(9, 503)]


async def test_problem_that_only_a_change_ends_is_told_at_once(rig: Rig) -> None:
    waiting = rig.hold()
    await asyncio.sleep(1)
    rig.route.desired, rig.route.problem, rig.route.lasting = 1, "there is no program", True
    rig.admission.changed(rig.route)
    assert waiting.told == [(1, 503)]
    assert rig.hold().told == [(1, 503)]
    assert rig.wakes.routes == [rig.route]

    rig.route.problem, rig.route.lasting = None, False
    rig.admission.changed(rig.route)
    assert rig.hold().told == []


async def test_sleeping_function_is_woken_whatever_its_problem_was(rig: Rig) -> None:
    rig.route.desired, rig.route.problem, rig.route.lasting = 0, "there was no program", True

    assert rig.hold().told == []
    assert rig.wakes.routes == [rig.route]


async def test_caller_who_came_soon_after_the_problem_is_told_the_next_start_as_well(rig: Rig) -> None:
    rig.route.desired, rig.route.problem, rig.route.problem_since = 1, "no such image", 0.0
    rig.route.next_start = rig.clock.wall() + 20
    call = rig.hold()
    await asyncio.sleep(100)

    assert (call.told, call.retry_after_s) == ([(LIMITS.problem_s, 503)], [20 - LIMITS.problem_s])


async def test_problem_that_others_have_waited_for_is_told_at_once(rig: Rig) -> None:
    rig.route.desired, rig.route.problem, rig.route.problem_since = 1, "no such image", 0.0
    await asyncio.sleep(LIMITS.problem_s - 1)
    early = rig.hold()
    await asyncio.sleep(1)
    late = rig.hold()

    assert (early.told, late.told) == ([], [(LIMITS.problem_s, 503)])


@pytest.mark.parametrize(
    ("next_start_in_s", "told_s"),
    [
        pytest.param(6.2, 7, id="the time to the next start"),
        pytest.param(-3.0, 1, id="which is under way"),
        pytest.param(90_000.0, 300, id="at most five minutes"),
        pytest.param(None, 8, id="which is not known"),
    ],
)
async def test_caller_of_a_broken_function_is_told_when_to_come_again(
    rig: Rig, next_start_in_s: float | None, told_s: int
) -> None:
    rig.route.desired, rig.route.problem, rig.route.problem_since = 1, "no such image", -60.0
    rig.route.next_start = None if next_start_in_s is None else rig.clock.wall() + next_start_in_s

    assert rig.hold().retry_after_s == [told_s]


@pytest.mark.parametrize("state", ["asleep", "ready"])
async def test_known_problem_does_not_keep_a_function_from_its_callers(rig: Rig, state: str) -> None:
    rig.route.problem, rig.route.problem_since = "no such image", -60.0
    rig.route.desired = 0 if state == "asleep" else 1
    full = rig.replica(limit=1)
    full.in_flight = 1
    rig.route.ready = [full] if state == "ready" else []

    assert rig.hold().told == []
    assert rig.wakes.routes == ([rig.route] if state == "asleep" else [])


@pytest.mark.parametrize(
    ("event", "status"),
    [
        pytest.param(lambda rig: rig.admission.removed(rig.route), 404, id="function deleted"),
        pytest.param(lambda rig: rig.admission.wake_failed(rig.route, 503, "no"), 503, id="wake failed"),
        pytest.param(lambda rig: rig.admission.refuse_all(), 503, id="gateway stops"),
    ],
)
async def test_what_ends_the_wait_of_all(rig: Rig, event: Callable[[Rig], None], status: int) -> None:
    calls = [rig.hold(), rig.hold()]

    event(rig)

    assert [call.told for call in calls] == [[(0, status)]] * 2
    assert rig.route.metrics.held == len(rig.admission) == 0


async def test_call_of_a_deleted_function_does_not_wait(rig: Rig) -> None:
    rig.route.removed = True

    assert rig.hold().told == [(0, 404)]
