"""Resources that definitions add: pruned, filled in, checked, with their subresources."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.kubernetes.stories import NAMESPACE, Cluster, Manifest, at, emulated

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WIDGETS = f"/apis/example.com/v1/namespaces/{NAMESPACE}/widgets"


def definition() -> Manifest:
    properties = {
        "image": {"type": "string", "minLength": 1},
        "replicas": {"type": "integer", "format": "int32", "minimum": 0, "default": 1},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "mode": {"type": "string", "enum": ["fast", "slow"]},
        "port": {"x-kubernetes-int-or-string": True},
        "secrets": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    }
    schema = {
        "type": "object",
        "required": ["spec"],
        "properties": {
            "spec": {"type": "object", "required": ["image"], "properties": properties},
            "status": {
                "type": "object",
                "properties": {"replicas": {"type": "integer"}, "selector": {"type": "string"}},
            },
        },
    }
    scale = {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}, "scale": scale},
    }
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget", "shortNames": ["wd"]}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]},
    }


def widget(**spec: Any) -> Manifest:
    return {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"image": "i"} | spec}


@asynccontextmanager
async def widgets(*, defaults: bool = True) -> AsyncIterator[Cluster]:
    async with emulated() as cluster:
        defined = definition()
        if not defaults:
            schema = defined["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
            del schema["properties"]["spec"]["properties"]["replicas"]["default"]
        assert (await cluster.post(DEFINITIONS, defined)).status_code == 201
        yield cluster


async def test_definition_is_served_at_once_and_gone_with_its_objects() -> None:
    async with widgets() as cluster:
        found = (await cluster.get(f"{DEFINITIONS}/widgets.example.com")).json()
        listed = (await cluster.get("/apis/example.com/v1")).json()["resources"]
        await cluster.post(WIDGETS, widget())
        await cluster.delete(f"{DEFINITIONS}/widgets.example.com")

        conditions = {one["type"]: one["status"] for one in found["status"]["conditions"]}
        assert conditions == {"NamesAccepted": "True", "Established": "True"}
        assert [one["name"] for one in listed] == ["widgets", "widgets/status", "widgets/scale"]
        assert (await cluster.get(WIDGETS)).status_code == 404


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        pytest.param("metadata.name", "widget.example.com", "must be spec.names.plural", id="name"),
        pytest.param("spec.versions.0.storage", False, "exactly one version", id="storage"),
        pytest.param("spec.versions.0.schema.openAPIV3Schema.type", "string", "must be object", id="root"),
        pytest.param(
            "spec.versions.0.schema.openAPIV3Schema.properties.spec.properties.image",
            {"description": "x"},
            "must not be empty for specified object fields",
            id="no type",
        ),
        pytest.param(
            "spec.versions.0.schema.openAPIV3Schema.properties.spec.additionalProperties",
            False,
            "cannot be set to false",
            id="closed",
        ),
        pytest.param("spec.versions.0.subresources.scale.specReplicasPath", ".replicas", "under .spec", id="scale"),
    ],
)
async def test_definition_that_is_not_structural_is_refused(
    cluster: Cluster, path: str, value: Any, words: str
) -> None:
    answer = await cluster.post(DEFINITIONS, at(definition(), path, value))

    assert answer.status_code == 422, answer.text
    assert words in answer.json()["message"]


async def test_unknown_fields_are_pruned_defaults_filled_in() -> None:
    async with widgets() as cluster:
        body = widget(unknown=1, free={"any": {"thing": 1}}, labels={"a": "b"}, port="http")
        strict = await cluster.post(WIDGETS, body)
        lax = await cluster.post(WIDGETS, body, fieldValidation="Warn")

        assert strict.status_code == 400
        assert strict.json()["message"] == 'strict decoding error: unknown field "spec.unknown"'
        assert lax.json()["spec"] == {
            "image": "i", "replicas": 1, "labels": {"a": "b"}, "port": "http", "free": {"any": {"thing": 1}},
        }  # fmt: skip
        assert 'unknown field \\"spec.unknown\\"' in lax.headers["Warning"]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        pytest.param({"image": ""}, "at least 1 chars long", id="too short"),
        pytest.param({"image": 1}, 'must be of type string: "integer"', id="type"),
        pytest.param({"replicas": -1}, "greater than or equal to 0", id="minimum"),
        pytest.param({"mode": "other"}, 'supported values: "fast", "slow"', id="enum"),
        pytest.param({"labels": {"a": 1}}, "spec.labels.a", id="value of a map"),
        pytest.param({"secrets": ["a", "a"]}, "Duplicate value", id="set"),
    ],
)
async def test_object_that_does_not_fit_is_invalid(spec: Manifest, words: str) -> None:
    async with widgets() as cluster:
        answer = await cluster.post(WIDGETS, widget(**spec))

        assert (answer.status_code, answer.json()["reason"]) == (422, "Invalid")
        assert words in answer.json()["message"]


async def test_missing_field_is_named() -> None:
    async with widgets() as cluster:
        answer = await cluster.post(WIDGETS, widget() | {"spec": {}})

        assert answer.json()["details"]["causes"][0]["field"] == "spec.image"


async def test_status_and_scale_are_apart_from_the_object() -> None:
    async with widgets() as cluster:
        created = (await cluster.post(WIDGETS, widget() | {"status": {"replicas": 9}})).json()
        path = f"{WIDGETS}/w"
        reported = (await cluster.patch(f"{path}/status", {"status": {"replicas": 2, "selector": "a=b"}})).json()
        scale = (await cluster.get(f"{path}/scale")).json()
        await cluster.patch(f"{path}/scale", {"spec": {"replicas": 3}})
        found = (await cluster.get(path)).json()

        assert "status" not in created
        assert reported["metadata"]["generation"] == 1
        assert (scale["spec"], scale["status"]) == ({"replicas": 1}, {"replicas": 2, "selector": "a=b"})
        assert (found["spec"]["replicas"], found["metadata"]["generation"]) == (3, 2)


async def test_object_that_says_no_count_has_no_scale_to_read_but_can_be_scaled() -> None:
    async with widgets(defaults=False) as cluster:
        await cluster.post(WIDGETS, widget())
        path = f"{WIDGETS}/w"
        read = await cluster.get(f"{path}/scale")
        scaled = await cluster.patch(f"{path}/scale", {"spec": {"replicas": 3}})

        assert (read.status_code, "does not exist" in read.json()["message"]) == (500, True)
        assert (scaled.status_code, scaled.json()["spec"]) == (200, {"replicas": 3})


async def test_update_needs_a_version_and_strategic_patch_is_not_known() -> None:
    async with widgets() as cluster:
        await cluster.post(WIDGETS, widget())
        blind = await cluster.put(f"{WIDGETS}/w", widget())
        strategic = await cluster.patch(f"{WIDGETS}/w", {}, "application/strategic-merge-patch+json")

        assert (blind.status_code, "must be specified for an update" in blind.text) == (422, True)
        assert strategic.status_code == 415


async def test_custom_objects_have_owners_of_fields_too() -> None:
    async with widgets() as cluster:
        first = await cluster.apply(f"{WIDGETS}/w", widget(secrets=["a"], replicas=1), "one")
        both = await cluster.apply(f"{WIDGETS}/w", widget(secrets=["b"]), "two")
        refused = await cluster.apply(f"{WIDGETS}/w", widget(replicas=2), "two")
        less = await cluster.apply(f"{WIDGETS}/w", widget(), "one")

        assert first.status_code == 201
        assert both.json()["spec"]["secrets"] == ["a", "b"]
        assert refused.status_code == 409
        assert less.json()["spec"] == {"image": "i", "secrets": ["b"], "replicas": 1}
