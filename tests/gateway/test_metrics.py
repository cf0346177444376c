from __future__ import annotations

import asyncio
import json
import re
import time

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from springtide.gateway.call_metrics import MAX_CODES, CallMetrics, Histogram, code
from springtide.gateway.metrics import GatewayCollector
from springtide.scaler.core import catalogue
from springtide.scaler.core.catalogue import Part
from springtide.wire import gateway_metrics
from tests.gateway.harness import ServedPlane, answering, data_plane, echo, get, replica, response

pytestmark = pytest.mark.uvloop


Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def exposed(gateway: ServedPlane) -> str:
    registry = CollectorRegistry()
    registry.register(GatewayCollector(lambda: gateway.plane))
    return generate_latest(registry).decode()


def samples(gateway: ServedPlane) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(exposed(gateway))
        for sample in family.samples
    }


MAY_SLEEP = {"com.openfaas.scale.zero": "true"}


def of(name: str, function: str = "echo.openfaas-fn", **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, tuple(sorted({"function_name": function, **labels}.items()))


async def test_names_are_exactly_the_catalogues() -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [server], labels=MAY_SLEEP, annotations={"com.springtide.webhook": "none"})
        await caller.get()
        await caller.get("/function/none")
        await caller.get("/webhook/echo")
        gateway.plane.requests.observe("GET", "/system/functions", 200, 0.1)

        text = exposed(gateway)

        elsewhere = {catalogue.DECISIONS, catalogue.HELD_LIMIT, *catalogue.VITALS}
        wanted = {m for m in catalogue.ALL if Part.GATEWAY in m.parts} - elsewhere
        series = {line.split("{")[0].split(" ")[0] for line in text.splitlines() if not line.startswith("#")}
        assert series == {name for metric in wanted for name in metric.series}
        assert "# TYPE gateway_function_invocation_total counter" in text
        assert "# TYPE gateway_functions_seconds histogram" in text


async def test_counter_without_total_keeps_its_name_in_every_format() -> None:
    async with data_plane() as gateway:
        gateway.publish("echo", [])
        registry = CollectorRegistry()
        registry.register(GatewayCollector(lambda: gateway.plane))

        assert 'gateway_function_invocation_started{function_name="echo.openfaas-fn"} 0.0' in exposed(gateway)
        assert registry.get_sample_value(
            "gateway_function_invocation_started", {"function_name": "echo.openfaas-fn"}
        ) == (0.0)


async def test_calls_are_counted_by_status() -> None:
    teapot = answering(response(status="418 Teapot"))
    async with data_plane() as gateway, replica(echo) as good, replica(teapot) as bad, gateway.connect() as caller:
        gateway.publish("good", [good])
        gateway.publish("bad.dev", [bad])
        for _ in range(3):
            await caller.get("/function/good")
        await caller.get("/function/good.openfaas-fn")
        await caller.get("/function/bad.dev")

        got = samples(gateway)

        good_name, bad_name = "good.openfaas-fn", "bad.dev"
        assert got[of("gateway_function_invocation_total", good_name, code="200")] == 4
        assert got[of("gateway_function_invocation_total", bad_name, code="418")] == 1
        assert got[of("gateway_function_invocation_started", good_name)] == 4
        assert got[of("gateway_functions_seconds_count", good_name, code="200")] == 4
        assert got[of("gateway_functions_seconds_bucket", good_name, code="200", le="+Inf")] == 4
        assert 0 < got[of("gateway_functions_seconds_sum", good_name, code="200")] < 10
        assert got[of("gateway_function_invocation_inflight", good_name)] == 0


async def test_held_call_is_in_flight_and_started_and_its_wait_is_in_its_duration() -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [], desired=0)
        await caller.send(get())
        await gateway.target.written.wait()
        during = samples(gateway)
        gateway.publish("echo", [server])
        await caller.answer()
        after = samples(gateway)

        assert during[of("gateway_function_invocation_inflight")] == 1
        assert during[of("gateway_function_invocation_started")] == 1
        assert during[of("gateway_function_held")] == 1
        assert after[of("gateway_function_invocation_inflight")] == 0
        assert after[of("gateway_function_held")] == 0
        assert after[of("gateway_cold_start_seconds_count")] == 1
        waited = after[of("gateway_cold_start_seconds_sum")]
        assert 0 < waited < after[of("gateway_functions_seconds_sum", code="200")]


PART = "gateway_cold_start_part_seconds"


async def test_parts_of_a_cold_start_are_those_of_its_server_timing() -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [], desired=0)
        await caller.send(get())
        await gateway.target.written.wait()
        gateway.publish("echo", [server])
        told = (await caller.answer())["server-timing"]
        got = samples(gateway)

        for part in catalogue.COLD_START_PARTS:
            (milliseconds,) = re.findall(rf"{part.replace('_', '-')};dur=([0-9.]+)", told)
            assert got[of(f"{PART}_count", part=part)] == 1
            assert got[of(f"{PART}_sum", part=part)] * 1e3 == pytest.approx(float(milliseconds), abs=0.006)
        held = sum(got[of(f"{PART}_sum", part=part)] for part in ("decided", "accepted", "ready"))
        assert held == pytest.approx(got[of("gateway_cold_start_seconds_sum")])


async def test_only_cold_starts_have_parts() -> None:
    async with data_plane() as gateway, replica(echo, max_inflight=1) as server:
        gateway.publish("echo", [server], labels=MAY_SLEEP)

        async def call() -> int:
            async with gateway.connect() as caller:
                return (await caller.get()).status

        assert await asyncio.gather(*(call() for _ in range(20))) == [200] * 20
        got = samples(gateway)

        # They are there from the first scrape on, so that the first cold start is an increase.
        assert {part: got[of(f"{PART}_count", part=part)] for part in catalogue.COLD_START_PARTS} == dict.fromkeys(
            catalogue.COLD_START_PARTS, 0
        )
        assert got[of("gateway_cold_start_seconds_count")] == 0


async def test_function_that_never_sleeps_has_no_series_of_cold_starts() -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])
        await caller.get()

        assert not [name for name, _ in samples(gateway) if name.startswith("gateway_cold_start")]


async def test_last_active_begins_when_the_function_is_first_seen_and_moves_with_its_calls() -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        before = time.time()
        gateway.publish("echo", [server])
        seen = samples(gateway)[of("gateway_function_last_active_timestamp_seconds")]
        between = time.time()
        await caller.get()
        active = samples(gateway)[of("gateway_function_last_active_timestamp_seconds")]

        assert before <= seen <= between <= active <= time.time()


async def test_scale_of_each_function_is_told() -> None:
    async with data_plane() as gateway, replica(echo) as server:
        labels = {"com.openfaas.scale.min": "2", "com.openfaas.scale.max": "7", "com.openfaas.scale.target": "12"}
        gateway.publish("echo", [server], desired=3, labels={**labels, "com.openfaas.scale.type": "capacity"})

        got = samples(gateway)

        assert got[of("gateway_service_count")] == 3
        assert got[of("gateway_service_ready_count")] == 1
        assert got[of("gateway_service_min")] == 2
        assert got[of("gateway_service_max")] == 7
        assert got[of("gateway_service_target_load", scaling_type="capacity")] == 12
        assert got["gateway_provider_connected", ()] == 1


async def test_nonsense_names_grow_no_series() -> None:
    async with data_plane() as gateway, gateway.connect() as caller:
        for number in range(200):
            await caller.get(f"/function/nonsense-{number}")

        got = samples(gateway)

        assert got[of("gateway_refused_total", "_unknown", reason="unknown_function")] == 200
        assert not any("nonsense" in str(key) for key in got)
        assert len(got) < 10


async def test_series_of_a_deleted_function_are_gone() -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])
        await caller.get()
        gateway.remove("echo")

        assert not any("echo" in str(key) for key in samples(gateway))


async def test_provider_away_is_told() -> None:
    async with data_plane() as gateway:
        gateway.plane.table.connected = False

        assert samples(gateway)["gateway_provider_connected", ()] == 0


def test_histogram_counts_each_value_at_its_bound() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 3.0):
        histogram.observe(value)

    assert histogram.cumulative() == [("1.0", 2.0, None), ("2.0", 4.0, None), ("+Inf", 5.0, None)]
    assert (histogram.count, histogram.sum) == (5, 8.0)


def test_call_metrics_balance() -> None:
    metrics = CallMetrics(last_active=1.0)
    for status in (200, 200, 503):
        metrics.begin(2.0)
        metrics.end(status, 0.1, 3.0)

    assert (metrics.started, metrics.answered, metrics.in_flight, metrics.last_active) == (3, 3, 0, 3.0)


def counted(*, last_active: float, statuses: tuple[int, ...], reasons: tuple[str, ...]) -> CallMetrics:
    metrics = CallMetrics(last_active=last_active)
    for status in statuses:
        metrics.begin(last_active)
        metrics.end(status, 0.25, last_active)
    for reason in reasons:
        metrics.refuse(reason)
    metrics.begin(last_active)
    metrics.held += 1
    metrics.cold_start.observe(2.0)
    for histogram in metrics.cold_parts:
        histogram.observe(0.5)
    return metrics


def test_numbers_of_two_processes_add_up() -> None:
    one = counted(last_active=5.0, statuses=(200, 200, 404), reasons=("overloaded",))
    other = counted(last_active=3.0, statuses=(200, 503), reasons=("overloaded", "wake_failed"))

    one.add(json.loads(json.dumps(other.as_numbers())))

    assert (one.started, one.in_flight, one.held, one.last_active) == (7, 2, 2, 5.0)
    assert {status: (each.count, each.sum) for status, each in one.seconds.items()} == {
        200: (3, 0.75),
        404: (1, 0.25),
        503: (1, 0.25),
    }
    assert (one.cold_start.count, one.cold_start.sum) == (2, 4.0)
    assert [(part.count, part.sum) for part in one.cold_parts] == [(2, 1.0)] * 4
    assert one.refused == {"overloaded": 2, "wake_failed": 1}


def test_numbers_added_to_none_are_the_same_numbers() -> None:
    numbers = counted(last_active=5.0, statuses=(200, 404), reasons=("overloaded",)).as_numbers()

    copy = CallMetrics(last_active=0.0)
    copy.add(numbers)

    assert copy.as_numbers() == numbers
    assert set(numbers) == set(CallMetrics.__slots__)


def test_statuses_that_are_many_or_mean_nothing_are_counted_by_their_hundreds() -> None:
    metrics = CallMetrics(last_active=1.0)
    for status in (*range(480, 600), 200, 404, 999):
        for _ in range(2):
            metrics.begin(2.0)
            metrics.end(status, 0.1, 3.0)

    codes = {code(status): each.count for status, each in metrics.seconds.items()}
    assert metrics.answered == 2 * 123
    assert len(codes) <= MAX_CODES + 4
    assert {"499", "500", "511", "200", "404", "4xx", "5xx", "9xx"} <= codes.keys()
    assert sum(count for label, count in codes.items() if label.startswith("5")) == 200

    other = CallMetrics(last_active=1.0)
    for status in range(100, 600):
        other.begin(2.0)
        other.end(status, 0.1, 3.0)
    other.add(metrics.as_numbers())
    assert other.answered == 500 + metrics.answered
    assert len(other.seconds) <= MAX_CODES + 9


async def test_everything_that_is_read_of_a_gateway_comes_to_who_asks_for_no_more() -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [server], labels=MAY_SLEEP)
        await caller.get()
        gateway.route("echo").metrics.refuse("overloaded")
        registry = CollectorRegistry()
        registry.register(GatewayCollector(lambda: gateway.plane))
        whole = generate_latest(registry).decode()
        asked = generate_latest(registry.restricted_registry(gateway_metrics.SAMPLES)).decode()

    read = gateway_metrics.GatewayMetricsReader().read
    assert read([asked]) == read([whole])
    assert set(read([whole]).functions) == {"echo.openfaas-fn"}
    assert len(asked) < len(whole)
