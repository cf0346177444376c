from __future__ import annotations

import re

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from springtide.scaler.core import catalogue
from springtide.scaler.core.catalogue import ALL, Kind, Metric, Part
from springtide.scaler.core.vocabulary import Decision, FunctionRef, Instant, Reason, Writer
from springtide.wire import instruments


def ids(metric: Metric) -> str:
    return metric.name


def test_names_are_unique() -> None:
    names = [name for metric in ALL for name in metric.series]

    assert len(names) == len(set(names))


@pytest.mark.parametrize("metric", ALL, ids=ids)
def test_metric_is_well_formed(metric: Metric) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*", metric.name)
    assert metric.help
    assert not metric.help.endswith(".")
    assert metric.parts
    assert len(set(metric.labels)) == len(metric.labels)


@pytest.mark.parametrize("metric", ALL, ids=ids)
def test_buckets_belong_to_histograms_and_ascend(metric: Metric) -> None:
    assert bool(metric.buckets) is (metric.kind is Kind.HISTOGRAM)
    assert list(metric.buckets) == sorted(set(metric.buckets))


@pytest.mark.parametrize("metric", [metric for metric in ALL if metric.kind is not Kind.COUNTER], ids=ids)
def test_only_counters_end_in_total(metric: Metric) -> None:
    assert not metric.name.endswith("_total")


def test_what_openfaas_dashboards_query_keeps_its_name() -> None:
    expected = {
        "gateway_function_invocation_total": ("function_name", "code"),
        "gateway_function_invocation_started": ("function_name",),
        "gateway_functions_seconds": ("function_name", "code"),
        "gateway_function_invocation_inflight": ("function_name",),
        "gateway_service_count": ("function_name",),
        "gateway_service_ready_count": ("function_name",),
        "gateway_service_min": ("function_name",),
        "gateway_service_target_load": ("function_name", "scaling_type"),
        "provider_http_requests_total": ("code", "method", "path"),
        "provider_http_request_duration_seconds": ("code", "method", "path"),
        "pod_cpu_usage_seconds_total": ("function_name", "namespace", "pod"),
        "pod_memory_working_set_bytes": ("function_name", "namespace", "pod"),
    }

    assert {metric.name: metric.labels for metric in ALL if metric.name in expected} == expected


@pytest.mark.parametrize(
    "metric", [metric for metric in ALL if metric.kind is not Kind.COUNTER or metric.name.endswith("_total")], ids=ids
)
def test_instrument_shows_exactly_the_series_declared(metric: Metric) -> None:
    registry = CollectorRegistry()
    make = {Kind.COUNTER: instruments.counter, Kind.GAUGE: instruments.gauge, Kind.HISTOGRAM: instruments.histogram}
    instrument = make[metric.kind](metric, registry)
    if metric.labels:
        instrument.labels(*("x" for _ in metric.labels))

    lines = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]
    shown = {re.split(r"[{ ]", line)[0] for line in lines}

    assert {name for name in shown if not name.endswith("_created")} == set(metric.series)


def test_decisions_are_counted_by_writer_and_reason() -> None:
    registry = CollectorRegistry()
    recorder = instruments.DecisionCounter(registry, Writer.IDLER)
    decision = Decision(FunctionRef("ns", "f"), Writer.IDLER, 1, 0, Reason.IDLE, "", Instant(0))

    recorder.record(decision)
    recorder.record(decision)

    assert registry.get_sample_value(catalogue.DECISIONS.name, {"writer": "idler", "reason": "idle"}) == 2


def test_every_part_emits_something() -> None:
    assert {part for metric in ALL for part in metric.parts} == set(Part)
