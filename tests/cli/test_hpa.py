"""``springtide hpa``: the autoscaler's manifest, from a stack file or from what is deployed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes_validate import validate

STACK = """
provider: {name: openfaas}
functions:
  heavy:
    image: me/heavy
    namespace: dev
    labels:
      com.openfaas.scale.type: cpu
      com.openfaas.scale.min: 2
      com.openfaas.scale.max: 6
      com.openfaas.scale.target: 500
    requests: {cpu: 250m}
  light: {image: me/light}
  bare: {image: me/bare, labels: {com.openfaas.scale.type: cpu}}
"""


@pytest.fixture
def stack_file(tmp_path: Path) -> str:
    file = tmp_path / "stack.yaml"
    file.write_text(STACK)
    return str(file)


def test_stack_files_function_is_printed_without_a_gateway(springtide: Any, stack_file: str) -> None:
    outcome = springtide("hpa", "heavy", "-f", stack_file, "--gateway", "http://127.0.0.1:1")

    assert (outcome.status, outcome.err) == (0, "")
    manifest = yaml.safe_load(outcome.out)
    validate(manifest, "1.29", strict=True)
    assert manifest["metadata"] == {"name": "heavy", "namespace": "dev", "labels": {"faas_function": "heavy"}}
    spec = manifest["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 6)
    assert spec["metrics"][0]["resource"]["target"] == {"type": "AverageValue", "averageValue": "500m"}
    assert outcome.out.startswith("# For: kubectl apply -f -\n")


def test_deployed_function_is_printed(springtide: Any) -> None:
    deployed = springtide(
        *("deploy", "heavy", "--fprocess", "cat", "-l", "com.openfaas.scale.type=cpu", "--request", "cpu=100m")
    )
    assert deployed.status == 0, deployed.err

    outcome = springtide("hpa", "heavy")

    assert (outcome.status, outcome.err) == (0, "")
    assert yaml.safe_load(outcome.out)["spec"]["scaleTargetRef"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": "heavy",
    }


@pytest.mark.parametrize(
    ("name", "says"),
    [
        pytest.param("light", "give it the label com.openfaas.scale.type=cpu", id="not by processor time"),
        pytest.param("bare", "set requests.cpu, such as 100m", id="without a request"),
        pytest.param("other", "no function other in the stack file", id="unknown"),
    ],
)
def test_function_without_an_autoscaler_is_told_why(springtide: Any, stack_file: str, name: str, says: str) -> None:
    outcome = springtide("hpa", name, "-f", stack_file)

    assert (outcome.status, outcome.out) == (1, "")
    assert says in outcome.err


def test_function_that_is_not_deployed_is_told(springtide: Any) -> None:
    outcome = springtide("hpa", "absent")

    assert outcome.status == 1
    assert "no function absent" in outcome.err
