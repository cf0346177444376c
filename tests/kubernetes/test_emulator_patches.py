"""Patches: JSON, merge, strategic merge, and server-side apply with its owners."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.kubernetes.stories import (
    DEPLOYMENTS,
    JSON_PATCH,
    MERGE,
    SECRETS,
    STRATEGIC,
    Cluster,
    Manifest,
    at,
    deployment,
    emulated,
    secret,
)

HELLO = f"{DEPLOYMENTS}/hello"
SCALE = f"{HELLO}/scale"


def container(answer: Any) -> Manifest:
    assert answer.status_code in (200, 201), answer.text
    found: Manifest = answer.json()["spec"]["template"]["spec"]["containers"][0]
    return found


def containers(**fields: Any) -> Manifest:
    return {"spec": {"template": {"spec": {"containers": [{"name": "hello", **fields}]}}}}


def config(**spec: Any) -> Manifest:
    """What a manager applies: nothing but what it is given."""
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "hello"}, "spec": spec}


def owners(answer: Any) -> dict[str, set[str]]:
    """The fields of the specification by manager and operation."""
    return {
        f"{one['manager']}/{one['operation']}{'/' + one['subresource'] if 'subresource' in one else ''}": set(
            one["fieldsV1"].get("f:spec", {})
        )
        for one in answer.json()["metadata"]["managedFields"]
    }


@pytest.fixture
@asynccontextmanager
async def cluster() -> AsyncIterator[Cluster]:
    """Nobody but the test writes."""
    async with emulated() as made:
        made.emulator.controllers.pause()
        yield made


async def test_strategic_patch_merges_lists_by_their_key(cluster: Cluster) -> None:
    await cluster.post(DEPLOYMENTS, deployment(env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]))
    env: list[Manifest] = [
        {"name": "B", "value": "3"},
        {"name": "C", "value": "4"},
        {"name": "A", "$patch": "delete"},
    ]
    changed = container(await cluster.patch(HELLO, containers(env=env), STRATEGIC))

    assert changed["image"] == "hello:1"
    assert changed["env"] == [{"name": "B", "value": "3"}, {"name": "C", "value": "4"}]


async def test_merge_patch_replaces_lists(cluster: Cluster) -> None:
    await cluster.post(DEPLOYMENTS, deployment(env=[{"name": "A", "value": "1"}]))
    changed = container(await cluster.patch(HELLO, containers(image="hello:2"), MERGE))

    assert "env" not in changed
    assert "ports" not in changed


async def test_strategic_patch_can_replace_and_order(cluster: Cluster) -> None:
    await cluster.post(DEPLOYMENTS, deployment(env=[{"name": "A"}, {"name": "B"}]))
    fields: Manifest = {"$setElementOrder/env": [{"name": "B"}, {"name": "A"}], "env": []}
    ordered = container(await cluster.patch(HELLO, containers(**fields), STRATEGIC))
    replaced = container(await cluster.patch(HELLO, containers(env=[{"$patch": "replace"}, {"name": "Z"}]), STRATEGIC))

    assert [one["name"] for one in ordered["env"]] == ["B", "A"]
    assert replaced["env"] == [{"name": "Z"}]


async def test_json_patch_tests_and_changes(cluster: Cluster) -> None:
    await cluster.post(DEPLOYMENTS, deployment())
    good = [
        {"op": "test", "path": "/spec/replicas", "value": 1},
        {"op": "replace", "path": "/spec/replicas", "value": 3},
        {"op": "add", "path": "/metadata/annotations", "value": {"a/b": "x"}},
        {"op": "copy", "from": "/metadata/annotations/a~1b", "path": "/metadata/annotations/c"},
    ]
    changed = (await cluster.patch(HELLO, good, JSON_PATCH)).json()
    failed = await cluster.patch(HELLO, good, JSON_PATCH)
    missing = await cluster.patch(HELLO, [{"op": "remove", "path": "/spec/nothing"}], JSON_PATCH)

    assert (changed["spec"]["replicas"], changed["metadata"]["annotations"]) == (3, {"a/b": "x", "c": "x"})
    assert (failed.status_code, failed.json()["reason"]) == (422, "Invalid")
    assert "test failed" in failed.json()["message"]
    assert missing.status_code == 422


async def test_patch_with_an_old_version_conflicts(cluster: Cluster) -> None:
    await cluster.post(SECRETS, secret())
    patch = {"metadata": {"resourceVersion": "1"}, "data": {"a": "eA=="}}

    assert (await cluster.patch(f"{SECRETS}/token", patch)).status_code == 409


async def test_patch_of_nothing_is_not_found_and_an_unknown_kind_is_refused(cluster: Cluster) -> None:
    assert (await cluster.patch(f"{SECRETS}/token", {})).status_code == 404
    await cluster.post(SECRETS, secret())
    assert (await cluster.patch(f"{SECRETS}/token", {}, "application/json")).status_code == 415


async def test_apply_needs_a_manager(cluster: Cluster) -> None:
    answer = await cluster.patch(HELLO, config(replicas=1), "application/apply-patch+yaml")

    assert (answer.status_code, "fieldManager" in answer.json()["message"]) == (422, True)


async def test_applied_fields_belong_to_their_manager_and_go_when_it_lets_go(cluster: Cluster) -> None:
    full = deployment(env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}])
    created = await cluster.apply(HELLO, full, "springtide")
    less = deployment(env=[{"name": "A", "value": "1"}])
    again = await cluster.apply(HELLO, at(less, "spec.minReadySeconds", 2), "springtide")
    last = await cluster.apply(HELLO, less, "springtide")

    assert created.status_code == 201
    assert owners(created) == {"springtide/Apply": {"f:replicas", "f:selector", "f:template"}}
    assert container(again)["env"] == [{"name": "A", "value": "1"}]
    assert again.json()["spec"]["minReadySeconds"] == 2
    assert "minReadySeconds" not in last.json()["spec"]


async def test_apply_of_the_same_changes_nothing(cluster: Cluster) -> None:
    first = (await cluster.apply(HELLO, deployment(), "springtide")).json()
    again = (await cluster.apply(HELLO, deployment(), "springtide")).json()

    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_conflict_names_the_manager_and_the_field(cluster: Cluster) -> None:
    await cluster.apply(HELLO, deployment(), "springtide")
    refused = await cluster.apply(HELLO, config(replicas=5), "argo")
    same = await cluster.apply(HELLO, config(replicas=1), "argo")
    forced = await cluster.apply(HELLO, config(replicas=5), "argo", force="true")

    assert (refused.status_code, refused.json()["reason"]) == (409, "Conflict")
    assert refused.json()["details"]["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "springtide"', "field": ".spec.replicas"}
    ]
    assert same.status_code == 200
    assert owners(same)["argo/Apply"] == {"f:replicas"}
    assert forced.json()["spec"]["replicas"] == 5
    assert "f:replicas" not in owners(forced)["springtide/Apply"]


async def test_field_that_two_managers_own_stays_until_both_let_go(cluster: Cluster) -> None:
    with_label = at(deployment(), "metadata.labels", {"team": "a"})
    await cluster.apply(HELLO, with_label, "springtide")
    other = config()
    other["metadata"]["labels"] = {"team": "a"}
    await cluster.apply(HELLO, other, "argo")
    still = await cluster.apply(HELLO, deployment(), "springtide")
    gone = await cluster.apply(HELLO, config(), "argo")

    assert still.json()["metadata"]["labels"] == {"team": "a"}
    assert "labels" not in gone.json()["metadata"]


async def test_ordinary_write_takes_the_fields_it_changes(cluster: Cluster) -> None:
    await cluster.apply(HELLO, deployment(), "springtide")
    await cluster.patch(SCALE, {"spec": {"replicas": 4}}, fieldManager="hpa")
    refused = await cluster.apply(HELLO, deployment(replicas=2), "springtide")
    found = await cluster.get(HELLO)

    assert owners(found)["hpa/Update/scale"] == {"f:replicas"}
    assert "f:replicas" not in owners(found)["springtide/Apply"]
    message = refused.json()["details"]["causes"][0]["message"]
    assert message.startswith('conflict with "hpa" with subresource "scale" using apps/v1 at ')


async def test_items_without_their_owner_go_whole(cluster: Cluster) -> None:
    extra = deployment()
    extra["spec"]["template"]["spec"]["containers"].append({"name": "sidecar", "image": "s:1"})
    await cluster.apply(HELLO, extra, "springtide")
    answer = await cluster.apply(HELLO, deployment(), "springtide")

    assert [one["name"] for one in answer.json()["spec"]["template"]["spec"]["containers"]] == ["hello"]


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        pytest.param("spec.replica", 1, ".spec.replica: field not declared in schema", id="unknown field"),
        pytest.param(
            "spec.template.spec.containers",
            [{"name": "a", "image": "a"}, {"name": "a", "image": "b"}],
            'duplicate entries for key [name="a"]',
            id="item given twice",
        ),
        pytest.param(
            "spec.template.spec.containers", [{"image": "a"}], 'omits key field "name"', id="item without key"
        ),
    ],
)
async def test_configuration_that_does_not_fit_the_schema_is_refused(
    cluster: Cluster, path: str, value: Any, words: str
) -> None:
    answer = await cluster.apply(HELLO, at(deployment(), path, value), "springtide")

    assert answer.status_code == 500
    assert words in answer.json()["message"]


async def test_scale_is_compared_and_set(cluster: Cluster) -> None:
    await cluster.post(DEPLOYMENTS, deployment())
    scale = (await cluster.get(SCALE)).json()
    scale["spec"]["replicas"] = 3
    done, stale = await cluster.put(SCALE, scale), await cluster.put(SCALE, scale)
    negative = await cluster.patch(SCALE, {"spec": {"replicas": -1}})

    assert (scale["apiVersion"], scale["kind"]) == ("autoscaling/v1", "Scale")
    assert scale["status"] == {"replicas": 0, "selector": "faas_function=hello"}
    assert (done.status_code, done.json()["spec"]) == (200, {"replicas": 3})
    assert stale.status_code == 409
    assert negative.status_code == 422
    assert (await cluster.get(HELLO)).json()["metadata"]["generation"] == 2


async def test_scale_at_zero_leaves_the_number_out(cluster: Cluster) -> None:
    await cluster.post(DEPLOYMENTS, deployment(replicas=0))

    assert (await cluster.get(SCALE)).json()["spec"] == {}


async def test_applied_scale_belongs_to_its_manager(cluster: Cluster) -> None:
    await cluster.post(DEPLOYMENTS, deployment(), fieldManager="kubectl")
    wanted = {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": "hello"},
        "spec": {"replicas": 4},
    }
    refused = await cluster.apply(SCALE, wanted, "springtide")
    forced = await cluster.apply(SCALE, wanted, "springtide", force="true")

    assert (refused.status_code, forced.status_code) == (409, 200)
    assert owners(await cluster.get(HELLO))["springtide/Apply/scale"] == {"f:replicas"}
