"""The autoscaler of a function that scales by processor time."""

from __future__ import annotations

from typing import Any

import pytest

from springtide.provider.kubernetes.manifests.hpa import hpa_of, is_ours
from springtide.scaler.core.ownership import Scalers, refusal, steady_owner
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.targets import Unit
from springtide.scaler.core.vocabulary import Reason, Writer
from tests.provider.kubernetes.published_schemas import all_problems
from tests.provider.kubernetes.specs import spec

CPU = {"com.openfaas.scale.type": "cpu"}


def autoscaler(**labels: str) -> dict[str, Any]:
    prefixed = {f"com.openfaas.scale.{key.replace('_', '.')}": value for key, value in labels.items()}
    made = hpa_of(spec(labels=CPU | prefixed, requests={"cpu": "100m"}))
    assert made is not None
    return made


def test_labels_become_an_autoscaler() -> None:
    made = autoscaler(min="2", max="8", target="70", down_window="90s")

    assert made["metadata"]["labels"] == {"faas_function": "echo", "app.kubernetes.io/managed-by": "springtide"}
    assert made["spec"] == {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "echo"},
        "minReplicas": 2,
        "maxReplicas": 8,
        "metrics": [
            {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
            }
        ],
        "behavior": {
            "scaleUp": {"stabilizationWindowSeconds": 0},
            "scaleDown": {"stabilizationWindowSeconds": 90},
        },
    }
    assert all_problems(made) == []


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param({"com.springtide.scale.owner": "scaler"}, id="the scaler owns it"),
        pytest.param({"com.springtide.scale.owner": "alerts"}, id="alerts own it"),
        pytest.param({"com.springtide.scale.owner": "none"}, id="nobody owns it"),
        pytest.param({"com.openfaas.scale.min": "3", "com.openfaas.scale.max": "3"}, id="a fixed size"),
    ],
)
def test_function_of_another_owner_has_no_autoscaler(labels: dict[str, str]) -> None:
    assert hpa_of(spec(labels=CPU | labels, requests={"cpu": "100m"})) is None


def test_defaults_are_half_of_what_is_requested_and_five_minutes_down() -> None:
    body = autoscaler()["spec"]

    assert (body["minReplicas"], body["maxReplicas"]) == (1, 20)
    assert body["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 50}
    assert body["behavior"]["scaleDown"] == {"stabilizationWindowSeconds": 300}


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        pytest.param("100", {"type": "Utilization", "averageUtilization": 100}, id="percent up to 100"),
        pytest.param("0.5", {"type": "Utilization", "averageUtilization": 1}, id="at least one percent"),
        pytest.param("500", {"type": "AverageValue", "averageValue": "500m"}, id="milli-cores above"),
        pytest.param("80m", {"type": "AverageValue", "averageValue": "80m"}, id="milli-cores by their unit"),
    ],
)
def test_target_is_percent_or_millicores(target: str, wanted: dict[str, object]) -> None:
    assert autoscaler(target=target)["spec"]["metrics"][0]["resource"]["target"] == wanted


def test_minimum_of_zero_is_one_because_an_autoscaler_cannot_wake() -> None:
    assert autoscaler(min="0")["spec"]["minReplicas"] == 1


@pytest.mark.parametrize("kind", ["rps", "capacity", "queue", "mine"])
def test_other_types_have_no_autoscaler(kind: str) -> None:
    assert hpa_of(spec(labels={"com.openfaas.scale.type": kind})) is None


def test_only_what_we_made_is_ours() -> None:
    assert is_ours(autoscaler())
    assert not is_ours({"metadata": {"name": "echo"}})


def test_cpu_target_is_parsed_in_the_policy_and_its_problems_are_told() -> None:
    policy, problems = ScalePolicy.from_labels(CPU | {"com.openfaas.scale.target": "250m"})
    assert (policy.target, policy.unit, problems) == (250.0, Unit.CPU_MILLICORES, ())

    policy, problems = ScalePolicy.from_labels(CPU | {"com.openfaas.scale.target": "m"})
    assert (policy.target, policy.unit) == (50.0, Unit.CPU_PERCENT)
    assert problems == ("com.openfaas.scale.target='m': write a number",)


@pytest.mark.parametrize(
    ("writer", "before", "after", "reason"),
    [
        pytest.param(Writer.HPA, 2, 5, None, id="the autoscaler moves it"),
        pytest.param(Writer.ALERT, 2, 5, Reason.NOT_OWNER, id="an alert does not"),
        pytest.param(Writer.ALERT, 5, 1, Reason.NOT_OWNER, id="nor does its end"),
        pytest.param(Writer.IDLER, 2, 0, None, id="the idler takes it to zero"),
        pytest.param(Writer.WAKE, 0, 1, None, id="a call wakes it"),
        pytest.param(Writer.HPA, 0, 1, Reason.ASLEEP, id="the autoscaler does not"),
        pytest.param(Writer.PERSON, 2, 9, None, id="a person always may"),
    ],
)
def test_replicas_of_such_a_function_belong_to_the_autoscaler(
    writer: Writer, before: int, after: int, reason: Reason | None
) -> None:
    policy, _ = ScalePolicy.from_labels(CPU | {"com.openfaas.scale.zero": "true"})

    assert refusal(writer, policy, before, after, owner=steady_owner(policy, Scalers(hpa=True))) is reason
