"""Histories from what gateways tell: the same ones whoever asks when, and whatever is restarted meanwhile."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from springtide.gateway.busy_periods import BusyPeriods
from springtide.gateway.call_metrics import CallMetrics
from springtide.scaler.core.keepalive import history as histories
from springtide.scaler.core.keepalive.forecasts import Score
from springtide.scaler.core.keepalive.history import History
from springtide.scaler.core.vocabulary import FunctionRef, Instant
from springtide.triggers.sleep import kept
from springtide.triggers.sleep.kept import Position
from springtide.triggers.sleep.watching import MAX_UNSEEN_S, Watching
from springtide.wire import busy_periods
from springtide.wire.busy_periods import QUIET_S, BusyReport

NAME = "echo.openfaas-fn"
ECHO = FunctionRef.parse(NAME)
BEGIN = 1_700_000_000.0
URLS = ("http://10.0.0.1:8082", "http://10.0.0.2:8082")


@dataclass
class Hands:
    at: float = BEGIN

    def now(self) -> float:
        return self.at

    def wall(self) -> float:
        return self.at


class World:
    """Two gateways, whose calls are made by hand, and who learns from them."""

    def __init__(self) -> None:
        self.hands = Hands()
        self.gateways = {url: BusyPeriods(self.hands) for url in URLS}
        self.metrics = {url: CallMetrics(last_active=BEGIN) for url in URLS}
        self.watching = Watching()
        self.away: set[str] = set()

    def begin(self, url: str, at: float) -> None:
        self.hands.at = at
        self.metrics[url].begin(at)
        self._tell(url)

    def end(self, url: str, at: float) -> None:
        self.hands.at = at
        self.metrics[url].end(200, 0.0, at)
        self._tell(url)

    def call(self, url: str, begun: float, ended: float) -> None:
        self.begin(url, begun)
        self.end(url, ended)

    def _tell(self, url: str) -> None:
        metrics = self.metrics[url]
        self.gateways[url].saw(
            NAME,
            "",
            busy_since=metrics.busy_since,
            last_active=metrics.last_active,
            started=metrics.started,
            in_flight=metrics.in_flight,
        )

    def replaced(self, url: str, at: float) -> None:
        """Another gateway at the same address, with no calls."""
        self.hands.at = at
        self.gateways[url], self.metrics[url] = BusyPeriods(self.hands), CallMetrics(last_active=at)

    def look(self, at: float) -> None:
        self.hands.at = at
        told: dict[str, BusyReport] = {}
        for url, gateway in self.gateways.items():
            told[url] = busy_periods.decode(busy_periods.encode(gateway.told(self.watching.since, at)))
        self.watching.take(told, lambda ref: ref == ECHO)

    def learner_restarted(self) -> None:
        """All that the new one has is what was kept."""
        old, new = self.watching, Watching()
        assert old.heard_until is not None
        position = kept.position_from_json(kept.position_json(Position(old.heard_until, old.gateways)))
        new.heard_until, new.gateways = position.heard_until, dict(position.gateways)
        new.functions = {
            ref: kept.from_record(kept.record(watched, Score()))[0] for ref, watched in old.functions.items()
        }
        self.watching = new

    @property
    def history(self) -> History:
        return self.watching.functions[ECHO].history


def straight(calls: Sequence[tuple[float, float]]) -> History:
    """What one who saw each call at once would have learned."""
    history, ends = History(), None
    for begun, ended in sorted(calls):
        if ends is not None and begun >= ends + QUIET_S:
            history, ends = histories.ended(history, Instant(ends)), None
        at = begun if history.recent.seen_at is None else max(begun, history.recent.seen_at)
        history = histories.started(history, Instant(at))
        ends = ended if ends is None else max(ended, ends)
    return history if ends is None else histories.ended(history, Instant(ends))


def every_six_minutes(count: int) -> list[tuple[float, float]]:
    return [(BEGIN + 360 * number, BEGIN + 360 * number + 2.5) for number in range(1, count + 1)]


def test_pauses_of_two_gateways_are_those_between_the_calls_of_both() -> None:
    world, calls = World(), every_six_minutes(6)
    for number, (begun, ended) in enumerate(calls):
        world.call(URLS[number % 2], begun, ended)
        world.look(ended + 5)

    assert world.history == straight(calls)
    assert world.history.pauses == 5
    assert world.history.recent.intervals_s == (360.0,) * 5


def test_who_was_away_learns_what_it_missed() -> None:
    world, calls = World(), every_six_minutes(8)
    world.look(BEGIN + 1)
    for begun, ended in calls[:3]:
        world.call(URLS[0], begun, ended)
        world.look(ended + 5)
    world.learner_restarted()
    for begun, ended in calls[3:]:
        world.call(URLS[1], begun, ended)
    world.look(calls[-1][1] + 5)

    assert world.history == straight(calls)


def test_restart_of_everything_in_a_pause_changes_nothing() -> None:
    world, calls = World(), every_six_minutes(8)
    for number, (begun, ended) in enumerate(calls):
        world.call(URLS[number % 2], begun, ended)
        world.look(ended + 5)
        if number == 3:
            world.learner_restarted()
            for url in URLS:
                world.replaced(url, ended + 20)

    assert world.history == straight(calls)


@pytest.mark.parametrize("away_s", [MAX_UNSEEN_S - 10, MAX_UNSEEN_S + 10])
def test_pause_in_which_nobody_looked_is_learned_only_if_no_call_could_hide_in_it(away_s: float) -> None:
    world, calls = World(), every_six_minutes(4)
    for number, (begun, ended) in enumerate(calls):
        world.call(URLS[0], begun, ended)
        world.look(ended + 5)
        if number == 1:
            world.replaced(URLS[1], ended + 5 + away_s)

    assert world.history.pauses == (3 if away_s < MAX_UNSEEN_S else 2)


def test_gateway_that_is_gone_hides_calls_once_it_was_not_heard_for_long() -> None:
    world, calls = World(), every_six_minutes(3)
    world.call(URLS[0], *calls[0])
    world.look(calls[0][1] + 5)
    del world.gateways[URLS[1]]
    world.look(calls[0][1] + 200)
    world.call(URLS[0], *calls[1])
    world.call(URLS[0], *calls[2])
    world.look(calls[2][1] + 5)

    assert world.history.pauses == 1


def test_dropped_periods_are_pauses_that_nobody_knows() -> None:
    world = World()
    world.look(BEGIN + 1)
    calls = [(BEGIN + 100.0 * number, BEGIN + 100.0 * number + 1) for number in range(1, 50)]
    for call in calls:
        world.call(URLS[0], *call)
    world.look(calls[-1][1] + 5)

    assert world.history.pauses == busy_periods.MAX_PERIODS - 1
    assert world.history.recent == straight(calls).recent


def test_clock_set_back_ends_no_learning() -> None:
    world = World()
    world.call(URLS[0], BEGIN + 7200, BEGIN + 7201)
    world.look(BEGIN + 7205)
    for url in URLS:
        world.metrics[url] = CallMetrics(last_active=BEGIN)
        world.replaced(url, BEGIN)
    world.look(BEGIN + 1)
    calls = every_six_minutes(4)
    for call in calls:
        world.call(URLS[0], *call)
        world.look(call[1] + 5)

    assert world.history.pauses == 3


def test_calls_in_flight_are_a_period_that_goes_on() -> None:
    world = World()
    world.begin(URLS[0], BEGIN + 10)
    world.look(BEGIN + 60)
    assert world.history.recent.busy
    world.learner_restarted()
    world.call(URLS[1], BEGIN + 70, BEGIN + 75)
    world.look(BEGIN + 80)
    world.end(URLS[0], BEGIN + 90)
    world.look(BEGIN + 95)

    assert world.history == straight([(BEGIN + 10, BEGIN + 90), (BEGIN + 70, BEGIN + 75)])


def test_functions_that_nobody_wants_to_know_of_are_left_out() -> None:
    world = World()
    world.gateways[URLS[0]].saw(
        "other.openfaas-fn", "", busy_since=BEGIN + 1, last_active=BEGIN + 2, started=1, in_flight=0
    )
    world.look(BEGIN + 10)

    assert not world.watching.functions


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32))
def test_history_does_not_depend_on_who_asked_when_and_what_was_restarted(seed: int) -> None:
    draw = random.Random(seed)
    world, calls, at = World(), [], BEGIN
    world.look(at)
    for _ in range(draw.randint(1, 25)):
        at += draw.choice((0.2, 3.0, 70.0, 500.0)) * draw.uniform(0.5, 2)
        url, length_s = draw.choice(URLS), draw.choice((0.01, 0.4, 5.0))
        world.call(url, at, at + length_s)
        calls.append((at, at + length_s))
        at += length_s
        if draw.random() < 0.5:
            at += draw.uniform(0, 3)
            world.look(at)
            if draw.random() < 0.5:
                world.learner_restarted()
            if draw.random() < 0.3:
                at += draw.uniform(1.5, 20)
                world.replaced(draw.choice(URLS), at)
    world.look(at + 10)

    found, wanted = world.history, straight(calls)
    assert [(page.calls, page.ended) for page in found.pages] == [(page.calls, page.ended) for page in wanted.pages]
    assert found.recent.last_end == wanted.recent.last_end
    assert found.recent.last_start == wanted.recent.last_start
    assert found.recent.intervals_s == wanted.recent.intervals_s
