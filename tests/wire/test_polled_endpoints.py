from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from springtide.runtime.errors import BadInput, NotFound, Unauthenticated, Unavailable
from springtide.runtime.virtual_time import VirtualTimeLoop
from springtide.scaler.core.call_timeout import CallTimeout
from springtide.scaler.core.vocabulary import Function, FunctionRef, Scale
from springtide.wire.endpoint_stream import (
    Changed,
    Endpoint,
    Event,
    FunctionEndpoints,
    Heartbeat,
    Removed,
    Snapshot,
    decode,
    encode,
)
from springtide.wire.polled_endpoints import MAX_STATUS_CALLS, SETTLE_S, PolledEndpoints
from tests.loops import virtual_loop

pytestmark = pytest.mark.virtual_time


ECHO, OTHER = FunctionRef("openfaas-fn", "echo"), FunctionRef("openfaas-fn", "other")
PROVIDER = Endpoint("provider", "127.0.0.1", 8081, prefix="/function/echo.openfaas-fn")


class Catalog:
    """Answers after ``takes_s`` what was so when it was asked; keeps when that was."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        self._loop = loop
        self.scales: dict[FunctionRef, tuple[int, int]] = {}
        self.annotations: dict[str, str] = {}
        self.call_timeout: CallTimeout | None = None
        self.failure: Exception | None = None
        self.list_takes_s = self.read_takes_s = 0.0
        self.lists: list[float] = []
        self.reads: list[float] = []
        self.reading = self.most_reading = 0

    async def list_functions(self) -> Sequence[Function]:
        self.lists.append(self._loop.time())
        seen = [
            Function(ref, Scale(*scale, ""), annotations=self.annotations, call_timeout=self.call_timeout)
            for ref, scale in self.scales.items()
        ]
        await asyncio.sleep(self.list_takes_s)
        if self.failure is not None:
            raise self.failure
        return seen

    async def read(self, ref: FunctionRef) -> Function:
        self.reads.append(self._loop.time())
        self.reading += 1
        self.most_reading = max(self.most_reading, self.reading)
        seen = self.scales.get(ref)
        try:
            await asyncio.sleep(self.read_takes_s)
        finally:
            self.reading -= 1
        if self.failure is not None:
            raise self.failure
        if seen is None:
            raise NotFound(f"no function {ref}")
        return Function(ref, Scale(*seen, ""), annotations=self.annotations)


class World:
    """``told`` are all events, and when (to 0.1 ms) they were; ``waiting`` is whether somebody waits."""

    def __init__(self, loop: VirtualTimeLoop, url: str) -> None:
        self.catalog = Catalog(loop)
        self.polled = PolledEndpoints(self.catalog, url, clock=loop.clock, interval_s=5.0)
        self.told: list[tuple[float, Event]] = []
        self.waiting = True
        self.watching: asyncio.Task[None] | None = None
        self._loop = loop

    @property
    def news(self) -> list[tuple[float, Event]]:
        return [(at, event) for at, event in self.told if not isinstance(event, Heartbeat)]

    def watch(self) -> asyncio.Task[None]:
        async def watching() -> None:
            async for event in self.polled.watch_endpoints():
                self.told.append((round(self._loop.time(), 4), event))

        self.watching = asyncio.create_task(watching())
        return self.watching

    def expect(self, ref: FunctionRef = ECHO, desired: int = 1) -> None:
        self.polled.expect(ref, desired, lambda: self.waiting)


@asynccontextmanager
async def live(url: str = "http://127.0.0.1:8081") -> AsyncIterator[World]:
    """A world whose every task has ended when it is left."""
    world = World(virtual_loop(), url)
    try:
        yield world
    finally:
        if world.watching is not None:
            world.watching.cancel()
            await asyncio.wait([world.watching])
        await world.polled.aclose()
        assert asyncio.all_tasks() == {asyncio.current_task()}


def state(ref: FunctionRef, replicas: int, *endpoints: Endpoint) -> FunctionEndpoints:
    return FunctionEndpoints(ref, replicas, "", endpoints)


async def until(instant: float) -> None:
    """Until just after ``instant``."""
    await asyncio.sleep(instant + 1e-6 - asyncio.get_running_loop().time())


async def test_time_that_a_function_names_is_told_when_it_changes() -> None:
    async with live() as world:
        world.catalog.scales = {ECHO: (1, 1)}
        world.watch()
        await until(1)
        world.catalog.call_timeout = CallTimeout(600, "exec_timeout")
        await until(6)

    assert world.news[-1] == (5.0, Changed(replace(state(ECHO, 1, PROVIDER), timeout=CallTimeout(600, "exec_timeout"))))


async def test_functions_are_listed_every_interval_and_only_changes_are_told() -> None:
    async with live() as world:
        world.catalog.scales = {ECHO: (1, 1), OTHER: (0, 0)}
        world.watch()
        await until(7)
        world.catalog.scales = {ECHO: (2, 0)}
        await until(16)

    assert [round(at, 6) for at in world.catalog.lists] == [0, 5, 10, 15]
    assert world.told == [
        (0, Snapshot((state(ECHO, 1, PROVIDER), state(OTHER, 0)))),
        (5, Heartbeat()),
        (10, Removed(OTHER)),
        (10, Changed(state(ECHO, 2))),
        (10, Heartbeat()),
        (15, Heartbeat()),
    ]
    assert world.catalog.reads == []


async def test_annotations_are_those_of_the_status_and_outlive_a_wake() -> None:
    async with live() as world:
        world.catalog.scales = {ECHO: (0, 0)}
        world.catalog.annotations = {"topic": "cron"}
        world.watch()
        await until(1)
        world.expect()
        await until(1.001)

    assert world.told[:2] == [
        (0, Snapshot((replace(state(ECHO, 0), annotations={"topic": "cron"}),))),
        (1, Changed(replace(state(ECHO, 1), annotations={"topic": "cron"}))),
    ]


@pytest.mark.parametrize(
    ("replicas", "available", "endpoints"),
    [
        pytest.param(0, 0, (), id="asleep"),
        pytest.param(3, 0, (), id="starting"),
        pytest.param(1, 1, (PROVIDER,), id="one replica"),
        pytest.param(9, 5, (PROVIDER,), id="many replicas are one endpoint"),
        pytest.param(0, 2, (), id="going to zero: nothing new for what still answers"),
    ],
)
async def test_function_is_at_the_provider_when_replicas_answer(
    replicas: int, available: int, endpoints: tuple[Endpoint, ...]
) -> None:
    async with live() as world:
        world.catalog.scales = {ECHO: (replicas, available)}
        world.watch()
        await until(1)

    assert world.told == [(0, Snapshot((state(ECHO, replicas, *endpoints),)))]


async def test_function_waited_for_is_polled_at_growing_pauses_until_it_is_ready() -> None:
    async with live() as world:
        world.catalog.scales = {ECHO: (1, 0)}
        world.watch()
        await until(1)
        world.expect()
        await until(1.07)
        world.catalog.scales = {ECHO: (1, 1)}
        await until(4)

    pauses_ms = [5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5.5, 6.05, 6.655]
    instants = [at - 1.000001 for at in world.catalog.reads]
    assert instants == pytest.approx([total / 1e3 for total in itertools.accumulate(pauses_ms)], rel=1e-6)
    assert world.news[1:] == [(1.0732, Changed(state(ECHO, 1, PROVIDER)))]


async def test_pause_between_polls_grows_to_a_quarter_of_a_second_and_no_further() -> None:
    async with live() as world:
        world.catalog.scales = {ECHO: (1, 0)}
        world.watch()
        await until(1)
        world.expect()
        await until(30)

    pauses = [b - a for a, b in itertools.pairwise(world.catalog.reads)]

    assert sorted(pauses) == pytest.approx(pauses)
    assert pauses[-1] == pytest.approx(0.25)
    assert 140 < len(pauses) < 170


async def test_polling_stops_when_nobody_waits_and_starts_quickly_for_the_next_who_does() -> None:
    async with live() as world:
        world.catalog.scales = {ECHO: (1, 0)}
        world.watch()
        await until(1)
        world.expect()
        await until(1.03)
        world.waiting = False
        await until(2)
        world.waiting = True
        world.expect()
        await until(2.012)

    instants = [round(at, 4) for at in world.catalog.reads]

    assert instants == [1.005, 1.01, 1.015, 1.02, 1.025, 1.03, 2.005, 2.01]


async def test_never_more_than_one_status_call_per_function_however_often_it_is_expected() -> None:
    async with live() as world:
        world.catalog.scales = {ECHO: (1, 0)}
        world.catalog.read_takes_s = 0.1
        world.watch()
        await until(1)
        for _ in range(1000):
            world.expect()
            await asyncio.sleep(0.001)

    assert world.catalog.most_reading == 1
    assert len(world.catalog.reads) == 7


async def test_status_calls_are_bounded_in_total() -> None:
    refs = [FunctionRef("openfaas-fn", f"f{number}") for number in range(100)]

    async with live() as world:
        world.catalog.scales = dict.fromkeys(refs, (1, 0))
        world.catalog.read_takes_s = 0.1
        world.watch()
        await until(1)
        for ref in refs:
            world.expect(ref)
        await until(1.2)
        world.catalog.scales = dict.fromkeys(refs, (1, 1))
        await until(4)

    assert world.catalog.most_reading == MAX_STATUS_CALLS
    assert sum(isinstance(event, Changed) for _, event in world.told) == 100


async def test_unknown_function_is_not_polled_for() -> None:
    async with live() as world:
        world.watch()
        await until(1)
        world.expect()
        await until(2)

    assert world.catalog.reads == []


async def test_function_that_was_deleted_while_somebody_waits_is_told_as_removed() -> None:
    async with live() as world:
        world.catalog.scales = {ECHO: (1, 0)}
        world.watch()
        await until(1)
        world.expect()
        world.catalog.scales = {}
        await until(2)

    assert world.news[1:] == [(1.005, Removed(ECHO))]
    assert len(world.catalog.reads) == 1


async def test_failed_list_keeps_what_was_known_and_the_next_watcher_gets_everything() -> None:
    async with live() as world:
        world.catalog.scales = {ECHO: (1, 1)}
        watching = world.watch()
        await until(1)
        world.catalog.failure = Unavailable("gone")
        with pytest.raises(Unavailable, match="gone"):
            await watching
        world.catalog.failure = None
        world.watch()
        await until(6)

    assert world.told == [
        (0, Snapshot((state(ECHO, 1, PROVIDER),))),
        (5.0, Snapshot((state(ECHO, 1, PROVIDER),))),
    ]


async def test_refused_list_is_the_provider_being_away_not_an_empty_list() -> None:
    async with live() as world:
        world.catalog.failure = Unauthenticated("invalid credentials")
        with pytest.raises(Unavailable, match="invalid credentials"):
            await world.watch()

    assert world.told == []


async def test_failed_status_polls_change_nothing_and_polling_goes_on() -> None:
    async with live() as world:
        world.catalog.scales = {ECHO: (1, 0)}
        world.watch()
        await until(1)
        world.expect()
        world.catalog.failure = Unavailable("gone")
        await until(3)
        world.catalog.failure = None
        world.catalog.scales = {ECHO: (1, 1)}
        await until(4)

    ((at, event),) = world.news[1:]
    assert 3.0 < at <= 3.25
    assert event == Changed(state(ECHO, 1, PROVIDER))


async def test_readiness_is_told_while_the_functions_cannot_be_listed() -> None:
    async with live() as world:
        world.catalog.scales = {ECHO: (1, 0)}
        world.watch()
        await until(1)
        world.catalog.list_takes_s = 1000.0
        await until(5)
        world.catalog.scales = {ECHO: (1, 1)}
        world.expect()
        await until(5.1)

    assert world.news[1:] == [(5.005, Changed(state(ECHO, 1, PROVIDER)))]


async def test_list_that_was_asked_for_before_the_wake_does_not_undo_it() -> None:
    async with live() as world:
        world.catalog.scales = {ECHO: (0, 0)}
        world.watch()
        await until(1)
        world.catalog.list_takes_s = SETTLE_S + 2
        await until(6)
        world.catalog.scales = {ECHO: (1, 0)}
        world.expect()
        await until(12)

    replicas = [event.function.replicas for _, event in world.told if isinstance(event, Changed)]

    assert replicas == [1]


async def test_status_that_was_asked_for_before_a_newer_answer_came_is_dropped() -> None:
    async with live() as world:
        world.catalog.scales = {ECHO: (1, 0)}
        world.catalog.read_takes_s = 1.0
        world.watch()
        await until(4.5)
        world.expect()
        await until(4.6)  # asked, with nothing ready
        world.catalog.scales = {ECHO: (1, 1)}
        await until(5.4)  # the list came meanwhile
        assert world.news[-1] == (5.0, Changed(state(ECHO, 1, PROVIDER)))
        await until(9)

    assert len(world.news) == 2


async def test_zero_is_not_believed_right_after_a_wake_but_later_it_is() -> None:
    async with live() as world:
        world.catalog.scales = {ECHO: (0, 0)}
        world.watch()
        await until(1)
        world.expect(desired=2)
        await until(4)

    (woken_at, woken), (asleep_at, asleep) = world.news[1:]

    assert (round(woken_at, 3), woken) == (1.0, Changed(state(ECHO, 2)))
    assert 1 + SETTLE_S <= asleep_at <= 1 + SETTLE_S + 0.25
    assert asleep == Changed(state(ECHO, 0))


async def test_zero_is_believed_at_once_when_the_wake_has_been_seen() -> None:
    async with live() as world:
        world.catalog.scales = {ECHO: (0, 0)}
        world.watch()
        await until(4.8)
        world.catalog.scales = {ECHO: (1, 1)}
        world.expect()
        await until(4.9)
        world.catalog.scales = {ECHO: (0, 0)}
        await until(5)

    assert world.news[1:] == [
        (4.8, Changed(state(ECHO, 1))),
        (4.805, Changed(state(ECHO, 1, PROVIDER))),
        (5.0, Changed(state(ECHO, 0))),
    ]


async def test_functions_are_listed_at_once_when_told_to_look_again() -> None:
    async with live() as world:
        world.watch()
        await until(2)
        world.catalog.scales = {ECHO: (1, 1)}
        world.polled.look_again()
        await until(9)

    assert [round(at, 3) for at in world.catalog.lists] == [0, 2, 7]
    assert world.news[1:] == [(2.0, Changed(state(ECHO, 1, PROVIDER)))]


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        pytest.param("http://gateway", Endpoint("provider", "gateway", 80, prefix="/function/a.b"), id="port 80"),
        pytest.param(
            "http://[::1]:8081/", Endpoint("provider", "::1", 8081, prefix="/function/a.b"), id="IPv6 and a slash"
        ),
        pytest.param(
            "http://edge:1/base/", Endpoint("provider", "edge", 1, prefix="/base/function/a.b"), id="below a path"
        ),
    ],
)
async def test_calls_go_to_the_providers_own_address(url: str, endpoint: Endpoint) -> None:
    async with live(url) as world:
        world.catalog.scales = {FunctionRef("b", "a"): (1, 1)}
        world.watch()
        await until(1)

    event = world.told[0][1]

    assert isinstance(event, Snapshot)
    assert event.functions[0].endpoints == (endpoint,)
    assert decode(encode(event)) == event


@pytest.mark.parametrize("url", ["https://gateway", "unix:///run/provider", "gateway:8080", ""])
async def test_address_that_calls_cannot_be_passed_on_to_is_refused(url: str) -> None:
    with pytest.raises(BadInput, match="http://HOST:PORT"):
        World(virtual_loop(), url)


async def test_watching_can_be_given_up_at_any_time() -> None:
    async with live() as world:
        world.catalog.list_takes_s = 1.0
        events: AsyncGenerator[Event, None] = world.polled.watch_endpoints()
        first = asyncio.ensure_future(anext(events))
        await until(0.5)
        first.cancel()
        await asyncio.wait([first])
        await events.aclose()
        world.watch()
        await until(2)

    assert world.told == [(1.5, Snapshot(()))]
