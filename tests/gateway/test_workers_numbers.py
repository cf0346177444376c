"""Several workers' numbers as one: sums, what a death leaves, what is told anew, who gets which part of a bound."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from springtide.gateway.call_metrics import CallMetrics, Exemplar, Histogram
from springtide.gateway.request_counts import RequestCounts
from springtide.gateway.route import Route
from springtide.gateway.settings import GatewaySettings
from springtide.gateway.workers import processors
from springtide.gateway.workers.exposition import MergedCollector
from springtide.gateway.workers.launch import Launch, share
from springtide.gateway.workers.member import Member
from springtide.gateway.workers.messages import Kind, Message, Row
from springtide.gateway.workers.reporter import Reporter
from springtide.gateway.workers.slot import Slot
from springtide.gateway.workers.totals import MAX_KEPT_FUNCTIONS, Merged, Told, Totals
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.virtual_time import VirtualTimeLoop
from springtide.scaler.core import catalogue
from springtide.scaler.core.vocabulary import Decision, FunctionRef, Instant, Reason, Writer
from springtide.wire import vitals
from springtide.wire.endpoint_stream import FunctionEndpoints
from springtide.wire.instruments import DecisionCounter
from tests.gateway.harness import data_plane, replica

ECHO = FunctionRef("openfaas-fn", "echo")


def counted(*, calls: int = 0, in_flight: int = 0, held: int = 0, last_active: float = 1.0) -> CallMetrics:
    metrics = CallMetrics(last_active=last_active)
    for _ in range(calls):
        metrics.begin(last_active)
        metrics.end(200, 0.02, last_active)
        metrics.cold_start.observe(0.3)
        for part in metrics.cold_parts:
            part.observe(0.1)
        metrics.refuse("overloaded")
    for _ in range(in_flight):
        metrics.begin(last_active)
    metrics.held = held
    return metrics


REQUESTS = RequestCounts()
REQUESTS.observe("GET", "/ui", 200, 0.5)


def told(metrics: CallMetrics, *, connected: bool = True, desired: int = 1, ref: FunctionRef = ECHO) -> Told:
    """What the master knows of a worker after one report, having gone through JSON."""
    row = Row(ref.namespace, ref.name, metrics.as_numbers(), metrics.answered, desired, desired, 1, 20, "rps", 50.0)
    one = Told()
    one.rows(json.loads(json.dumps({"gone": [], "rows": [row]})))
    one.summary(
        {
            "connected": connected,
            "decisions": [["wake", "wake", 2.0]],
            "requests": [["GET", "/ui", "200", REQUESTS.as_numbers()[0][3]]],
            "unknown": metrics.as_numbers(),
            "loop_lag": [],
            "broker_reconnects": 2,
        }
    )
    return one


def only(merged: Merged) -> CallMetrics:
    (function,) = merged.table
    return function.metrics


def plain(metrics: CallMetrics, name: str) -> dict[str, list[float]]:
    """One attribute's numbers, as JSON would carry them."""
    return cast("dict[str, list[float]]", json.loads(json.dumps(metrics.as_numbers()))[name])


def test_everything_a_call_counts_is_summed() -> None:
    one, other = counted(calls=3, in_flight=2, held=1, last_active=5.0), counted(calls=4, in_flight=1, last_active=9.0)

    merged = only(Totals().merged([told(one), told(other)]))

    both = counted(calls=7, in_flight=3, held=1, last_active=9.0)
    for name in CallMetrics.__slots__:  # whatever is ever added to them
        got, wanted = plain(merged, name), plain(both, name)
        assert {key: pytest.approx(values) for key, values in wanted.items()} == got, name


def test_deliveries_to_webhooks_are_summed() -> None:
    one, other = counted(), counted()
    for metrics, outcome in ((one, "queued"), (other, "queued"), (other, "too_old")):
        metrics.deliver(outcome)

    one.add(json.loads(json.dumps(other.as_numbers())))

    assert one.webhooks == {"queued": 2, "too_old": 1}


def test_reconnects_to_the_broker_are_summed_those_of_dead_workers_included() -> None:
    totals = Totals()
    totals.fold(told(counted(calls=1)))

    assert totals.merged([told(counted(calls=1)), told(counted(calls=1))]).broker_reconnects == 6


def test_latest_exemplar_of_each_bucket_is_kept() -> None:
    early, late = counted(calls=2), counted(calls=2)
    early.exemplify(200, Exemplar(0.02, 100.0, 2**128 - 1))
    early.cold_start.exemplify(Exemplar(0.3, 100.0, 7))
    late.exemplify(200, Exemplar(0.021, 101.5, 2**127))
    late.exemplify(200, Exemplar(0.02, 101.0, 8))
    totals = Totals()
    totals.fold(told(late))

    merged = only(totals.merged([told(early)]))

    assert examples(merged.seconds[200]) == [Exemplar(0.021, 101.5, 2**127)]
    assert examples(merged.cold_start) == [Exemplar(0.3, 100.0, 7)]
    assert merged.seconds[200].count == 4


def examples(histogram: Histogram) -> list[Exemplar]:
    return [exemplar for _, _, exemplar in histogram.cumulative() if exemplar is not None]


def test_dead_workers_counters_stay_and_its_calls_in_flight_are_over() -> None:
    totals = Totals()
    living = told(counted(calls=1, in_flight=1))
    dead = told(counted(calls=5, in_flight=3, held=2, last_active=8.0))

    before = only(totals.merged([living, dead]))
    totals.fold(dead)
    after = only(totals.merged([living]))

    assert (before.answered, before.in_flight, before.held) == (6, 4, 2)
    assert (after.answered, after.in_flight, after.held) == (6, 1, 0)
    assert (after.started, after.last_active) == (before.started, before.last_active)


def test_refusals_without_a_function_and_decisions_outlive_their_worker() -> None:
    totals = Totals()
    totals.fold(told(counted(calls=2)))

    merged = totals.merged([told(counted(calls=3))])

    assert merged.unknown.metrics.refused == {"overloaded": 5}
    assert merged.decisions == {("wake", "wake"): 4.0}


def test_deleted_function_leaves_nothing_behind() -> None:
    totals, living = Totals(), told(counted(calls=1))
    totals.fold(told(counted(calls=5)))

    totals.forget(living.rows({"gone": [["openfaas-fn", "echo"]], "rows": []}))
    living.rows(json.loads(json.dumps({"gone": [], "rows": [told(counted(calls=1)).functions[ECHO]]})))

    assert only(totals.merged([living])).answered == 1


def test_function_deleted_unseen_is_forgotten_by_what_a_connected_worker_lists() -> None:
    totals, other = Totals(), FunctionRef("openfaas-fn", "other")
    totals.fold(told(counted(calls=5)))

    totals.tidy([told(counted(), connected=False, ref=other)])
    kept = only(totals.merged([told(counted())])).answered
    totals.tidy([told(counted(), ref=other)])

    assert (kept, only(totals.merged([told(counted())])).answered) == (5, 0)


def test_scale_is_told_by_a_worker_that_hears_of_changes() -> None:
    cut_off, hearing = told(counted(), connected=False, desired=7), told(counted(), desired=3)

    merged = Totals().merged([cut_off, hearing])

    (function,) = merged.table
    assert (function.desired, len(function.ready)) == (3, 3)
    assert not merged.table.connected


def test_without_workers_nothing_is_connected() -> None:
    assert not Totals().merged([]).table.connected


def test_sums_are_the_same_until_somebody_tells_something_new() -> None:
    totals, one, other = Totals(), told(counted(calls=1)), told(counted(calls=2))
    before = totals.merged([one, other])

    other.summary({"loop_lag": [0.5]})
    assert totals.merged([one, other]) is before

    other.summary({"unknown": counted(calls=4).as_numbers()})
    refused = totals.merged([one, other])
    assert refused.unknown.metrics.refused == {"overloaded": 5}

    one.rows({"gone": [], "rows": told(counted(calls=9)).functions.values()})
    assert only(totals.merged([one, other])).answered == 11
    assert only(totals.merged([other])).answered == 2
    totals.fold(told(counted(calls=7)))
    assert only(totals.merged([other])).answered == 9
    totals.forget([ECHO])
    assert only(totals.merged([other])).answered == 2


def test_sums_of_many_functions_are_not_kept() -> None:
    totals, one = Totals(), Told()
    for number in range(MAX_KEPT_FUNCTIONS + 1):
        one.functions |= told(counted(), ref=FunctionRef("ns", f"f{number}")).functions

    assert totals.merged([one]) is not totals.merged([one])


def test_scrapes_show_what_was_told_between_them() -> None:
    totals, one, collector = Totals(), told(counted(calls=1)), MergedCollector()

    def answered() -> float:
        collector.merged = totals.merged([one])
        families = {family.name: family for family in collector.collect()}
        return sum(sample.value for sample in families[catalogue.INVOCATIONS.name.removesuffix("_total")].samples)

    assert (answered(), answered()) == (1, 1)
    one.rows({"gone": [], "rows": told(counted(calls=3)).functions.values()})
    assert answered() == 3


# What a worker tells.


def reports(reporter: Reporter) -> tuple[list[str], list[str], dict[str, Any]]:
    """Functions gone, functions told of, and the summary of one report."""

    async def read() -> list[Message]:
        return [message async for message in reporter.report(1)]

    *rows, last = asyncio.run(read())
    assert last.kind is Kind.NUMBERS
    gone = [name for message in rows for _, name in message.content["gone"]]
    return gone, [row.name for message in rows for row in message.content["rows"]], dict(last.content)


def plane_of(routes: list[Route]) -> Any:
    class Table(list[Route]):
        connected = True

    return SimpleNamespace(
        table=Table(routes),
        unknown=Route(FunctionRef("", "_unknown"), counted()),
        requests=RequestCounts(),
        broker_reconnects=0,
    )


def test_worker_tells_only_of_functions_that_something_happened_to() -> None:
    busy, quiet = Route(FunctionRef("ns", "busy"), counted()), Route(FunctionRef("ns", "quiet"), counted())
    plane = plane_of([busy, quiet])
    reporter = Reporter(lambda: plane, CollectorRegistry(), vitals.loop_lag())

    assert reports(reporter)[1] == ["busy", "quiet"]
    assert reports(reporter)[1] == []
    busy.metrics.begin(2.0)
    assert reports(reporter)[1] == ["busy"]
    busy.metrics.cold_start.observe(1.0)
    assert reports(reporter)[1] == ["busy"], "with a call in flight anything may have happened"
    busy.metrics.end(200, 0.1, 3.0)
    assert reports(reporter)[1] == ["busy"]
    assert reports(reporter)[1] == []
    quiet.describe(FunctionEndpoints(quiet.ref, 4, version="2"), 4.0)
    assert reports(reporter)[1] == ["quiet"]
    quiet.metrics.deliver("queued")
    assert reports(reporter)[1] == ["quiet"], "a delivery to its webhook is no call of it"
    assert reports(reporter)[1] == []
    reporter.tell_all()
    assert reports(reporter)[1] == ["busy", "quiet"]


def test_worker_tells_what_is_gone_also_when_it_is_back_at_once() -> None:
    plane = plane_of([Route(ECHO, counted(calls=3))])
    reporter = Reporter(lambda: plane, CollectorRegistry(), vitals.loop_lag())
    reports(reporter)

    plane.table[:] = [Route(ECHO, counted())]
    assert reports(reporter)[:2] == (["echo"], ["echo"])
    plane.table.clear()
    assert reports(reporter)[:2] == (["echo"], [])


def test_worker_without_a_plane_yet_is_not_connected_and_tells_its_decisions() -> None:
    registry = CollectorRegistry()
    counter = DecisionCounter(registry, Writer.WAKE)
    counter.record(Decision(ECHO, Writer.WAKE, 0, 1, Reason.WAKE, "", Instant(0.0)))

    assert reports(Reporter(lambda: None, registry, vitals.loop_lag()))[2] == {
        "connected": False,
        "unknown": None,
        "requests": [],
        "broker_reconnects": 0,
        "decisions": [("wake", "wake", 1.0), ("wake", "write_failed", 0.0), ("wake", "unknown_function", 0.0)],
        "loop_lag": [0.0] * (2 + len(catalogue.LOOP_LAG.buckets)),
    }


def test_worker_tells_of_itself_only_what_has_changed_and_the_master_keeps_the_rest() -> None:
    plane, registry, one = plane_of([]), CollectorRegistry(), Told()
    counter = DecisionCounter(registry, Writer.WAKE)
    reporter = Reporter(lambda: plane, registry, vitals.loop_lag())
    plane.unknown.metrics.refuse("overloaded")
    one.summary(reports(reporter)[2])

    assert reports(reporter)[2] == {}
    counter.record(Decision(ECHO, Writer.WAKE, 0, 1, Reason.WAKE, "", Instant(0.0)))
    plane.requests.observe("GET", "/ui", 200, 0.5)
    news = json.loads(json.dumps(reports(reporter)[2]))
    one.summary(news)

    assert news.keys() == {"decisions", "requests"}
    assert (one.connected, one.unknown.refused) == (True, {"overloaded": 1})
    assert one.decisions["wake", "wake"] == 1
    assert [labels for labels, _ in one.requests] == [("GET", "/ui", "200")]
    reporter.tell_all()
    everything = {"connected", "unknown", "requests", "broker_reconnects", "decisions", "loop_lag"}
    assert reports(reporter)[2].keys() == everything


def test_requests_of_the_system_api_are_added_up_and_outlive_their_worker() -> None:
    totals, one, other = Totals(), told(counted()), told(counted())

    totals.fold(other)

    ((labels, histogram),) = totals.merged([one]).requests
    assert (labels, histogram.count, histogram.sum) == (("GET", "/ui", "200"), 2, 1.0)


# What a worker is given.


def test_launch_survives_its_way_to_the_fork_server() -> None:
    launch = Launch(3, share(GatewaySettings(port=0, prometheus_url="http://p"), 4), Credentials("u", "p"))

    assert Launch.decode(launch.encode()) == launch
    assert Launch.decode(Launch(1, launch.settings, None).encode()).credentials is None


@pytest.mark.parametrize(
    ("total", "workers", "part"),
    [
        pytest.param(10, 2, 5, id="even"),
        pytest.param(10, 3, 4, id="rounded up"),
        pytest.param(1, 8, 1, id="never none"),
        pytest.param(0, 2, 0, id="none stays none"),
    ],
)
def test_bounds_are_shared_out(total: int, workers: int, part: int) -> None:
    bounds = ("max_connections", "max_held", "max_held_per_function", "max_held_bytes", "trace_max_per_s")
    shared: dict[str, Any] = dict.fromkeys(bounds, total)
    settings = GatewaySettings(**shared)

    one = share(settings, workers)

    assert {getattr(one, name) for name in bounds} == {part}
    assert (one.sharers, one.workers) == (workers, 1)


@pytest.mark.uvloop
async def test_replicas_limit_is_shared_out() -> None:
    async with data_plane(sharers=2) as gateway, replica(max_inflight=5) as server, replica() as free:
        gateway.publish("own", [server])
        gateway.publish(
            "by-label", [free], labels={"com.openfaas.scale.type": "capacity", "com.openfaas.scale.target": "9"}
        )

        assert gateway.route("own").ready[0].limit == 3
        assert gateway.route("by-label").ready[0].limit == 5


@pytest.mark.parametrize(
    ("limits", "quota"),
    [
        pytest.param({}, math.inf, id="no limit anywhere"),
        pytest.param({"a/b": "max 100000"}, math.inf, id="no limit said so"),
        pytest.param({"a/b": "150000 100000"}, 1.5, id="our own group's"),
        pytest.param({"a": "50000 100000", "a/b": "400000 100000"}, 0.5, id="a group's above"),
        pytest.param({"a/b": "nonsense"}, math.inf, id="not understood"),
    ],
)
def test_processors_of_a_container_are_its_share(tmp_path: Path, limits: dict[str, str], quota: float) -> None:
    own = tmp_path / "own"
    own.write_text("0::/a/b\n")
    for group, text in limits.items():
        (tmp_path / "cgroup" / group).mkdir(parents=True, exist_ok=True)
        (tmp_path / "cgroup" / group / "cpu.max").write_text(text + "\n")

    assert processors._quota(tmp_path / "cgroup", own) == quota
    assert 1 <= processors.usable(cgroups=tmp_path / "cgroup", own=own) <= max(1, math.ceil(min(quota, 10_000)))


# Replacement.


class Mortal:
    """A worker as its place sees it, which lives for so long."""

    def __init__(self, lives_s: float) -> None:
        self.leaving = asyncio.Event()
        self.why = "SIGKILL"
        self.process = SimpleNamespace(pid=1)
        asyncio.get_running_loop().call_later(lives_s, self.leaving.set)

    async def ready(self) -> str:
        return ""

    async def stop(self) -> None:
        self.leaving.set()


@pytest.mark.virtual_time
async def test_worker_is_replaced_at_once_and_ever_later_when_it_keeps_dying(loop: VirtualTimeLoop) -> None:
    lives = iter([100.0, 1.0, 1.0, 1.0, 1.0, 100.0, 1.0])
    starts: list[float] = []

    async def hire(number: int, listener: Any) -> Member:
        starts.append(loop.time())
        return cast("Member", Mortal(next(lives, 1e9)))

    slot = Slot(1, cast("Any", None), hire)
    assert await slot.start() == ""
    keeping = asyncio.create_task(slot.keep())
    await asyncio.sleep(1000)
    keeping.cancel()

    # Dead after 100 s: at once. Then after a second each: 0.1, 0.2, 0.4, 0.8 s. Steady again: at once.
    assert starts == pytest.approx([0.0, 100.0, 101.1, 102.3, 103.7, 105.5, 205.5, 206.6])
