"""Objects of the emulator: created, read, replaced and deleted as the real server does it."""

from __future__ import annotations

import re

import pytest

from tests.kubernetes.stories import DEPLOYMENTS, LEASES, SECRETS, Cluster, at, deployment, secret


async def test_new_object_has_what_the_server_fills_in(cluster: Cluster) -> None:
    created = (await cluster.post(DEPLOYMENTS, deployment())).json()

    assert created["metadata"]["generation"] == 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", created["metadata"]["creationTimestamp"])
    assert created["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": "25%", "maxUnavailable": "25%"}
    container = created["spec"]["template"]["spec"]["containers"][0]
    assert (container["imagePullPolicy"], container["ports"][0]["protocol"]) == ("IfNotPresent", "TCP")
    assert (created["kind"], created["status"]) == ("Deployment", {})


async def test_quantities_are_written_in_one_way_and_requests_follow_limits_in_pods_only(cluster: Cluster) -> None:
    limits = {"memory": "1024Mi", "cpu": "0.5", "ephemeral-storage": "1536Mi"}
    created = (await cluster.post(DEPLOYMENTS, deployment(resources={"limits": limits}))).json()
    (pod,) = await cluster.emulator.until("pods", lambda found: len(found) == 1)

    written = {"memory": "1Gi", "cpu": "500m", "ephemeral-storage": "1536Mi"}
    assert created["spec"]["template"]["spec"]["containers"][0]["resources"] == {"limits": written}
    assert pod["spec"]["containers"][0]["resources"] == {"limits": written, "requests": written}


async def test_empty_values_vanish_as_in_the_servers_own_types(cluster: Cluster) -> None:
    env = [{"name": "EMPTY", "value": ""}]
    body = at(deployment(env=env, command=[]), "metadata.labels", {})
    created = (await cluster.post(DEPLOYMENTS, body)).json()

    container = created["spec"]["template"]["spec"]["containers"][0]
    assert container["env"] == [{"name": "EMPTY"}]
    assert "command" not in container
    assert "labels" not in created["metadata"]


async def test_name_in_use_is_refused(cluster: Cluster) -> None:
    await cluster.post(SECRETS, secret())
    answer = await cluster.post(SECRETS, secret())

    assert answer.status_code == 409
    status = answer.json()
    assert (status["kind"], status["reason"]) == ("Status", "AlreadyExists")
    assert status["message"] == 'secrets "token" already exists'
    assert status["details"] == {"name": "token", "kind": "secrets"}


async def test_generated_names_differ(cluster: Cluster) -> None:
    body = secret()
    body["metadata"] = {"generateName": "token-"}
    names = [(await cluster.post(SECRETS, body)).json()["metadata"]["name"] for _ in range(2)]

    assert all(re.fullmatch(r"token-[a-z0-9]{5}", name) for name in names)
    assert names[0] != names[1]


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        pytest.param(("metadata.namespace", "default"), 400, "namespace of the provided object", id="namespace"),
        pytest.param(("apiVersion", "v2"), 400, "API version in the data", id="version"),
        pytest.param(("kind", "ConfigMap"), 400, "kind in the data", id="kind"),
        pytest.param(("metadata.resourceVersion", "1"), 400, "resourceVersion should not be set", id="resourceVersion"),
    ],
)
async def test_body_has_to_fit_the_path(cluster: Cluster, change: tuple[str, str], code: int, words: str) -> None:
    answer = await cluster.post(SECRETS, at(secret(), *change))

    assert answer.status_code == code
    assert words in answer.json()["message"]


async def test_write_of_an_old_version_conflicts(cluster: Cluster) -> None:
    first = (await cluster.post(SECRETS, secret())).json()
    second = await cluster.put(f"{SECRETS}/token", at(first, "data.token", "eA=="))
    stale = await cluster.put(f"{SECRETS}/token", at(first, "data.token", "eQ=="))

    assert second.status_code == 200
    assert int(second.json()["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])
    assert (stale.status_code, stale.json()["reason"]) == (409, "Conflict")
    assert "the object has been modified" in stale.json()["message"]


async def test_write_that_changes_nothing_is_none(cluster: Cluster) -> None:
    first = (await cluster.post(SECRETS, secret())).json()
    again = (await cluster.put(f"{SECRETS}/token", first)).json()

    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_lease_is_created_by_an_update_but_never_written_blindly(cluster: Cluster) -> None:
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "leader"},
        "spec": {"holderIdentity": "a", "renewTime": "2026-01-01T00:00:00.000000Z"},
    }
    created = await cluster.put(f"{LEASES}/leader", lease)
    blind = await cluster.put(f"{LEASES}/leader", at(lease, "spec.holderIdentity", "b"))

    assert created.status_code == 201
    assert (blind.status_code, blind.json()["reason"]) == (422, "Invalid")
    assert "must be specified for an update" in blind.json()["message"]


async def test_generation_counts_changes_of_the_specification_and_of_a_deployments_annotations(
    cluster: Cluster,
) -> None:
    cluster.emulator.controllers.pause()
    await cluster.post(DEPLOYMENTS, deployment())
    path = f"{DEPLOYMENTS}/hello"
    labelled = (await cluster.patch(path, {"metadata": {"labels": {"a": "b"}}})).json()
    scaled = (await cluster.patch(path, {"spec": {"replicas": 4}})).json()
    patch = {"metadata": {"annotations": {"c": "d"}}, "status": {"replicas": 4}, "spec": {"replicas": 9}}
    reported = (await cluster.patch(f"{path}/status", patch)).json()
    annotated = (await cluster.patch(path, {"metadata": {"annotations": {"a": "b"}}})).json()

    generations = [one["metadata"]["generation"] for one in (labelled, scaled, reported, annotated)]
    assert generations == [1, 2, 2, 3]
    assert (reported["status"], reported["spec"]["replicas"]) == ({"replicas": 4}, 4)


async def test_status_cannot_be_written_beside_its_subresource(cluster: Cluster) -> None:
    cluster.emulator.controllers.pause()
    await cluster.post(DEPLOYMENTS, deployment())
    answer = await cluster.patch(f"{DEPLOYMENTS}/hello", {"status": {"replicas": 7}})

    assert answer.json()["status"] == {}


async def test_dry_run_changes_nothing(cluster: Cluster) -> None:
    answer = await cluster.post(SECRETS, secret(), dryRun="All")

    assert answer.status_code == 201
    assert (await cluster.get(f"{SECRETS}/token")).status_code == 404


@pytest.mark.parametrize(
    "preconditions",
    [pytest.param({"uid": "another"}, id="uid"), pytest.param({"resourceVersion": "1"}, id="version")],
)
async def test_deletion_keeps_its_preconditions(cluster: Cluster, preconditions: dict[str, str]) -> None:
    await cluster.post(SECRETS, secret())
    refused = await cluster.delete(f"{SECRETS}/token", {"preconditions": preconditions})

    assert (refused.status_code, refused.json()["reason"]) == (409, "Conflict")
    assert (await cluster.get(f"{SECRETS}/token")).status_code == 200


async def test_finalizer_holds_an_object_until_it_is_taken_off(cluster: Cluster) -> None:
    body = at(secret(), "metadata.finalizers", ["example.com/hold"])
    await cluster.post(SECRETS, body)
    marked = (await cluster.delete(f"{SECRETS}/token")).json()
    added = await cluster.patch(f"{SECRETS}/token", {"metadata": {"finalizers": ["example.com/hold", "a.b/c"]}})
    released = await cluster.patch(f"{SECRETS}/token", {"metadata": {"finalizers": None}})

    assert "deletionTimestamp" in marked["metadata"]
    assert added.status_code == 422
    assert released.status_code == 200
    assert (await cluster.get(f"{SECRETS}/token")).status_code == 404


async def test_namespace_that_is_missing_or_ending_takes_nothing(cluster: Cluster) -> None:
    missing = await cluster.post("/api/v1/namespaces/nowhere/secrets", at(secret(), "metadata.namespace", "nowhere"))
    assert (missing.status_code, missing.json()["message"]) == (404, 'namespaces "nowhere" not found')

    await cluster.post(SECRETS, at(secret("held"), "metadata.finalizers", ["example.com/hold"]))
    await cluster.delete("/api/v1/namespaces/openfaas-fn")
    ending = await cluster.post(SECRETS, secret())
    assert ending.status_code == 403
    assert ending.json()["details"]["causes"][0]["reason"] == "NamespaceTerminating"

    await cluster.patch(f"{SECRETS}/held", {"metadata": {"finalizers": None}})
    await cluster.emulator.until(
        "namespaces", lambda all_: "openfaas-fn" not in {one["metadata"]["name"] for one in all_}
    )


async def test_paths_that_are_not_there_and_methods_that_do_not_fit(cluster: Cluster) -> None:
    assert (await cluster.get("/apis/nothing.example.com/v1/things")).status_code == 404
    assert (await cluster.get("/api/v1/endpoints")).status_code == 404
    assert (await cluster.http.post("/api/v1/secrets", json=secret())).status_code == 405
    assert (await cluster.http.put(SECRETS, json=secret())).status_code == 405
    text = await cluster.http.post(SECRETS, content=b"x", headers={"Content-Type": "text/plain"})
    assert (text.status_code, text.json()["reason"]) == (415, "UnsupportedMediaType")
    assert (await cluster.get("/readyz")).text == "ok"
    assert (await cluster.get("/version")).json()["minor"] == "36"
