"""The control loop's decision: what each load asks for, what unknown does, and what is told."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from springtide.scaler.core import loop
from springtide.scaler.core.demand import LoadSample
from springtide.scaler.core.loads import ALSO, loads_of
from springtide.scaler.core.loop import LoopHistory
from springtide.scaler.core.observation import CALLS, Calls, Level, Observation, Signal
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.vocabulary import (
    Decision,
    Function,
    FunctionRef,
    Instant,
    NoData,
    Reason,
    Scale,
    Unmeasured,
    Writer,
)

REF = FunctionRef("openfaas-fn", "echo")
SCALE = "com.openfaas.scale."


class Loop:
    """A function under the loop, whose every wish comes true at once. A tick is a second."""

    def __init__(
        self,
        labels: Mapping[str, str],
        *,
        replicas: int = 1,
        owner: Writer | None = Writer.SCALER,
        also: str = "",
    ) -> None:
        self.labels = {f"{SCALE}{key}" if "." not in key else key: value for key, value in labels.items()}
        self.policy, problems = ScalePolicy.from_labels(self.labels)
        self.loads, wrong = loads_of(self.labels, {ALSO: also} if also else {})
        self.problems = (*problems, *wrong)
        self.owner, self.wanted, self.ready = owner, replicas, replicas
        self.now, self.started, self.completed = 10_000.0, 0.0, 0.0
        self.history, self.unread, self.takes = LoopHistory(), "", True
        self.last: Decision | None = None
        self.repeats = False

    def calls(self, rate: float, service_s: float = 1.0, waiting: float = 0.0) -> Calls:
        self.started += rate
        self.completed += rate
        return Calls(LoadSample(Instant(self.now + 0.5), self.started, self.completed, rate * service_s, waiting))

    def tick(self, signals: Callable[[], Mapping[str, Signal]]) -> Decision:
        """A look a second later at what ``signals`` gives."""
        self.now += 1
        function = Function(REF, Scale(self.wanted, self.ready, "1"), owner=self.owner)
        seen = Observation(function, signals(), self.unread)
        outcome = loop.decide(self.policy, self.loads, self.history, seen, Instant(self.now), problems=self.problems)
        self.last, self.repeats = outcome.decision, outcome.repeats
        assert self.last.before == self.wanted
        self.history = outcome.written if self.takes else outcome.unwritten
        if self.takes:
            self.wanted = self.ready = self.last.after
        return self.last

    def ticks(self, count: int, signals: Callable[[], Mapping[str, Signal]]) -> list[Decision]:
        return [self.tick(signals) for _ in range(count)]

    def at_rate(self, rate: float, service_s: float = 1.0) -> Callable[[], Mapping[str, Signal]]:
        return lambda: {CALLS: self.calls(rate, service_s)}

    def at_level(self, value: float, key: str = "cpu") -> Callable[[], Mapping[str, Signal]]:
        return lambda: {key: Level(value, Instant(self.now - 1))}


CAPACITY = {"type": "capacity", "target": "1", "max": "50"}
RPS = {"type": "rps", "target": "10", "max": "50"}
CPU = {"type": "cpu", "target": "500m", "max": "50"}
QUEUE = {"type": "queue", "target": "10", "max": "50"}
OWN = {"type": "orders", "target": "10", "max": "50"}


def test_it_grows_to_what_the_calls_need_and_tells_the_numbers() -> None:
    of = Loop(CAPACITY)
    grown = next(made for made in of.ticks(20, of.at_rate(20)) if made.changes)
    of.ticks(60, of.at_rate(20))
    assert grown.reason is Reason.LOAD_UP
    assert 20 < of.wanted < 32
    assert "calls/s" in grown.detail
    assert "that a start takes" in grown.detail
    numbers = {"rate", "service_s", "cold_start_s", "demand", "sd", "backlog", "level", "grip", "needed", "capacity"}
    assert numbers <= set(grown.inputs)
    assert all(math.isfinite(value) for value in grown.inputs.values())


def test_short_calls_at_a_modest_rate_stay_at_one() -> None:
    of = Loop(CAPACITY)
    assert not any(made.changes for made in of.ticks(120, of.at_rate(21, 0.005)))
    assert of.last is not None
    assert of.last.reason is Reason.AT_MIN


def test_a_rate_is_followed_up_and_down() -> None:
    of = Loop(RPS)
    of.ticks(60, of.at_rate(100))
    assert 10 < of.wanted <= 14
    down = [made for made in of.ticks(200, of.at_rate(10)) if made.changes]
    assert of.wanted <= 2
    assert {made.reason for made in down} == {Reason.LOAD_DOWN}


@pytest.mark.parametrize(("labels", "key", "each"), [(CPU, "cpu", 500), (QUEUE, "queue", 10), (OWN, "orders", 10)])
def test_a_level_is_followed_up_and_down(labels: dict[str, str], key: str, each: float) -> None:
    of = Loop(labels)
    of.ticks(10, of.at_level(8 * each, key))
    assert of.wanted == 8
    of.ticks(200, of.at_level(each, key))
    assert of.wanted == 1


def test_a_short_peak_of_processor_time_is_noise() -> None:
    of = Loop(CPU, replicas=4)
    of.ticks(60, of.at_level(1900))
    of.tick(of.at_level(9000))
    of.ticks(20, of.at_level(1900))
    assert of.wanted == 4


def test_of_several_loads_the_highest_wins_and_all_are_told() -> None:
    of = Loop(CAPACITY, also="cpu=500m,rps=50")
    made = of.ticks(30, lambda: {CALLS: of.calls(4), "cpu": Level(6000, Instant(of.now))})
    assert of.wanted == 12
    grown = [each for each in made if each.changes][-1]
    assert {"capacity_needed", "cpu_needed", "rps_needed", "cpu_age_s"} <= set(grown.inputs)
    assert grown.inputs["needed"] == 12
    assert "cpu" not in grown.detail.split(";")[0]
    assert "capacity needs" in grown.detail
    assert "rps needs" in grown.detail


@pytest.mark.parametrize(
    ("load", "target", "proportion", "wanted"),
    [(15, 5, "1", 3), (25, 10, "0.9", 3), (90, 100, "0.7", 2), (0, 5, "1", 1)],
)
@pytest.mark.parametrize("type_", ["rps", "capacity", "queue", "orders"])
def test_the_documented_examples_of_openfaas(
    load: float, target: int, proportion: str, wanted: int, type_: str
) -> None:
    of = Loop({"type": type_, "target": str(target), "target-proportion": proportion}, replicas=wanted + 2)
    of.ticks(120, of.at_level(load, type_) if type_ in ("queue", "orders") else of.at_rate(load))
    assert of.wanted == wanted


def test_the_formula_goes_down_to_the_highest_of_its_window() -> None:
    of = Loop(
        {
            "type": "queue",
            "target": "10",
            "com.openfaas.scale.down.window": "2m",
            "com.openfaas.scale.target-proportion": "1",
        }
    )
    of.ticks(130, of.at_level(90, "queue"))
    assert of.wanted == 9
    of.ticks(115, of.at_level(30, "queue"))
    assert of.wanted == 9
    of.ticks(15, of.at_level(30, "queue"))
    assert of.wanted == 3


def stale(of: Loop) -> Signal:
    return replace(of.calls(0), sample=LoadSample(Instant(of.now - 30), of.started, of.completed, 0, 0))


LABELS = {"capacity": CAPACITY, "rps": RPS, "cpu": CPU, "queue": QUEUE, "orders": OWN}
EACH = {"capacity": 1, "rps": 10, "cpu": 500, "queue": 10, "orders": 10}


def of_type(name: str, replicas: int, load: float) -> tuple[Loop, str, Callable[[], Mapping[str, Signal]]]:
    """A function of a type, the key of its signal, and a steady load of so many replicas."""
    of = Loop(LABELS[name], replicas=replicas)
    key = CALLS if name in ("capacity", "rps") else name
    steady = of.at_rate(load * EACH[name]) if key == CALLS else of.at_level(load * EACH[name], key)
    return of, key, steady


FAULTS: dict[str, tuple[Callable[[Loop, str], Signal | None], Reason]] = {
    "an error": (lambda _of, _key: NoData("connection refused"), Reason.NO_DATA),
    "empty": (lambda _of, _key: None, Reason.NO_DATA),
    "no number": (
        lambda of, key: of.calls(math.nan) if key == CALLS else Level(math.nan, Instant(of.now)),
        Reason.NO_DATA,
    ),
    "stale": (lambda of, key: stale(of) if key == CALLS else Level(0, Instant(of.now - 500)), Reason.STALE_DATA),
    "of the future": (
        lambda of, key: (
            Calls(LoadSample(Instant(of.now + 900), of.started, of.completed, 0, 0))
            if key == CALLS
            else Level(0, Instant(of.now + 900))
        ),
        Reason.STALE_DATA,
    ),
}


@pytest.mark.parametrize("type_", LABELS)
@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_known_shrinks_and_grows_nothing(type_: str, fault: str) -> None:
    of, key, steady = of_type(type_, 20, 15)
    of.ticks(100, steady)
    before, (broken, reason) = of.wanted, FAULTS[fault]

    def signals() -> Mapping[str, Signal]:
        signal = broken(of, key)
        return {} if signal is None else {key: signal}

    made = of.ticks(400, signals)
    assert {each.reason for each in made} == {reason}
    assert of.wanted == before
    assert made[-1].detail


@pytest.mark.parametrize(
    ("cpu", "reason"),
    [
        pytest.param(None, Reason.UNMEASURED, id="all else is known"),
        pytest.param(NoData("the provider is away"), Reason.PARTIAL_DATA, id="what may be known again is not"),
    ],
)
def test_what_nobody_measures_is_named_where_nothing_else_is_missing(cpu: Signal | None, reason: Reason) -> None:
    of = Loop({"type": "rps", "target": "10"}, replicas=50, also="queue=5,cpu=500m")

    def signals() -> Mapping[str, Signal]:
        known = cpu or Level(100.0, Instant(of.now))
        return {CALLS: of.calls(100), "queue": Unmeasured("there is no queue here"), "cpu": known}

    made = of.ticks(400, signals)
    assert {each.reason for each in made} == {reason}
    assert of.wanted == 50, "nothing is taken away"


@pytest.mark.parametrize("type_", LABELS)
def test_after_a_gap_it_does_not_shrink_until_the_load_has_been_known_for_a_while(type_: str) -> None:
    of, key, steady = of_type(type_, 20, 15)
    of.ticks(100, steady)
    of.ticks(200, lambda: {key: NoData("restarting")})
    before = of.wanted
    low = of.at_rate(0) if key == CALLS else of.at_level(0, key)
    made = of.ticks(31, low)
    assert {each.reason for each in made} == {Reason.SOURCE_RESTARTED}
    assert of.wanted == before
    of.ticks(60, low)
    assert of.wanted == 1


@pytest.mark.parametrize("type_", LABELS)
def test_a_loop_that_has_just_begun_grows_and_does_not_shrink(type_: str) -> None:
    of, _, steady = of_type(type_, 20, 5)
    made = of.ticks(32, steady)
    assert {each.reason for each in made} == {Reason.STARTING}
    assert of.wanted == 20
    of, _, steady = of_type(type_, 2, 10)
    of.ticks(30, steady)
    assert of.wanted >= 10


@pytest.mark.parametrize("type_", LABELS)
@pytest.mark.parametrize(("by_s", "words"), [(-3600.0, "clock"), (300.0, "did not look")])
def test_a_clock_that_is_set_back_and_a_loop_that_was_halted_begin_anew(type_: str, by_s: float, words: str) -> None:
    of, key, steady = of_type(type_, 20, 15)
    of.ticks(100, steady)
    before = of.wanted
    of.now += by_s
    made = of.ticks(30, of.at_rate(0) if key == CALLS else of.at_level(0, key))
    assert {each.reason for each in made} == {Reason.STARTING}
    assert words in made[0].detail
    assert of.wanted == before


@pytest.mark.parametrize("type_", ["capacity", "rps"])
def test_a_silent_gateway_stops_shrinking_and_known_load_still_grows(type_: str) -> None:
    of, _, steady = of_type(type_, 20, 15)
    of.ticks(100, steady)
    before = of.wanted
    low = EACH[type_] * 3.0
    made = of.ticks(300, lambda: {CALLS: replace(of.calls(low), silent=("gateway-2",))})
    assert {each.reason for each in made} == {Reason.PARTIAL_DATA}
    assert "gateway-2" in made[0].detail
    assert of.wanted == before
    of.ticks(60, lambda: {CALLS: replace(of.calls(EACH[type_] * 30.0), silent=("gateway-2",))})
    assert 30 <= of.wanted <= 42


@pytest.mark.parametrize("type_", ["capacity", "rps"])
def test_a_gateway_that_left_is_gone_with_its_calls(type_: str) -> None:
    of, _, steady = of_type(type_, 20, 16)
    of.ticks(100, steady)
    of.ticks(300, of.at_rate(EACH[type_] * 8))
    assert 8 <= of.wanted <= 14


@pytest.mark.parametrize("type_", ["capacity", "rps"])
def test_what_a_returned_gateway_counted_meanwhile_is_no_burst(type_: str) -> None:
    of, _, steady = of_type(type_, 20, 15)
    of.ticks(100, steady)
    before = of.wanted
    of.ticks(60, lambda: {CALLS: replace(of.calls(EACH[type_] * 7), silent=("gateway-2",))})
    of.started += 5_000
    of.completed += 5_000
    made = of.ticks(30, steady)
    assert of.wanted <= before + 1
    assert {each.reason for each in made} <= {Reason.SOURCE_RESTARTED, Reason.LOAD_UP}


@pytest.mark.parametrize("type_", ["capacity", "rps"])
@pytest.mark.parametrize("left", [0.0, 900.0])
def test_counters_that_begin_anew_are_no_burst_and_no_silence(type_: str, left: float) -> None:
    of, _, steady = of_type(type_, 20, 15)
    of.ticks(100, steady)
    before = of.wanted
    of.started = of.completed = left
    made = of.ticks(30, steady)
    assert of.wanted <= before + 1
    assert made[0].reason is Reason.SOURCE_RESTARTED


@pytest.mark.parametrize("type_", LABELS)
def test_a_slow_source_within_its_limit_is_followed(type_: str) -> None:
    of, key, steady = of_type(type_, 2, 10)
    every = 3 if key == CALLS else 15
    seen: dict[str, Signal] = {}

    def signals() -> Mapping[str, Signal]:
        fresh = steady()
        if int(of.now) % every == 0 or not seen:
            seen.update(fresh)
        return seen

    of.ticks(120, signals)
    assert 10 <= of.wanted <= 16


def test_one_unknown_load_of_several_stops_shrinking_while_the_others_grow() -> None:
    of = Loop(CAPACITY, replicas=20, also="cpu=500m")
    of.ticks(100, lambda: {CALLS: of.calls(15), "cpu": Level(7000, Instant(of.now))})
    before = of.wanted
    made = of.ticks(200, lambda: {CALLS: of.calls(1), "cpu": NoData("metrics are away")})
    assert {each.reason for each in made} == {Reason.PARTIAL_DATA}
    assert "metrics are away" in made[0].detail
    assert of.wanted == before
    of.ticks(60, lambda: {CALLS: of.calls(30), "cpu": NoData("metrics are away")})
    assert 30 <= of.wanted <= 42


def test_two_sources_that_disagree_are_both_served() -> None:
    of = Loop(CAPACITY, replicas=10, also="cpu=500m")
    of.ticks(300, lambda: {CALLS: of.calls(0), "cpu": Level(5000, Instant(of.now))})
    assert of.wanted == 10


def test_a_hold_is_told_anew_once_another_thing_is_missing_and_not_at_every_look() -> None:
    of = Loop(OWN)
    told = [(of.tick(lambda: {"orders": NoData("not answered yet")}).detail, of.repeats) for _ in range(20)]
    assert told == [("orders: not answered yet", False)] + 19 * [("orders: not answered yet", True)]

    of.tick(lambda: {"orders": NoData("found nothing")})
    assert of.last is not None
    assert (of.last.detail, of.repeats) == ("orders: found nothing", False)

    words = iter(f"failed {number}" for number in range(100))
    fresh = sum(not of.repeats for _ in range(30) if of.tick(lambda: {"orders": NoData(next(words))}))
    assert fresh == 3, "words that change at each look are told each ten seconds"


def test_counts_that_cannot_be_read_stop_shrinking() -> None:
    of, _, _ = of_type("capacity", 20, 1)
    of.ticks(40, of.at_rate(18))
    of.unread = "the provider is away"
    made = of.ticks(200, of.at_rate(1))
    assert {each.reason for each in made} == {Reason.PARTIAL_DATA}
    assert "the provider is away" in made[0].detail


@pytest.mark.parametrize(
    ("of", "reason"),
    [
        pytest.param(Loop({**CAPACITY, "min": "3", "max": "3"}, replicas=3), Reason.FIXED_SIZE, id="fixed"),
        pytest.param(Loop(CAPACITY, owner=Writer.ALERT), Reason.NOT_OWNER, id="alerts own it"),
        pytest.param(Loop(CAPACITY, owner=None), Reason.NOT_OWNER, id="nobody owns it"),
        pytest.param(Loop({**CAPACITY, "max": "many"}), Reason.INVALID_LABELS, id="bad labels"),
        pytest.param(Loop(CAPACITY, replicas=0), Reason.ASLEEP, id="asleep"),
    ],
)
def test_what_is_not_its_own_is_left_alone(of: Loop, reason: Reason) -> None:
    made = of.ticks(100, of.at_rate(40))
    assert {each.reason for each in made} == {reason}


@pytest.mark.parametrize("rule", ["queueing", "target"])
def test_it_never_takes_a_function_to_zero(rule: str) -> None:
    of = Loop({**CAPACITY, "min": "0", "com.springtide.scale.policy": rule}, replicas=5)
    of.ticks(600, of.at_rate(0))
    assert of.wanted == 1


def test_the_formula_does_not_take_a_wake_back_before_its_windows_have_seen_what_it_was_for() -> None:
    of = Loop({**CAPACITY, "com.springtide.scale.policy": "target"}, replicas=0)
    of.ticks(60, of.at_rate(0))
    of.wanted = of.ready = 9
    made = of.ticks(4, of.at_rate(0))
    assert {each.reason for each in made} == {Reason.SETTLING}
    of.ticks(40, of.at_rate(0))
    assert of.wanted == 1


def test_a_count_is_brought_within_its_limits() -> None:
    low = Loop({**CAPACITY, "min": "4"}, replicas=2)
    assert low.tick(dict).after == 4
    high = Loop({**CAPACITY, "max": "5"}, replicas=9)
    assert high.tick(dict).after == 9
    high.ticks(60, high.at_rate(30))
    assert high.wanted == 5


def test_at_its_maximum_it_says_so() -> None:
    of = Loop({**CAPACITY, "max": "5"}, replicas=5)
    assert of.ticks(60, of.at_rate(30))[-1].reason is Reason.AT_MAX


def test_a_growth_blames_the_maximum_only_where_it_goes_there() -> None:
    def grown(most: int) -> Decision:
        of = Loop({**CAPACITY, "max": str(most)})
        of.ticks(60, of.at_rate(0.2))

        def herd() -> Mapping[str, Signal]:
            of.started += 40
            return {CALLS: Calls(LoadSample(Instant(of.now + 0.5), of.started, of.completed, 40, 39))}

        return of.tick(herd)

    free = grown(1000)
    between = round((free.after + free.inputs["needed"]) / 2)
    assert free.after < between < free.inputs["needed"], "one look is believed less than what it seems to need"
    assert grown(between).after == free.after
    assert "its maximum is less" not in grown(between).detail
    assert "its maximum is less" in grown(free.after - 1).detail


def test_a_fall_is_told_while_it_waits_and_then_once() -> None:
    of = Loop(CAPACITY, replicas=20)
    of.ticks(200, of.at_rate(15))
    assert of.last is not None
    assert of.last.reason is Reason.ENOUGH
    assert of.repeats
    made = of.ticks(300, of.at_rate(8))
    assert Reason.SETTLING in {each.reason for each in made}
    assert Reason.LOAD_DOWN in {each.reason for each in made}


def test_a_write_that_did_not_happen_is_tried_again_and_one_that_did_is_not() -> None:
    of = Loop(CAPACITY)
    of.takes = False
    made = of.ticks(10, of.at_rate(20))
    assert len([each for each in made if each.changes]) > 5
    wished = made[-1].after
    of.wanted = of.ready = wished  # it had been written after all; only the answer was lost
    of.takes = True
    of.ticks(3, of.at_rate(20))
    assert of.wanted <= wished + 4


def test_what_is_remembered_is_bounded() -> None:
    of = Loop({**CAPACITY, "com.openfaas.scale.down.window": "5m"}, also="rps=3,cpu=500m,queue=4,orders=9")
    for second in range(1000):
        levels = {key: Level(second % 97, Instant(of.now + 1)) for key in ("cpu", "queue", "orders")}
        seen: dict[str, Signal] = {CALLS: of.calls(second % 13), **levels}
        of.tick(seen.copy)
    history = of.history
    assert len(history.signals.calls.times) <= 40
    assert len(history.signals.target.recommended) <= 301
    assert all(len(seen) <= 16 for seen in history.signals.levels.values())
    assert len(history.replicas.needs) <= 121
    assert len(history.known_since) <= 4
    assert of.last is not None
    assert len(of.last.inputs) <= 32
