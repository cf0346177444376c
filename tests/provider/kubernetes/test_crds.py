"""The shipped definitions of Function and Profile: valid, structural, and fit for what clients write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema.validators import Draft202012Validator

from springtide.provider.kubernetes.manifests import function_object
from springtide.provider.kubernetes.manifests.keys import FUNCTIONS, PROFILES
from springtide.provider.kubernetes.manifests.profiles import REPLACED
from springtide.scaler.core.ownership import Scalers
from tests.kubernetes.emulator.custom import definitions, structural
from tests.provider.kubernetes.published_schemas import all_problems
from tests.provider.kubernetes.specs import FULL, spec

CRDS = Path(__file__).parents[3] / "deploy" / "crds"
GENERATED = """
apiVersion: openfaas.com/v1
kind: Function
metadata:
  name: nodeinfo
  namespace: openfaas-fn
spec:
  name: nodeinfo
  image: functions/nodeinfo:latest
  labels:
    com.openfaas.scale.min: "2"
  annotations: {}
  environment:
    write_debug: "true"
  limits:
    cpu: 1
    memory: 40Mi
  secrets:
  - api-key
  readOnlyRootFilesystem: false
"""


def definition(plural: str) -> dict[str, Any]:
    return dict(yaml.safe_load((CRDS / f"{plural}.openfaas.com.yaml").read_text()))


def schema(plural: str) -> dict[str, Any]:
    (version,) = definition(plural)["spec"]["versions"]
    return dict(version["schema"]["openAPIV3Schema"])


def refusals(plural: str, value: dict[str, Any]) -> list[str]:
    """As an API server with strict field validation would."""
    _, unknown = structural.prune(value, schema(plural))
    return unknown + [cause.field for cause in structural.causes(value, schema(plural))]


@pytest.mark.parametrize(("plural", "resource"), [("functions", FUNCTIONS), ("profiles", PROFILES)])
def test_definition_is_valid_and_names_what_the_code_uses(plural: str, resource: Any) -> None:
    found = definition(plural)

    assert all_problems(found) == []
    assert definitions.causes(found) == []
    Draft202012Validator.check_schema(schema(plural))
    assert (found["spec"]["group"], found["spec"]["names"]["kind"]) == (resource.group, resource.kind)
    assert found["spec"]["versions"][0]["name"] == resource.version


def test_what_the_client_generates_is_accepted_and_read() -> None:
    value = yaml.safe_load(GENERATED)

    assert refusals("functions", value) == []
    asked = function_object.read(value, Scalers(hpa=True))
    assert (asked.image, asked.limits, asked.secrets) == (
        "functions/nodeinfo:latest",
        {"cpu": "1", "memory": "40Mi"},
        ("api-key",),
    )


@pytest.mark.parametrize("asked", [pytest.param(spec(), id="least"), pytest.param(FULL, id="all")])
def test_what_we_write_is_accepted_and_comes_back(asked: Any) -> None:
    value = function_object.function_of(asked, "1")

    assert refusals("functions", value) == []
    assert function_object.read(value, Scalers(hpa=True)) == asked


@pytest.mark.parametrize(
    ("change", "field"),
    [
        pytest.param({"imagge": "x"}, "spec.imagge", id="typing error"),
        pytest.param({"name": "Echo"}, "spec.name", id="name"),
        pytest.param({"environment": {"A": 1}}, "spec.environment.A", id="variable that is no text"),
        pytest.param({"replicas": -1}, "spec.replicas", id="negative replicas"),
        pytest.param({"limits": {"cpu": 0.5}}, "spec.limits.cpu", id="fraction"),
    ],
)
def test_mistake_is_refused_when_it_is_applied(change: dict[str, Any], field: str) -> None:
    value = function_object.function_of(spec(), "1")
    value["spec"] |= change

    assert field in refusals("functions", value)


def test_profile_definition_has_every_field_that_is_merged() -> None:
    fields = schema("profiles")["properties"]["spec"]["properties"].keys()

    assert fields == {*REPLACED, "tolerations", "strategy", "resources"}
    value = {"spec": {"affinity": {"nodeAffinity": {"x": 1}}, "resources": {"limits": {"cpu": 1, "memory": "1Gi"}}}}
    assert refusals("profiles", value) == []
