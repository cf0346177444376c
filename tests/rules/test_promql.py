from __future__ import annotations

import pytest

from springtide.rules.model import RecordingRule
from springtide.rules.promql import Names, Selector, known_series, names_in, problems

KNOWN = known_series([RecordingRule("job:load:sum", "1", ("function_name",))])


def selector(series: str, *labels: str) -> Selector:
    return Selector(series, frozenset(labels))


@pytest.mark.parametrize(
    ("expr", "names"),
    [
        pytest.param("up", Names((selector("up"),), frozenset()), id="a bare series"),
        pytest.param(
            'sum by (job) (rate(http_total{code=~"5..", job!="x"}[5m]))',
            Names((selector("http_total", "code", "job"),), frozenset({"job"})),
            id="functions, durations and strings are no series",
        ),
        pytest.param(
            "sum(a) by (x) / ignoring(y) group_left(z) b",
            Names((selector("a"), selector("b")), frozenset({"x", "y", "z"})),
            id="labels of grouping and joining",
        ),
        pytest.param(
            'a and on () b{l="and c"} or d > bool 1e3 unless e offset 5m # f\n',
            Names((selector("a"), selector("b", "l"), selector("d"), selector("e")), frozenset()),
            id="keywords, strings and comments are no series",
        ),
        pytest.param("time() - inf > 2", Names((), frozenset()), id="none at all"),
    ],
)
def test_names_in_finds_series_and_labels(expr: str, names: Names) -> None:
    assert names_in(expr) == names


@pytest.mark.parametrize(
    ("expr", "said"),
    [
        pytest.param("gateway_functions_second_sum", "gateway_functions_second_sum is in no catalogue", id="a slip"),
        pytest.param(
            "gateway_functions_seconds",
            "gateway_functions_seconds is in no catalogue",
            id="a histogram by its bare name",
        ),
        pytest.param(
            'gateway_service_count{code="200"}',
            "gateway_service_count has no label code",
            id="a label it does not have",
        ),
        pytest.param(
            "sum by (pod) (gateway_service_count)",
            "no series of the expression has the label pod",
            id="grouping by a label nothing has",
        ),
    ],
)
def test_problems_names_what_does_not_exist(expr: str, said: str) -> None:
    assert problems(expr, KNOWN) == [said]


@pytest.mark.parametrize(
    "expr",
    [
        pytest.param('sum by (le) (rate(gateway_functions_seconds_bucket{job="gateway"}[1m]))', id="buckets"),
        pytest.param("job:load:sum and on (function_name) gateway_service_count", id="a recorded series"),
        pytest.param('up{job="x"} or ALERTS{alertname="y"}', id="series of Prometheus itself"),
    ],
)
def test_problems_is_empty_for_what_exists(expr: str) -> None:
    assert problems(expr, KNOWN) == []
