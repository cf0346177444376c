from __future__ import annotations

import platform

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from springtide.scaler.core import catalogue
from springtide.scaler.core.vocabulary import REASONS, Reason, Writer
from springtide.wire import vitals
from springtide.wire.instruments import DecisionCounter

LAG = catalogue.LOOP_LAG


def test_vitals_show_exactly_the_catalogues_series() -> None:
    registry = CollectorRegistry()
    vitals.vitals(registry)

    shown = {
        sample.name
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    }

    assert shown == {name for metric in catalogue.VITALS for name in metric.series}


def test_build_info_names_the_version_and_the_python() -> None:
    registry = CollectorRegistry()
    vitals.show_build(registry)

    [sample] = [sample for family in registry.collect() for sample in family.samples]
    assert sample.value == 1
    assert sample.labels["python"] == platform.python_version()
    assert sample.labels["version"]


def test_loop_lags_are_cumulative_buckets_for_each_process() -> None:
    counts = [5.0, 2.0, *[0.0] * (len(LAG.buckets) - 2), 1.0]
    family = vitals.loop_lags({"worker-1": [7.5, *counts], "master": [0.0] * (len(LAG.buckets) + 2)})

    got = {(s.name, s.labels["process"], s.labels.get("le")): s.value for s in family.samples}

    first, second = (str(bound) for bound in LAG.buckets[:2])
    assert got[f"{LAG.name}_bucket", "worker-1", first] == 5
    assert got[f"{LAG.name}_bucket", "worker-1", second] == 7
    assert got[f"{LAG.name}_bucket", "worker-1", "+Inf"] == got[f"{LAG.name}_count", "worker-1", None] == 8
    assert got[f"{LAG.name}_sum", "worker-1", None] == 7.5
    assert got[f"{LAG.name}_count", "master", None] == 0


@pytest.mark.parametrize("writer", [pytest.param(writer, id=writer.value) for writer in Writer])
def test_decisions_of_a_writer_are_counted_from_zero_for_each_of_its_reasons(writer: Writer) -> None:
    registry = CollectorRegistry()
    DecisionCounter(registry, writer)

    shown = {
        (sample.labels["writer"], sample.labels["reason"]): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == catalogue.DECISIONS.name
    }

    assert shown == {(writer.value, reason.value): 0.0 for reason in REASONS[writer]}


def test_every_reason_is_some_writers() -> None:
    assert {reason for reasons in REASONS.values() for reason in reasons} == set(Reason)
    assert all(len(reasons) == len(set(reasons)) for reasons in REASONS.values())
