"""Which loads of a function the control loop follows, by its labels and annotations."""

from __future__ import annotations

import pytest

from springtide.scaler.core import loads, policy, targets
from springtide.scaler.core.loads import ALSO, QUERY, Load, loads_of
from springtide.scaler.core.targets import Unit

CALLS = Load(targets.RPS, "rps", 50.0, Unit.CALLS_PER_SECOND)
IN_FLIGHT = Load(targets.CAPACITY, "capacity", 10.0, Unit.CALLS_IN_FLIGHT)
HALF_A_CORE = Load(targets.CPU, "cpu", 500.0, Unit.CPU_MILLICORES)
BY_CAPACITY = {policy.TYPE: "capacity", policy.TARGET: "10"}


def own(name: str, target: float, query: str = "") -> Load:
    return Load(targets.CUSTOM, name, target, Unit.OWN, query)


@pytest.mark.parametrize(
    ("labels", "annotations", "expected"),
    [
        pytest.param({}, {}, (CALLS,), id="calls a second where nothing is said"),
        pytest.param(BY_CAPACITY, {}, (IN_FLIGHT,), id="that of the labels"),
        pytest.param({policy.TYPE: "cpu", policy.TARGET: "500m"}, {}, (HALF_A_CORE,), id="milli-cores"),
        pytest.param(
            {policy.TYPE: "cpu", policy.TARGET: "500"}, {}, (HALF_A_CORE,), id="milli-cores as OpenFaaS has them"
        ),
        pytest.param(
            BY_CAPACITY, {ALSO: " cpu = 500m, rps=50 "}, (IN_FLIGHT, HALF_A_CORE, CALLS), id="those named beside it"
        ),
        pytest.param(
            {policy.TYPE: "lag", policy.TARGET: "3"}, {QUERY: "sum(lag)"}, (own("lag", 3, "sum(lag)"),), id="a query"
        ),
        pytest.param(
            {}, {ALSO: "lag=3", QUERY: "sum(lag)"}, (CALLS, own("lag", 3, "sum(lag)")), id="a query of one beside"
        ),
        pytest.param({policy.TYPE: "lag"}, {}, (own("lag", 50),), id="a recording rule"),
    ],
)
def test_loads_of_a_function(labels: dict[str, str], annotations: dict[str, str], expected: tuple[Load, ...]) -> None:
    assert loads_of(labels, annotations) == (expected, ())


@pytest.mark.parametrize(
    ("labels", "annotations", "word"),
    [
        pytest.param({policy.TYPE: "cpu", policy.TARGET: "80"}, {}, "such as 500m", id="percent in a label"),
        pytest.param({policy.TYPE: "cpu"}, {}, "such as 500m", id="processor time without a target"),
        pytest.param({}, {ALSO: "cpu=80"}, "such as 500m", id="percent beside"),
        pytest.param({}, {ALSO: ""}, "such as cpu=500m", id="nothing"),
        pytest.param({}, {ALSO: "cpu"}, "such as cpu=500m", id="no target"),
        pytest.param({}, {ALSO: "cpu=-1"}, "above zero", id="a negative target"),
        pytest.param({}, {ALSO: "capacity=1e12"}, "at most 1000000000", id="a huge target"),
        pytest.param({}, {ALSO: "a b=1"}, "write one of rps", id="what cannot be a name"),
        pytest.param({}, {ALSO: "rps=5"}, "rps is named twice", id="the one of the labels again"),
        pytest.param({}, {ALSO: "a=1,a=2"}, "a is named twice", id="one twice"),
        pytest.param({}, {ALSO: "a=1,b=1,c=1,d=1,e=1"}, "write at most 5", id="too many"),
        pytest.param({}, {ALSO: "a" * 401}, "401 characters; write at most 400", id="too long"),
        pytest.param({}, {QUERY: "up"}, "type of your own", id="a query for a known type"),
        pytest.param({policy.TYPE: "lag"}, {QUERY: " "}, "empty", id="an empty query"),
        pytest.param(
            {policy.TYPE: "lag"}, {QUERY: "x" * 1001}, "1001 characters; write at most 1000", id="a long query"
        ),
        pytest.param({policy.TYPE: "lag"}, {QUERY: "up", ALSO: "b=1"}, "lag or b?", id="a query for either"),
    ],
)
def test_wrong_load_is_told_with_its_key_and_remedy(
    labels: dict[str, str], annotations: dict[str, str], word: str
) -> None:
    found, (problem,) = loads_of(labels, annotations)

    assert problem.startswith(("com.springtide.scale.", policy.TARGET))
    assert word in problem
    assert len(problem) < 400
    assert len(found) <= loads.MAX_LOADS
    assert all(len(load.query) <= loads.MAX_QUERY_CHARS for load in found)
