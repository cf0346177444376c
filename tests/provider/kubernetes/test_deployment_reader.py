"""From a Deployment back to the function: ours, somebody else's, and ours after somebody else's hand."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from springtide.provider.kubernetes.manifests.deployment import DesiredFunction, deployment_of
from springtide.provider.kubernetes.manifests.deployment_reader import (
    function_of,
    is_function,
    problem_of,
    scale_of,
    spec_of,
    status_of,
)
from springtide.provider.kubernetes.manifests.settings import ManifestSettings
from springtide.provider.spec import FunctionSpec
from springtide.scaler.core.vocabulary import FunctionRef, Instant, Scale
from tests.provider.kubernetes.specs import FULL, spec, specs

FAAS_NETES: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {
        "name": "figlet",
        "namespace": "openfaas-fn",
        "labels": {"faas_function": "figlet"},
        "annotations": {"prometheus.io.scrape": "false", "deployment.kubernetes.io/revision": "3", "topic": "a"},
        "creationTimestamp": "2024-05-01T10:00:00Z",
        "resourceVersion": "77",
    },
    "spec": {
        "replicas": 4,
        "selector": {"matchLabels": {"faas_function": "figlet"}},
        "template": {
            "metadata": {
                "labels": {"faas_function": "figlet", "uid": "1714557600000000000", "team": "b"},
                "annotations": {
                    "prometheus.io.scrape": "false",
                    "topic": "a",
                    "kubectl.kubernetes.io/restartedAt": "x",
                },
            },
            "spec": {
                "nodeSelector": {"zone": "b"},
                "imagePullSecrets": [{"name": "registry"}],
                "volumes": [
                    {
                        "name": "figlet-projected-secrets",
                        "projected": {
                            "sources": [{"secret": {"name": "token", "items": [{"key": "token", "path": "token"}]}}]
                        },
                    }
                ],
                "containers": [
                    {"name": "istio-proxy", "image": "istio"},
                    {
                        "name": "figlet",
                        "image": "functions/figlet:latest",
                        "env": [
                            {"name": "fprocess", "value": "figlet"},
                            {"name": "mode", "value": "fast"},
                            {"name": "empty"},
                            {"name": "from_field", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                        ],
                        "resources": {"limits": {"memory": "128Mi", "cpu": 1}},
                        "securityContext": {"readOnlyRootFilesystem": True},
                    },
                ],
            },
        },
    },
    "status": {"availableReplicas": 3, "replicas": 4},
}


def deployed(asked: FunctionSpec, **changes: Any) -> dict[str, Any]:
    made = deployment_of(DesiredFunction(spec=asked, rollout="1", **changes), ManifestSettings())
    return copy.deepcopy(made)


def without_own_labels(asked: FunctionSpec) -> FunctionSpec:
    return replace(asked, labels={key: value for key, value in asked.labels.items() if key != "faas_function"})


@given(specs())
@settings(max_examples=150, deadline=None)
def test_function_comes_back_verbatim(asked: FunctionSpec) -> None:
    assert spec_of(deployed(asked, pull_secrets=asked.secrets[:1])) == asked


def test_quantities_come_back_verbatim_although_the_api_server_rewrites_them() -> None:
    deployment = deployed(FULL)
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    container["resources"] = {
        "limits": {"memory": "1Gi", "cpu": "500m", "nvidia.com/gpu": "1"},
        "requests": {"memory": "16Mi", "cpu": "100m"},
    }

    assert spec_of(deployment) == FULL


def test_function_of_another_provider_is_shown_as_it_is() -> None:
    assert is_function(FAAS_NETES)
    status = status_of(FAAS_NETES)

    assert status.spec == FunctionSpec(
        ref=FunctionRef("openfaas-fn", "figlet"),
        image="functions/figlet:latest",
        env_process="figlet",
        env_vars={"mode": "fast", "empty": ""},
        constraints=("zone=b",),
        secrets=("registry", "token"),
        labels={"team": "b"},
        annotations={"prometheus.io.scrape": "false", "topic": "a"},
        limits={"memory": "128Mi", "cpu": "1"},
        read_only_root_filesystem=True,
    )
    assert status.function.scale == Scale(desired=4, ready=3, version="77")
    assert dict(status.function.labels) == {"team": "b", "faas_function": "figlet"}
    assert status.function.created_at == 1714557600.0


def test_deployment_without_the_label_is_no_function() -> None:
    other = copy.deepcopy(FAAS_NETES)
    del other["metadata"]["labels"]["faas_function"]

    assert not is_function(other)


def _image(deployment: dict[str, Any]) -> None:
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "new"


def _variable(deployment: dict[str, Any]) -> None:
    deployment["spec"]["template"]["spec"]["containers"][0]["env"].append({"name": "new", "value": "1"})


def _limit(deployment: dict[str, Any]) -> None:
    deployment["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"] = "2Gi"


def _node(deployment: dict[str, Any]) -> None:
    deployment["spec"]["template"]["spec"]["nodeSelector"] = {"zone": "c"}


def _label(deployment: dict[str, Any]) -> None:
    deployment["spec"]["template"]["metadata"]["labels"]["team"] = "c"


def _annotation(deployment: dict[str, Any]) -> None:
    deployment["spec"]["template"]["metadata"]["annotations"]["topic"] = "c"


@pytest.mark.parametrize(
    ("edit", "shown"),
    [
        pytest.param(_image, {"image": "new"}, id="image"),
        pytest.param(_variable, {"env_vars": {**FULL.env_vars, "new": "1"}}, id="variable"),
        pytest.param(_limit, {"limits": {**FULL.limits, "memory": "2Gi"}}, id="limit"),
        pytest.param(_node, {"constraints": ("zone=c",)}, id="node"),
        pytest.param(_label, {"labels": {**FULL.labels, "team": "c"}}, id="label"),
        pytest.param(
            _annotation,
            {"annotations": {**FULL.annotations, "topic": "c", "prometheus.io.scrape": "false"}},
            id="annotation",
        ),
    ],
)
def test_what_somebody_edited_is_shown_and_the_rest_stays_verbatim(edit: Any, shown: dict[str, Any]) -> None:
    deployment = deployed(FULL, pull_secrets={"registry"})

    edit(deployment)

    assert spec_of(deployment) == replace(FULL, **shown)


@pytest.mark.parametrize("text", ["", "{", "null", "[]", '{"image": 7}'])
def test_unreadable_note_of_what_was_asked_for_counts_as_none(text: str) -> None:
    deployment = deployed(spec(env_process="cat"))
    deployment["metadata"]["annotations"]["com.openfaas.function.spec"] = text

    assert spec_of(deployment).env_process == "cat"
    assert spec_of(deployment).image == "ghcr.io/example/echo:1"


def test_birthday_is_ours_to_the_microsecond_unless_the_clocks_disagree() -> None:
    deployment = deployed(spec(), created=Instant(1714557600.25))
    deployment["metadata"] |= {"resourceVersion": "1", "creationTimestamp": "2024-05-01T10:00:00Z"}
    assert function_of(deployment).created_at == 1714557600.25

    deployment["metadata"]["creationTimestamp"] = "2024-05-01T10:05:00Z"
    assert function_of(deployment).created_at == 1714557900.0


def test_replicas_not_filled_in_yet_are_kubernetes_default() -> None:
    assert scale_of({"metadata": {}, "spec": {}}) == Scale(1, 0, "")


@pytest.mark.parametrize(
    ("condition", "problem"),
    [
        pytest.param({"type": "Progressing", "status": "True", "reason": "R", "message": "m"}, None, id="on its way"),
        pytest.param(
            {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"},
            "ProgressDeadlineExceeded: timed out",
            id="stuck",
        ),
        pytest.param(
            {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota exceeded"},
            "FailedCreate: quota exceeded",
            id="refused",
        ),
        pytest.param({"type": "Available", "status": "False", "reason": "R", "message": "m"}, None, id="not available"),
    ],
)
def test_problem_is_told_from_the_conditions(condition: dict[str, str], problem: str | None) -> None:
    assert problem_of({"status": {"conditions": [condition]}}) == problem
