"""What two looks at a gateway's metrics say of a function."""

from __future__ import annotations

import math

import pytest

from springtide.wire.function_rates import RateWindow, quantile
from springtide.wire.gateway_metrics import FunctionCounters, GatewayMetricsReader

INF = math.inf


EXPOSITION = """\
# HELP gateway_service_count Replicas wanted
# TYPE gateway_service_count gauge
gateway_service_count{function_name="f.ns"} 3.0
gateway_service_ready_count{function_name="f.ns"} 2.0
gateway_function_invocation_inflight{function_name="f.ns"} 1.0
gateway_function_invocation_total{code="200",function_name="f.ns"} 7.0
gateway_function_invocation_total{code="502",function_name="f.ns"} 1.0
gateway_functions_seconds_bucket{code="200",function_name="f.ns",le="0.1"} 6.0
gateway_functions_seconds_bucket{code="200",function_name="f.ns",le="+Inf"} 7.0
gateway_cold_start_seconds_count{function_name="f.ns"} 2.0
gateway_cold_start_seconds_sum{function_name="f.ns"} 1.5
gateway_cold_start_part_seconds_sum{function_name="f.ns",part="ready"} 1.25
gateway_provider_connected 1.0
springtide_unheard_of{function_name="f.ns"} 1.0
"""


def test_scrape_of_several_gateways_adds_calls_and_not_replicas() -> None:
    scrape = GatewayMetricsReader().read([EXPOSITION, EXPOSITION])

    one = scrape.functions["f.ns"]
    assert (one.desired, one.ready, one.in_flight) == (3, 2, 2)
    assert (one.answered, one.failed, one.codes) == (16, 2, {"200": 14, "502": 2})
    assert one.buckets == {0.1: 12, INF: 14}
    assert (one.cold_calls, one.cold_s, one.cold_parts_s) == (4, 3, {"ready": 2.5})
    assert scrape.connected is True


def test_scrape_reads_a_series_again_from_memory() -> None:
    reader = GatewayMetricsReader()
    reader.read([EXPOSITION])

    again = reader.read([EXPOSITION.replace("} 3.0", "} 5.0")])
    assert again.functions["f.ns"].desired == 5
    assert reader.read([""]).functions == {}


def test_gauge_that_no_gateway_shows_is_not_zero() -> None:
    scrape = GatewayMetricsReader().read(['gateway_function_invocation_total{code="200",function_name="f.ns"} 7.0\n'])

    assert scrape.functions["f.ns"].desired is None
    assert scrape.connected is None


@pytest.mark.parametrize(
    ("buckets", "expected"),
    [
        pytest.param({0.1: 100, INF: 100}, 0.095, id="within the first bucket"),
        pytest.param({0.1: 90, 0.5: 100, INF: 100}, 0.3, id="within a later one"),
        pytest.param({0.1: 90, 0.5: 90, INF: 100}, 0.5, id="beyond the last bound"),
        pytest.param({0.1: 0, INF: 0}, None, id="no calls"),
        pytest.param({}, None, id="no buckets"),
    ],
)
def test_quantile_is_that_of_prometheus(buckets: dict[float, float], expected: float | None) -> None:
    found = quantile(0.95, buckets)

    assert found == (None if expected is None else pytest.approx(expected))


def counters(ok: float, failed: float = 0.0, cold: float = 0.0, ready_s: float = 0.0) -> FunctionCounters:
    every = ok + failed
    return FunctionCounters(
        desired=1, ready=1, codes={"200": ok, "500": failed}, buckets={0.1: every, INF: every},
        cold_calls=cold, cold_s=ready_s, cold_parts_s={"ready": ready_s},
    )  # fmt: skip


def test_window_knows_no_rate_from_one_look() -> None:
    measures, cold = RateWindow().add(0.0, counters(100))

    assert (measures.rate, measures.errors, measures.p95_s, measures.desired) == (None, None, None, 1)
    assert cold is None


def test_window_measures_rate_errors_and_latency() -> None:
    window = RateWindow()
    window.add(0.0, counters(100))
    window.add(2.0, counters(110))

    measures, _ = window.add(4.0, counters(126, 4))
    assert (measures.rate, measures.errors) == (7.5, 1.0)
    assert measures.error_share == pytest.approx(4 / 30)
    assert measures.p95_s == pytest.approx(0.095)


def test_window_without_calls_has_a_rate_and_no_latency() -> None:
    window = RateWindow()
    window.add(0.0, counters(100))

    measures, _ = window.add(2.0, counters(100))
    assert (measures.rate, measures.error_share, measures.p95_s) == (0.0, None, None)


def test_window_rate_is_that_of_the_last_ten_seconds() -> None:
    window = RateWindow()
    for second in range(0, 60, 2):
        measures, _ = window.add(float(second), counters(10.0 * second if second < 40 else 400.0))

    assert measures.rate == 0.0
    assert measures.p95_s is not None  # those of half a minute ago still count for it


def test_gateway_that_restarted_makes_no_negative_rate() -> None:
    window = RateWindow()
    window.add(0.0, counters(100))

    restarted, _ = window.add(2.0, counters(3))
    after, _ = window.add(4.0, counters(7))
    assert (restarted.rate, after.rate) == (None, 2.0)


def test_cold_starts_between_two_looks_are_told_with_their_parts() -> None:
    window = RateWindow()
    window.add(0.0, counters(0))

    _, cold = window.add(2.0, counters(2, cold=2, ready_s=1.0))
    assert cold is not None
    assert (cold.calls, cold.mean_s, cold.parts_s) == (2, 0.5, {"ready": 0.5})
    assert window.add(4.0, counters(2, cold=2, ready_s=1.0))[1] is None
