"""The user's own queries in virtual time: how often, how many at once, and every way of not being a load."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable

import pytest

from springtide.runtime.errors import Unavailable
from springtide.runtime.virtual_time import EPOCH
from springtide.scaler.core import targets
from springtide.scaler.core.loads import Load
from springtide.scaler.core.observation import Level
from springtide.scaler.core.targets import Unit
from springtide.scaler.core.vocabulary import FunctionRef, Instant, NoData
from springtide.scaler.sources.queries import INTERVAL_S, MAX_AGE_S, MAX_AT_ONCE, Queries
from springtide.wire.prometheus import VectorSample
from tests.loops import virtual_loop

pytestmark = pytest.mark.virtual_time

A, B, C = (FunctionRef("openfaas-fn", name) for name in "abc")
RULE = 'job:function_current_load:sum{scaling_type="jobs"}'


def own(name: str = "jobs", query: str = "") -> Load:
    return Load(targets.CUSTOM, name, 10.0, Unit.OWN, query)


def wall() -> Instant:
    return Instant(virtual_loop().clock.wall())


def sample(value: float, **labels: str) -> VectorSample:
    return VectorSample(labels, value, wall())


class ScriptedPrometheus:
    """``answers`` by query; an exception is raised, a number of seconds is how long it takes."""

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[], list[VectorSample]]] = {}
        self.takes_s = 0.0
        self.asked: Counter[str] = Counter()
        self.under_way = self.most = 0

    async def vector(self, query: str, *, at: float | None = None) -> list[VectorSample]:
        del at
        self.asked[query] += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await asyncio.sleep(self.takes_s)
            return self.answers.get(query, list)()
        finally:
            self.under_way -= 1

    def fails(self, query: str, why: str) -> None:
        def fail() -> list[VectorSample]:
            raise Unavailable(why)

        self.answers[query] = fail

    def has_rule(self, *samples: tuple[str, float, float]) -> None:
        """Name of the function, value, age."""
        self.answers[RULE] = lambda: [sample(value, function_name=name) for name, value, _ in samples]
        self.answers[f"timestamp({RULE})"] = lambda: [
            sample(wall() - age_s, function_name=name) for name, _, age_s in samples
        ]


async def known(queries: Queries, *refs: FunctionRef, load: Load, seconds: int = 1) -> list[Level | NoData]:
    """What is known after so long, the loop asking each second as it does."""
    loads = {ref: [load] for ref in refs}
    for _ in range(seconds):
        queries.levels(loads, wall())
        await asyncio.sleep(1)
    levels = queries.levels(loads, wall())
    return [levels[ref, load.name] for ref in refs]


async def test_one_question_serves_all_functions_with_the_same_promql() -> None:
    prometheus = ScriptedPrometheus()
    prometheus.answers["sum(jobs)"] = lambda: [sample(42.0)]
    queries = Queries(prometheus)

    levels = await known(queries, A, B, C, load=own(query="sum(jobs)"))
    await queries.aclose()

    assert levels == [Level(42.0, Instant(EPOCH))] * 3
    assert prometheus.asked == {"sum(jobs)": 1}


async def test_one_question_for_a_recording_rule_serves_all_functions() -> None:
    prometheus = ScriptedPrometheus()
    prometheus.has_rule(("a.openfaas-fn", 7.0, 12.0), ("b", 0.0, 3.0))
    queries = Queries(prometheus)

    a, b, c = await known(queries, A, B, C, load=own())
    await queries.aclose()

    assert a == Level(7.0, Instant(EPOCH - 12))  # as old as its sample
    assert b == Level(0.0, Instant(EPOCH - 3))
    assert isinstance(c, NoData)
    assert 'scaling_type="jobs"' in c.why
    assert sum(prometheus.asked.values()) == 2


async def test_sample_of_a_rule_that_is_not_evaluated_any_more_is_no_load() -> None:
    prometheus = ScriptedPrometheus()
    prometheus.has_rule(("a", 7.0, 200.0))
    queries = Queries(prometheus)

    (a,) = await known(queries, A, load=own())
    await queries.aclose()

    assert isinstance(a, NoData)
    assert "more than 75 s old" in a.why


@pytest.mark.parametrize(
    ("samples", "why"),
    [
        pytest.param([], "or vector(0)", id="empty"),
        pytest.param([1.0, 2.0], "2 series", id="more than one series"),
        pytest.param([math.nan], "not a number", id="not a number"),
        pytest.param([math.inf], "not a number", id="infinite"),
        pytest.param([-1.0], "below zero", id="negative"),
    ],
)
async def test_what_is_not_one_number_is_no_data(samples: list[float], why: str) -> None:
    prometheus = ScriptedPrometheus()
    prometheus.answers["q"] = lambda: [sample(value, instance=str(at)) for at, value in enumerate(samples)]
    queries = Queries(prometheus)

    (level,) = await known(queries, A, load=own(query="q"))
    await queries.aclose()

    assert isinstance(level, NoData)
    assert why in level.why


async def test_failure_leaves_the_last_value_until_it_is_too_old_and_then_tells_why() -> None:
    prometheus = ScriptedPrometheus()
    prometheus.answers["q"] = lambda: [sample(5.0)]
    queries = Queries(prometheus)
    before = await known(queries, A, load=own(query="q"))
    prometheus.fails("q", 'Prometheus answered 400: unknown function "summ"')

    assert await known(queries, A, load=own(query="q"), seconds=int(MAX_AGE_S) - 2) == before
    (after,) = await known(queries, A, load=own(query="q"), seconds=5)
    await queries.aclose()

    assert isinstance(after, NoData)
    assert 'unknown function "summ"' in after.why


async def test_value_after_an_empty_answer_is_the_empty_answer() -> None:
    """A series that is gone is not as it last was."""
    prometheus = ScriptedPrometheus()
    prometheus.answers["q"] = lambda: [sample(5.0)]
    queries = Queries(prometheus)
    await known(queries, A, load=own(query="q"))
    prometheus.answers["q"] = list

    (after,) = await known(queries, A, load=own(query="q"), seconds=int(INTERVAL_S) + 1)
    await queries.aclose()

    assert isinstance(after, NoData)


async def test_each_query_is_asked_once_in_its_interval() -> None:
    prometheus = ScriptedPrometheus()
    queries = Queries(prometheus)
    await known(queries, A, B, load=own(query="q"), seconds=60)
    await queries.aclose()

    assert prometheus.asked["q"] == 60 / INTERVAL_S


async def test_slow_queries_hold_up_nobody_and_are_bounded() -> None:
    prometheus = ScriptedPrometheus()
    prometheus.takes_s = 1000
    queries = Queries(prometheus)
    refs = [FunctionRef("openfaas-fn", f"f{number}") for number in range(20)]
    loads = {ref: [own(query=f"q{ref.name}")] for ref in refs}
    for _ in range(30):
        began = wall()
        levels = queries.levels(loads, began)
        assert wall() == began
        await asyncio.sleep(1)
    await queries.aclose()

    assert prometheus.most == MAX_AT_ONCE
    assert prometheus.under_way == 0
    assert all(isinstance(level, NoData) for level in levels.values())
    assert NoData("its query was not answered within 5 s") in levels.values()


async def test_query_that_nobody_names_any_more_is_not_asked() -> None:
    prometheus = ScriptedPrometheus()
    queries = Queries(prometheus)
    await known(queries, A, load=own(query="q"))
    await known(queries, A, load=own(query="other"), seconds=20)
    await queries.aclose()

    assert prometheus.asked["q"] == 1


async def test_clock_that_is_set_back_silences_no_query() -> None:
    prometheus = ScriptedPrometheus()
    prometheus.answers["q"] = lambda: [sample(5.0)]
    queries = Queries(prometheus)
    queries.levels({A: [own(query="q")]}, Instant(wall() + 3600))
    await asyncio.sleep(1)

    (level,) = await known(queries, A, load=own(query="q"))
    await queries.aclose()

    assert level == Level(5.0, Instant(EPOCH + 1))


async def test_without_a_prometheus_nothing_is_known() -> None:
    queries = Queries.at("")
    (level,) = await known(queries, A, load=own(query="q"))
    await queries.aclose()

    assert isinstance(level, NoData)
    assert "prometheus_url" in level.why


async def test_other_types_are_not_its_business() -> None:
    prometheus = ScriptedPrometheus()
    queries = Queries(prometheus)

    assert queries.levels({A: [Load(targets.RPS, "rps", 50.0, Unit.CALLS_PER_SECOND)]}, wall()) == {}
    await queries.aclose()
