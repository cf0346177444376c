"""What a cluster could not run is refused before it is asked, all of it at once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from springtide.provider.kubernetes.manifests.checks import check, problems_of
from springtide.provider.spec import FunctionSpec
from springtide.runtime.errors import BadInput
from springtide.scaler.core.vocabulary import FunctionRef
from tests.provider.kubernetes.specs import FULL, spec, specs


@given(specs())
@settings(max_examples=100, deadline=None)
def test_function_that_a_cluster_can_run_has_no_problems(asked: FunctionSpec) -> None:
    assert problems_of(asked) == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param({"ref": FunctionRef("n", "1st")}, "service: '1st': use .*beginning with a letter", id="name"),
        pytest.param({"image": "a b"}, "image: 'a b': .*without blanks", id="image"),
        pytest.param({"env_vars": {"1a": ""}}, "envVars: '1a': .*digit", id="variable"),
        pytest.param({"env_vars": {"..": ""}}, "envVars: '..': ", id="dots"),
        pytest.param({"env_vars": {"write_timeout": "soon"}}, "envVars.write_timeout: 'soon'.*1m30s", id="time-out"),
        pytest.param({"secrets": ("A_b",)}, "secrets: 'A_b': ", id="secret"),
        pytest.param({"constraints": ("zone",)}, "constraints: 'zone': write key=value", id="constraint without value"),
        pytest.param({"constraints": ("zone==a",)}, "constraints: 'zone==a': write key=value", id="swarm's constraint"),
        pytest.param({"labels": {"a b": "c"}}, "labels: a b='c': a key is", id="label key"),
        pytest.param({"labels": {"a": "b c"}}, "labels: a='b c': a value is", id="label value"),
        pytest.param({"labels": {"a": "b" * 64}}, "labels: a='b.*at most 63", id="label length"),
        pytest.param({"labels": {"faas_function": "x"}}, "faas_function='x': reserved", id="reserved label"),
        pytest.param({"annotations": {"a b": ""}}, "annotations: 'a b': a key is", id="annotation key"),
        pytest.param({"annotations": {"a": "x" * (128 << 10)}}, "annotations: 131073 bytes", id="annotation size"),
        pytest.param({"labels": {"com.springtide.learned-wake": "6"}}, "reserved", id="label of ours"),
        pytest.param({"annotations": {"com.openfaas.function.spec": ""}}, "reserved", id="reserved annotation"),
        pytest.param({"annotations": {"com.openfaas.profile": "A"}}, "com.openfaas.profile: 'A'", id="profile"),
        pytest.param({"annotations": {"com.openfaas.serviceaccount": "a b"}}, "serviceaccount: 'a b'", id="account"),
        pytest.param(
            {"annotations": {"com.openfaas.health.http.path": "h"}}, "health.http.path='h': .*starts with /", id="path"
        ),
        pytest.param(
            {"annotations": {"com.openfaas.ready.http.periodSeconds": "500ms"}}, "'500ms': .*at least 1 s", id="period"
        ),
        pytest.param(
            {"annotations": {"com.openfaas.ready.http.initialDelay": "soon"}}, "initialDelay='soon'", id="delay"
        ),
        pytest.param(
            {"annotations": {"com.openfaas.health.http.successThreshold": "2"}}, "only 1 for liveness", id="liveness"
        ),
        pytest.param({"limits": {"memory": "lots"}}, "limits.memory: 'lots' is not a quantity", id="quantity"),
        pytest.param({"limits": {"disk": "1"}}, "limits.disk: no such resource", id="resource"),
        pytest.param({"limits": {"nvidia.com/gpu": "500m"}}, "whole number", id="half a device"),
        pytest.param(
            {"limits": {"cpu": "1"}, "requests": {"cpu": "1100m"}}, "requests.cpu: 1100m is more than", id="request"
        ),
        pytest.param({"labels": {"com.openfaas.scale.type": "cpu"}}, "type=cpu: .*set requests.cpu", id="cpu type"),
    ],
)
def test_problem_names_key_value_and_remedy(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        check(spec(**changes))


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(BadInput) as refused:
        check(spec(image=" ", constraints=("a", "b"), limits={"cpu": "?"}, requests={"memory": "?"}))

    assert len(str(refused.value).splitlines()) == 5


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"labels": {"faas_function": "echo", "uid": "12"}}, id="labels as they were shown"),
        pytest.param({"limits": {"cpu": "0", "memory": ""}}, id="limits as OpenFaaS shows unset ones"),
        pytest.param(
            {"labels": {"com.openfaas.scale.type": "cpu"}, "limits": {"cpu": "1"}}, id="a limit is a request, too"
        ),
    ],
)
def test_what_clients_send_back_is_accepted(changes: dict[str, Any]) -> None:
    assert problems_of(spec(**changes)) == []
    assert problems_of(FULL) == []
