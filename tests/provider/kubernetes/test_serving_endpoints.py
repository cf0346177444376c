from __future__ import annotations

from typing import Any

import pytest

from springtide.provider.kubernetes.endpoint_publisher import serving_endpoints
from springtide.provider.kubernetes.views import pod_view, slice_view
from springtide.wire.endpoint_stream import Endpoint
from tests.provider.kubernetes.cluster_objects import endpoint, endpoint_slice, pod


def taken(*slices: dict[str, Any], pods: list[dict[str, Any]], early: set[str], withdrawn: set[str]) -> list[Endpoint]:
    views = {view.name: view for view in map(pod_view, pods)}
    return list(serving_endpoints(map(slice_view, slices), views, early=early, withdrawn=withdrawn))


@pytest.mark.parametrize(
    ("conditions", "takes"),
    [
        pytest.param({"ready": True}, True, id="ready"),
        pytest.param({"ready": None}, True, id="of unknown readiness"),
        pytest.param({}, True, id="silent about it"),
        pytest.param({"ready": False, "serving": False}, False, id="not ready"),
        pytest.param({"ready": False, "serving": True, "terminating": True}, False, id="terminating though serving"),
        pytest.param({"ready": True, "terminating": True}, False, id="terminating and published nevertheless"),
    ],
)
def test_endpoint_takes_calls_when_its_slice_says(conditions: dict[str, bool | None], takes: bool) -> None:
    found = taken(
        endpoint_slice(endpoint("a", "10.1.0.1", **conditions)), pods=[pod("a")], early=set(), withdrawn=set()
    )

    assert found == ([Endpoint("a", "10.1.0.1", 8080)] if takes else [])


def test_pod_that_answered_takes_calls_before_its_slice_says_so() -> None:
    not_ready = endpoint_slice(endpoint("a", "10.1.0.1", ready=False))

    with_slice = taken(not_ready, pods=[pod("a", ready=False)], early={"a"}, withdrawn=set())
    without = taken(pods=[pod("a", ready=False)], early={"a"}, withdrawn=set())

    assert with_slice == without == [Endpoint("a", "10.1.0.1", 8080)]


@pytest.mark.parametrize("early", [set(), {"a"}], ids=["ready", "early"])
def test_pod_that_goes_takes_no_calls_whatever_its_slice_says(early: set[str]) -> None:
    ready = endpoint_slice(endpoint("a", "10.1.0.1", ready=True), endpoint("b", "10.1.0.2", ready=True))
    pods = [pod("a"), pod("b", ip="10.1.0.2", deleting=True)]

    assert taken(ready, pods=pods, early=early, withdrawn=set()) == [Endpoint("a", "10.1.0.1", 8080)]
    assert taken(ready, pods=pods, early=early, withdrawn={"a"}) == []


def test_address_of_a_pod_that_is_not_the_functions_does_not_count() -> None:
    ready = endpoint_slice(endpoint("former", "10.1.0.9", ready=True))

    assert taken(ready, pods=[], early=set(), withdrawn=set()) == []


def test_pod_of_two_address_families_is_one_endpoint() -> None:
    six = endpoint_slice(endpoint("a", "fd00::1", ready=True), addressType="IPv6")
    four = endpoint_slice(endpoint("a", "10.1.0.1", ready=True))

    assert taken(six, four, pods=[pod("a")], early=set(), withdrawn=set()) == [Endpoint("a", "10.1.0.1", 8080)]
    assert taken(six, pods=[pod("a")], early=set(), withdrawn=set()) == [Endpoint("a", "fd00::1", 8080)]


@pytest.mark.parametrize(
    ("ports", "port"),
    [
        pytest.param(
            [{"name": "metrics", "port": 8081}, {"name": "http", "port": 8080}], 8080, id="the one called http"
        ),
        pytest.param([{"port": 5000}], 5000, id="the only one"),
        pytest.param([], 8080, id="the usual one where none is said"),
    ],
)
def test_port_is(ports: list[dict[str, Any]], port: int) -> None:
    slices = endpoint_slice(endpoint("a", "10.1.0.1", ready=True), ports=ports)

    assert taken(slices, pods=[pod("a")], early=set(), withdrawn=set()) == [Endpoint("a", "10.1.0.1", port)]
