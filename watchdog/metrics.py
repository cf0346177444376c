"""The metrics OpenFaaS's watchdogs have. Stock ones serve them on port 8081; here many replicas share one machine, so
they are at ``/_/metrics`` of the replica's own port, in Prometheus's text format 0.0.4."""

from __future__ import annotations

from bisect import bisect_left

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
"""Others are counted together, so that a caller cannot make up series."""
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The default ones of Prometheus's Go client, which OpenFaaS's watchdogs use."""


class _Series:
    """Calls of one status and method."""

    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BUCKETS_S) + 1)
        self.seconds = 0.0


class Metrics:
    """Counts calls by status and method."""

    def __init__(self) -> None:
        self._series: dict[tuple[int, str], _Series] = {}

    def answered(self, status: int, method: str, seconds: float) -> None:
        key = status, method if method in METHODS else "OTHER"
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = _Series()
        series.seconds += seconds
        series.buckets[bisect_left(BUCKETS_S, seconds)] += 1

    def exposition(self, in_flight: int) -> bytes:
        lines = ["# HELP http_requests_total Calls answered", "# TYPE http_requests_total counter"]
        lines += [f"http_requests_total{{{_labels(key)}}} {float(sum(s.buckets))}" for key, s in self._series.items()]
        lines += [
            "# HELP http_request_duration_seconds Seconds a call took",
            "# TYPE http_request_duration_seconds histogram",
        ]
        for key, series in self._series.items():
            lines += _histogram(_labels(key), series)
        lines += [
            "# HELP http_requests_in_flight Calls being answered",
            "# TYPE http_requests_in_flight gauge",
            f"http_requests_in_flight {float(in_flight)}",
        ]
        return "\n".join([*lines, ""]).encode()


def _labels(key: tuple[int, str]) -> str:
    return f'code="{key[0]}",method="{key[1].lower()}"'


def _histogram(labels: str, series: _Series) -> list[str]:
    lines = []
    count = 0
    for bound, calls in zip((*map(str, BUCKETS_S), "+Inf"), series.buckets):
        count += calls
        lines.append(f'http_request_duration_seconds_bucket{{{labels},le="{bound}"}} {float(count)}')
    lines.append(f"http_request_duration_seconds_count{{{labels}}} {float(count)}")
    lines.append(f"http_request_duration_seconds_sum{{{labels}}} {series.seconds}")
    return lines
