"""The watchdog's metrics, as Prometheus's own parser reads them."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from springtide.watchdog.metrics import BUCKETS_S, CONTENT_TYPE, Metrics


def read(metrics: Metrics, in_flight: int = 0) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(metrics.exposition(in_flight).decode()):
        assert family.documentation
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def test_nothing_was_counted_yet() -> None:
    assert read(Metrics(), in_flight=3) == {"http_requests_in_flight": {(): 3.0}}


def test_calls_are_counted_by_status_and_method_and_their_seconds_in_buckets() -> None:
    metrics = Metrics()
    for seconds in (0.001, 0.005, 0.3, 99.0):
        metrics.answered(200, "POST", seconds)
    metrics.answered(404, "GET", 0.01)
    found = read(metrics)

    post = ("code", "200"), ("method", "post")
    assert found["http_requests_total"] == {post: 4.0, (("code", "404"), ("method", "get")): 1.0}
    assert found["http_request_duration_seconds_sum"][post] == 0.001 + 0.005 + 0.3 + 99.0
    assert found["http_request_duration_seconds_count"][post] == 4.0
    buckets = {
        dict(labels)["le"]: value
        for labels, value in found["http_request_duration_seconds_bucket"].items()
        if post[0] in labels
    }
    assert list(buckets) == [*map(str, BUCKETS_S), "+Inf"]
    assert list(buckets.values()) == [2.0] * 5 + [2.0, 3.0, 3.0, 3.0, 3.0, 3.0, 4.0]


def test_methods_that_callers_make_up_are_one_series() -> None:
    metrics = Metrics()
    for number in range(1000):
        metrics.answered(200, f"M{number}", 0.0)

    assert read(metrics)["http_requests_total"] == {(("code", "200"), ("method", "other")): 1000.0}


def test_format_is_named() -> None:
    assert CONTENT_TYPE == "text/plain; version=0.0.4; charset=utf-8"
