"""What the metrics server tells of pods, as the use of a function."""

from __future__ import annotations

from typing import Any

import pytest

from springtide.provider.kubernetes.processor_use import PodUse, function_use, pod_uses
from springtide.provider.kubernetes.views import DeploymentView, pod_view
from springtide.provider.spec import FunctionSpec
from springtide.scaler.core.vocabulary import FunctionRef, Instant, NoData
from springtide.wire.processor_use import CpuRate, ProcessorUse
from tests.provider.kubernetes.cluster_objects import pod

REF = FunctionRef("openfaas-fn", "echo")
NOW, SCRAPED = Instant(1_800_000_000.0), Instant(1_769_860_800.0)


def metrics(name: str, *cpu: str, at: str = "2026-01-31T12:00:00Z") -> dict[str, Any]:
    containers = [{"name": "x", "usage": {"cpu": amount, "memory": "1Mi"}} for amount in cpu]
    return {"metadata": {"name": name}, "timestamp": at, "window": "15s", "containers": containers}


def function(desired: int) -> DeploymentView:
    spec = FunctionSpec(ref=REF, image="x")
    return DeploymentView(spec=spec, labels={}, desired=desired, uid="u", generation=1, created_at=None)


@pytest.mark.parametrize(
    ("cpu", "millicores"),
    [
        pytest.param(("250m",), 250.0, id="milli-cores"),
        pytest.param(("156340n",), 0.15634, id="nano-cores, as a metrics server writes them"),
        pytest.param(("1", "500m"), 1500.0, id="all containers of the pod"),
    ],
)
def test_use_of_a_pod(cpu: tuple[str, ...], millicores: float) -> None:
    assert pod_uses([metrics("a", *cpu)]) == {"a": PodUse(millicores, SCRAPED)}


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(metrics("a"), id="no container yet"),
        pytest.param(metrics("a", "much"), id="not a quantity"),
        pytest.param(metrics("a", "1m", at="yesterday"), id="not a time"),
        pytest.param({"metadata": {"name": "a"}}, id="nothing"),
    ],
)
def test_a_pod_whose_numbers_make_no_sense_is_not_measured(item: dict[str, Any]) -> None:
    assert pod_uses([item, metrics("b", "1m")]) == {"b": PodUse(1.0, SCRAPED)}


PODS = {"a": pod("a"), "b": pod("b"), "new": pod("new", ready=False), "going": pod("going", deleting=True)}


@pytest.mark.parametrize(
    ("pods", "measured", "desired", "use"),
    [
        pytest.param("a b", {"a": 1, "b": 2}, 2, CpuRate(300.0, Instant(1.0)), id="the sum, as old as the oldest"),
        pytest.param("a new", {"a": 1}, 2, CpuRate(100.0, Instant(1.0)), id="one that takes no calls yet may miss"),
        pytest.param("a going", {"a": 1, "going": 2}, 1, CpuRate(300.0, Instant(1.0)), id="one that ends its calls"),
        pytest.param("", {}, 0, CpuRate(0.0, NOW), id="none is there and none wanted"),
        pytest.param(
            "a b", {"a": 1}, 2, NoData("1 of 2 ready pods are not measured yet by the metrics server"), id="one misses"
        ),
        pytest.param("new", {}, 1, NoData("none of its pods is ready and measured yet"), id="it starts"),
    ],
)
def test_use_of_a_function(pods: str, measured: dict[str, float], desired: int, use: ProcessorUse) -> None:
    uses = {name: PodUse(100.0 * at, Instant(at)) for name, at in measured.items()}

    assert function_use(function(desired), [pod_view(PODS[name]) for name in pods.split()], uses, NOW) == use
