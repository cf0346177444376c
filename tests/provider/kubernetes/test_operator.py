"""Function objects become Deployments, and stay what they say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from springtide.provider.kubernetes.manifests.keys import FUNCTIONS
from springtide.scaler.core.ownership import Scalers
from tests.kubernetes.emulator.store import Change
from tests.provider.kubernetes.operating import (
    NAMESPACE,
    Place,
    a_cluster,
    an_operator,
    condition,
    function,
    is_applied,
    is_true,
    operating,
)

CPU: dict[str, Any] = {"labels": {"com.openfaas.scale.type": "cpu"}, "requests": {"cpu": "100m"}}


@pytest.fixture
@asynccontextmanager
async def place() -> AsyncIterator[Place]:
    async with operating() as made:
        yield made


def template(deployment: Any) -> dict[str, Any]:
    return dict(deployment["spec"]["template"])


def env(deployment: Any) -> dict[str, str]:
    (container,) = template(deployment)["spec"]["containers"]
    return {item["name"]: item.get("value", "") for item in container["env"]}


async def test_function_object_is_made_and_told_about(place: Place) -> None:
    place.cluster.create(function(environment={"A": "b"}, labels={"com.openfaas.scale.min": "2"}))

    told = await place.until("functions.openfaas.com", is_true("Healthy"))

    deployment, service = place.object("deployments"), place.object("services")
    assert deployment is not None
    assert service is not None
    for made in (deployment, service):
        (owner,) = made["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"]) == ("Function", told["metadata"]["uid"])
    assert env(deployment)["A"] == "b"
    assert deployment["spec"]["replicas"] == 2
    status = told["status"]
    assert (status["replicas"], status["availableReplicas"]) == (2, 2)
    assert status["observedGeneration"] == told["metadata"]["generation"]
    assert status["labelSelector"] == "faas_function=echo"
    assert condition(told, "Stalled")["status"] == "False"
    assert condition(told, "Ready")["status"] == "True"


@pytest.mark.parametrize(("version", "sleeps"), [("1.29", False), ("1.30", True), ("1.37", True)])
async def test_cluster_gets_only_what_it_knows(version: str, *, sleeps: bool) -> None:
    async with operating(version=version) as place:
        place.cluster.create(function(secrets=[], readOnlyRootFilesystem=True, **CPU))
        await place.until("functions.openfaas.com", is_applied())

        deployment = place.object("deployments")
        assert deployment is not None
        (container,) = template(deployment)["spec"]["containers"]
        assert ("lifecycle" in container) is sleeps
        assert place.cluster.warnings == []


async def test_deleting_the_object_deletes_all_of_it(place: Place) -> None:
    place.cluster.create(function(**CPU))
    await place.until("functions.openfaas.com", is_applied())
    assert place.object("horizontalpodautoscalers") is not None

    await place.person.delete("openfaas.com/v1/functions/echo")

    for resource in ("deployments", "services", "horizontalpodautoscalers"):
        await place.until_gone(resource)


async def test_change_of_the_object_rolls_the_pods_and_keeps_replicas(place: Place) -> None:
    place.cluster.create(function(environment={"A": "b"}))
    await place.until("functions.openfaas.com", is_applied())
    await place.person.edit("apps/v1/deployments/echo", {"spec": {"replicas": 4}}, subresource="scale")

    await place.person.edit("openfaas.com/v1/functions/echo", {"spec": {"environment": {"A": None, "C": "d"}}})

    await place.until("functions.openfaas.com", is_applied(generation=2))
    deployment = await place.until("deployments", lambda it: "C" in env(it))
    assert "A" not in env(deployment)
    assert deployment["spec"]["replicas"] == 4


@pytest.mark.parametrize(
    ("edit", "is_back"),
    [
        pytest.param(
            {"spec": {"template": {"spec": {"nodeSelector": {"zone": "b"}}}}},
            lambda it: "nodeSelector" not in template(it)["spec"],
            id="something added",
        ),
        pytest.param(
            {"spec": {"template": {"metadata": {"labels": {"uid": "mine"}}}}},
            lambda it: template(it)["metadata"]["labels"]["uid"] != "mine",
            id="something changed",
        ),
        pytest.param(
            {"metadata": {"ownerReferences": []}}, lambda it: it["metadata"].get("ownerReferences"), id="its owner"
        ),
        pytest.param(
            {"metadata": {"labels": {"faas_function": None}}},
            lambda it: "faas_function" in (it["metadata"].get("labels") or {}),
            id="its label",
        ),
    ],
)
async def test_edit_of_the_deployment_is_undone(place: Place, edit: Any, is_back: Any) -> None:
    place.cluster.create(function())
    await place.until("functions.openfaas.com", is_applied())

    edited = await place.person.edit("apps/v1/deployments/echo", edit)

    version = int(edited["metadata"]["resourceVersion"])
    await place.until("deployments", lambda it: int(it["metadata"]["resourceVersion"]) > version and is_back(it))


async def test_restart_by_kubectl_is_not_undone_by_a_repair(place: Place) -> None:
    mark = "kubectl.kubernetes.io/restartedAt"

    place.cluster.create(function())
    await place.until("functions.openfaas.com", is_applied())

    restart = {"spec": {"template": {"metadata": {"annotations": {mark: "2026-01-31T12:00:00Z"}}}}}
    await place.person.edit("apps/v1/deployments/echo", restart, manager="kubectl-rollout")
    await place.person.edit("apps/v1/deployments/echo", {"spec": {"template": {"spec": {"nodeSelector": {"a": "b"}}}}})

    repaired = await place.until("deployments", lambda it: "nodeSelector" not in template(it)["spec"])
    assert template(repaired)["metadata"]["annotations"][mark] == "2026-01-31T12:00:00Z"


@pytest.mark.parametrize("resource", ["deployments", "services", "horizontalpodautoscalers"])
async def test_what_somebody_deleted_is_made_again(place: Place, resource: str) -> None:
    group = {"deployments": "apps/v1", "services": "v1", "horizontalpodautoscalers": "autoscaling/v2"}

    place.cluster.create(function(**CPU))
    await place.until("functions.openfaas.com", is_applied())
    before = (await place.until(resource, lambda _: True))["metadata"]["uid"]

    await place.person.delete(f"{group[resource]}/{resource}/echo")

    await place.until(resource, lambda it: it["metadata"]["uid"] != before)


async def test_function_that_the_scaler_shall_own_has_no_autoscaler_any_more(place: Place) -> None:
    place.cluster.create(function(**CPU))
    await place.until("functions.openfaas.com", is_applied())
    assert place.object("horizontalpodautoscalers") is not None

    await place.person.edit("apps/v1/deployments/echo", {"spec": {"replicas": 4}}, subresource="scale")

    labels = CPU["labels"] | {"com.springtide.scale.owner": "scaler", "com.openfaas.scale.target": "500m"}
    await place.person.edit("openfaas.com/v1/functions/echo", {"spec": {"labels": labels}})

    await place.until_gone("horizontalpodautoscalers")
    handed_over = await place.until("functions.openfaas.com", lambda it: condition(it, "Healthy")["status"] == "True")
    assert handed_over["spec"]["replicas"] == 4


async def test_replicas_belong_to_whoever_scales(place: Place) -> None:
    place.cluster.create(function())
    await place.until("functions.openfaas.com", is_applied())

    await place.person.edit("apps/v1/deployments/echo", {"spec": {"replicas": 0}}, subresource="scale")
    asleep = await place.until("functions.openfaas.com", lambda it: condition(it, "Ready")["reason"] == "Asleep")
    # Something else is repaired, and the replicas stay.
    await place.person.edit("apps/v1/deployments/echo", {"spec": {"template": {"spec": {"nodeSelector": {"a": "b"}}}}})
    repaired = await place.until("deployments", lambda it: it["metadata"]["generation"] >= 4)

    assert condition(asleep, "Ready")["status"] == "True"
    assert repaired["spec"].get("replicas", 1) == 0


async def test_repair_leaves_a_count_outside_the_limits_alone_and_a_change_moves_it_inside(place: Place) -> None:
    place.cluster.create(function(labels={"com.openfaas.scale.min": "3"}))
    await place.until("functions.openfaas.com", is_applied())
    await place.person.edit("apps/v1/deployments/echo", {"spec": {"replicas": 1}}, subresource="scale")

    strange: dict[str, Any] = {"spec": {"template": {"spec": {"nodeSelector": {"a": "b"}}}}}
    await place.person.edit("apps/v1/deployments/echo", strange)
    repaired = await place.until("deployments", lambda it: it["metadata"]["generation"] >= 5)
    assert "nodeSelector" not in template(repaired)["spec"]
    assert repaired["spec"]["replicas"] == 1

    await place.person.edit("openfaas.com/v1/functions/echo", {"spec": {"environment": {"A": "b"}}})
    await place.until("deployments", lambda it: "A" in env(it) and it["spec"]["replicas"] == 3)


async def test_kubectl_scale_is_carried_over_and_the_object_follows_what_others_scale(place: Place) -> None:
    place.cluster.create(function())
    await place.until("functions.openfaas.com", lambda it: it["spec"].get("replicas") == 1)

    for wanted in (3, 3):
        await place.person.edit("apps/v1/deployments/echo", {"spec": {"replicas": 2}}, subresource="scale")
        await place.until("functions.openfaas.com", lambda it: it["spec"]["replicas"] == 2)
        await place.person.edit(
            "openfaas.com/v1/functions/echo", {"spec": {"replicas": wanted}}, subresource="scale", manager="kubectl"
        )
        await place.until("deployments", lambda it: it["spec"]["replicas"] == 3)

    told = await place.until("functions.openfaas.com", lambda it: it["status"]["availableReplicas"] == 3)
    assert told["status"]["replicas"] == 3


async def test_scale_of_the_object_is_read_and_written_as_kubectl_does_with_the_current_count(place: Place) -> None:
    place.cluster.create(function(labels={"com.openfaas.scale.min": "2"}))
    await place.until("functions.openfaas.com", is_true("Healthy"))

    there = await place.api.read_scale(FUNCTIONS, "echo", namespace=NAMESPACE)
    assert (there.replicas, there.running) == (2, 2)
    await place.api.write_scale(FUNCTIONS, "echo", 4, namespace=NAMESPACE, version=there.version)
    await place.until("deployments", lambda it: it["spec"]["replicas"] == 4)

    # Asleep is a count, too.
    await place.person.edit("apps/v1/deployments/echo", {"spec": {"replicas": 0}}, subresource="scale")
    await place.until("functions.openfaas.com", lambda it: it["spec"]["replicas"] == 0)
    assert (await place.api.read_scale(FUNCTIONS, "echo", namespace=NAMESPACE)).replicas == 0


async def test_scale_of_an_object_that_says_no_count_fails_as_on_a_real_server() -> None:
    async with asyncio.timeout(60), a_cluster() as (cluster, _):
        cluster.create(function())  # and no operator to fill it in
        target = f"{cluster.url}/apis/openfaas.com/v1/namespaces/{NAMESPACE}/functions/echo/scale"
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.get(target)
        assert answer.status_code == 500
        why = 'the spec replicas field ".spec.replicas" does not exist'
        assert answer.json()["message"] == f"Internal error occurred: {why}"


async def test_autoscaler_aimed_at_the_object_scales_the_deployment_and_goes_on_from_what_others_write() -> None:
    aimed_at_function = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "echo", "namespace": NAMESPACE},
        "spec": {
            "scaleTargetRef": {"apiVersion": "openfaas.com/v1", "kind": "Function", "name": "echo"},
            "minReplicas": 1,
            "maxReplicas": 4,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 40}},
                }
            ],
        },
    }

    async with operating(cpu_millis=80.0, hpa_period_s=0.1) as place:
        place.cluster.create(aimed_at_function)
        place.cluster.create(function(**CPU))
        # However many there are, each uses 80 of the 100 milli-cores it asked for: 2, then 4, as far as it may.
        await place.until("deployments", lambda it: it["spec"]["replicas"] == 4)
        assert len(place.cluster.objects("horizontalpodautoscalers", NAMESPACE)) == 1

        await place.person.edit("apps/v1/deployments/echo", {"spec": {"replicas": 0}}, subresource="scale")
        await place.until("functions.openfaas.com", lambda it: it["spec"]["replicas"] == 0)
        await place.until(
            "horizontalpodautoscalers", lambda it: condition(it, "ScalingActive").get("reason") == "ScalingDisabled"
        )
        await place.person.edit("apps/v1/deployments/echo", {"spec": {"replicas": 1}}, subresource="scale")
        await place.until("deployments", lambda it: it["spec"].get("replicas", 0) == 4)


async def test_bad_spec_is_told_in_the_status_and_others_go_on(place: Place) -> None:
    bad = {"com.openfaas.scale.min": "many", "com.openfaas.scale.type": "cpu"}
    place.cluster.create(function("bad", labels=bad, limits={"memory": "lots"}))
    place.cluster.create(function())

    await place.until("functions.openfaas.com", is_applied())
    stalled = await place.until("functions.openfaas.com", is_true("Stalled"), "bad")

    message = condition(stalled, "Stalled")["message"]
    assert [line.split(":")[0] for line in message.splitlines()] == [
        "com.openfaas.scale.min='many'",
        "limits.memory",
        "com.openfaas.scale.type=cpu",
    ]
    assert condition(stalled, "Ready")["status"] == "False"
    assert place.object("deployments", "bad") is None

    good: dict[str, Any] = {"spec": {"labels": None, "limits": None}}
    await place.person.edit("openfaas.com/v1/functions/bad", good)
    await place.until("functions.openfaas.com", is_applied(generation=2), "bad")


async def test_owner_and_loads_that_a_deployment_would_be_refused_for_are_told_in_the_status(place: Place) -> None:
    labels = {"com.springtide.scale.owner": "hpa", "com.openfaas.scale.type": "rps"}
    annotations = {"com.springtide.scale.also": "cpu=70%", "com.springtide.scale.query": ""}
    place.cluster.create(function(labels=labels, annotations=annotations))

    stalled = await place.until("functions.openfaas.com", is_true("Stalled"))

    assert condition(stalled, "Stalled")["reason"] == "InvalidSpec"
    assert [line.split("=")[0] for line in condition(stalled, "Stalled")["message"].splitlines()] == [
        "com.springtide.scale.owner",
        "com.springtide.scale.also",
        "com.springtide.scale.query",
        "com.springtide.scale.query",
    ]
    assert place.object("deployments") is None


async def test_owner_that_does_not_run_is_told_with_the_remedy_and_what_runs_is_left_alone() -> None:
    async with operating(scalers=Scalers(hpa=True)) as place:
        place.cluster.create(function())
        await place.until("functions.openfaas.com", is_applied())
        change = {"spec": {"labels": {"com.springtide.scale.owner": "scaler"}}}

        await place.person.edit("openfaas.com/v1/functions/echo", change)

        stalled = await place.until("functions.openfaas.com", is_true("Stalled", generation=2))
        assert condition(stalled, "Stalled")["message"] == (
            "com.springtide.scale.owner='scaler': no control loop runs here; "
            "switch it on (setting scaler), or write alerts"
        )
        running = place.object("deployments")
        assert running is not None
        assert "com.springtide.scale.owner" not in running["metadata"]["labels"]


async def test_bad_change_leaves_what_runs_alone(place: Place) -> None:
    place.cluster.create(function())
    await place.until("functions.openfaas.com", is_applied())
    before = place.object("deployments")

    await place.person.edit("openfaas.com/v1/functions/echo", {"spec": {"limits": {"memory": "lots"}}})

    await place.until("functions.openfaas.com", is_true("Stalled", generation=2))
    after = place.object("deployments")
    assert before is not None
    assert after is not None
    assert after["metadata"]["generation"] == before["metadata"]["generation"]


async def test_missing_secret_and_profile_are_named_and_waited_for(place: Place) -> None:
    place.cluster.create(function(secrets=["token"], annotations={"com.openfaas.profile": "gpu"}))
    stalled = await place.until("functions.openfaas.com", is_true("Stalled"))
    assert "token" in condition(stalled, "Stalled")["message"]

    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token", "namespace": NAMESPACE}}
    place.cluster.create(secret)
    await place.until("functions.openfaas.com", lambda it: "gpu" in condition(it, "Stalled")["message"])
    place.cluster.create(
        {
            "apiVersion": "openfaas.com/v1",
            "kind": "Profile",
            "metadata": {"name": "gpu", "namespace": "openfaas"},
            "spec": {"dnsPolicy": "Default"},
        }
    )

    told = await place.until("functions.openfaas.com", is_applied())
    deployment = place.object("deployments")
    assert deployment is not None
    assert template(deployment)["spec"]["dnsPolicy"] == "Default"
    assert told["status"]["profiles"] == ["gpu"]


async def test_deployment_that_is_no_function_is_left_alone(place: Place) -> None:
    other = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "echo", "namespace": NAMESPACE},
        "spec": {
            "selector": {"matchLabels": {"app": "shop"}},
            "template": {
                "metadata": {"labels": {"app": "shop"}},
                "spec": {"containers": [{"name": "shop", "image": "shop"}]},
            },
        },
    }

    before = place.cluster.create(other)
    place.cluster.create(function())

    stalled = await place.until("functions.openfaas.com", is_true("Stalled"))

    assert "no function" in condition(stalled, "Stalled")["message"]
    after = place.object("deployments")
    assert after is not None
    assert after["spec"] == before["spec"]


async def test_function_that_another_provider_deployed_is_taken_over_with_its_selector(place: Place) -> None:
    theirs = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "echo", "namespace": NAMESPACE, "labels": {"faas_function": "echo"}},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "echo", "controller": "echo"}},
            "template": {
                "metadata": {"labels": {"app": "echo", "controller": "echo", "faas_function": "echo"}},
                "spec": {
                    "nodeSelector": {"zone": "a"},
                    "containers": [{"name": "echo", "image": "old", "env": [{"name": "OLD", "value": "1"}]}],
                },
            },
        },
    }

    before = place.cluster.create(theirs)
    place.cluster.create(function(environment={"NEW": "2"}))

    await place.until("functions.openfaas.com", is_applied())

    after = place.object("deployments")
    service = place.object("services")
    assert after is not None
    assert service is not None
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["spec"]["selector"] == {"matchLabels": {"app": "echo", "controller": "echo"}}
    assert service["spec"]["selector"] == {"app": "echo", "controller": "echo"}
    assert (after["spec"]["replicas"], "OLD" in env(after), env(after)["NEW"]) == (3, False, "2")
    assert "nodeSelector" not in template(after)["spec"]


async def test_autoscaler_comes_and_goes_with_the_label_and_a_persons_own_is_left_alone(place: Place) -> None:
    mine = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "mine", "namespace": NAMESPACE},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "mine"},
            "minReplicas": 3,
            "maxReplicas": 4,
        },
    }

    theirs = place.cluster.create(mine)
    place.cluster.create(function("mine", **CPU))
    place.cluster.create(function(**CPU))
    await place.until("functions.openfaas.com", is_applied())
    await place.until("functions.openfaas.com", is_applied(), "mine")
    made = place.object("horizontalpodautoscalers")
    assert made is not None
    assert made["metadata"]["ownerReferences"][0]["kind"] == "Deployment"

    await place.person.edit("openfaas.com/v1/functions/echo", {"spec": {"labels": None}})

    await place.until_gone("horizontalpodautoscalers")
    kept = place.object("horizontalpodautoscalers", "mine")
    assert kept is not None
    assert (
        kept["metadata"]["resourceVersion"] == theirs["metadata"]["resourceVersion"] or kept["spec"] == theirs["spec"]
    )


async def test_autoscaler_scales_pauses_at_zero_and_goes_on_after_a_wake() -> None:
    def scaling(reason: str) -> Any:
        def true(autoscaler: Any) -> bool:
            return condition(autoscaler, "ScalingActive").get("reason") == reason

        return true

    async with operating(cpu_millis=80.0, hpa_period_s=0.1) as place:
        # However many there are, each uses 80 of the 100 milli-cores it asked for where half is aimed for: 2, then 4.
        place.cluster.create(function(**CPU))
        await place.until("deployments", lambda it: it["spec"]["replicas"] == 4)

        await place.person.edit("apps/v1/deployments/echo", {"spec": {"replicas": 0}}, subresource="scale")
        await place.until("horizontalpodautoscalers", scaling("ScalingDisabled"))
        asleep = place.object("deployments")
        assert asleep is not None
        assert asleep["spec"].get("replicas", 0) == 0

        await place.person.edit("apps/v1/deployments/echo", {"spec": {"replicas": 1}}, subresource="scale")
        await place.until("deployments", lambda it: it["spec"].get("replicas", 0) > 1)


async def test_nothing_is_written_when_nothing_changes(place: Place) -> None:
    for number in range(20):
        place.cluster.create(function(f"f{number}"))
    for number in range(20):
        await place.until("functions.openfaas.com", is_applied(), f"f{number}")
    place.cluster.requests.clear()

    # One more function, made from start to end: had the others kept the operator busy, it would show.
    place.cluster.create(function())
    await place.until("functions.openfaas.com", is_applied())

    assert place.cluster.requests.count(verb="list") == 0
    assert place.cluster.requests.count(verb="patch", resource="deployments") == 1
    assert place.cluster.requests.count(verb="patch", resource="services") == 1


async def test_refused_and_failing_writes_are_tried_again(place: Place) -> None:
    place.cluster.faults.fail_next(3, status=409, verbs=("patch",), resources=("deployments",))
    place.cluster.faults.fail_next(2, status=500, verbs=("patch",), resources=("services",))
    place.cluster.faults.fail_next(2, status=429, verbs=("patch",), resources=("functions",))

    place.cluster.create(function())

    await place.until("functions.openfaas.com", is_applied())


async def test_api_server_that_was_away_is_caught_up_with(place: Place) -> None:
    place.cluster.create(function())
    await place.until("functions.openfaas.com", is_applied())

    await place.cluster.go_away()
    place.cluster.create(function("later"))
    place.cluster.compact()
    await place.cluster.come_back()

    await place.until("functions.openfaas.com", is_applied(), "later")


async def test_operator_that_starts_later_finds_its_work_and_a_second_one_does_no_harm() -> None:
    async with asyncio.timeout(60), a_cluster() as (cluster, api):
        cluster.create(function(labels={"com.openfaas.scale.min": "3"}))
        first, second = an_operator(api), an_operator(api)
        await first.start()
        await second.start()
        try:
            await cluster.until("functions.openfaas.com", lambda found: is_applied()(found[0]), namespace=NAMESPACE)
            (deployment,) = cluster.objects("deployments", NAMESPACE)
            assert deployment["spec"]["replicas"] == 3
        finally:
            await first.stop()
            await second.stop()


async def test_missing_definitions_are_named_with_the_remedy() -> None:
    async with asyncio.timeout(60), a_cluster() as (cluster, api):
        cluster.faults.fail_share(1.0, status=500, resources=("functions",))
        operator = an_operator(api)
        with pytest.raises(Exception, match=r"did not list functions\.openfaas\.com .*deploy/crds"):
            await operator.start()
        await operator.stop()


async def test_foreign_write_between_two_of_ours_is_not_taken_for_ours(place: Place) -> None:
    edits: list[asyncio.Task[Any]] = []

    def hear(change: Change) -> None:
        """Somebody edits the Deployment as soon as it is there; the Service and the rest follow later."""
        if change.object["kind"] == "Deployment" and not edits:
            strange = {"spec": {"template": {"spec": {"nodeSelector": {"a": "b"}}}}}
            edits.append(asyncio.create_task(place.person.edit("apps/v1/deployments/echo", strange)))

    place.cluster.faults.latency_s = 0.05
    place.cluster.store.listen(hear)
    place.cluster.create(function(**CPU))

    await place.until("horizontalpodautoscalers", lambda _: True)
    await edits[0]
    await place.until("deployments", lambda it: "nodeSelector" not in template(it)["spec"])
    await place.until("functions.openfaas.com", is_applied())


async def test_field_that_somebody_adds_between_our_look_and_our_write_does_not_stay(place: Place) -> None:
    place.cluster.create(function())
    await place.until("functions.openfaas.com", is_applied())
    edits: list[asyncio.Task[Any]] = []

    def hear(change: Change) -> None:
        """The second edit comes when the first was taken over and is about to be undone."""
        owners = [entry["manager"] for entry in change.object["metadata"].get("managedFields", ())]
        taken = change.object["kind"] == "Deployment" and "kubectl-edit" not in owners
        if taken and "nodeSelector" in template(change.object)["spec"] and not edits:
            strange = {"spec": {"template": {"spec": {"priorityClassName": "system-node-critical"}}}}
            edits.append(asyncio.create_task(place.person.edit("apps/v1/deployments/echo", strange)))

    place.cluster.store.listen(hear)
    place.cluster.faults.latency_s = 0.02
    first = {"spec": {"template": {"spec": {"nodeSelector": {"a": "b"}}}}}
    await place.person.edit("apps/v1/deployments/echo", first)
    repaired = await place.until("deployments", lambda it: "nodeSelector" not in template(it)["spec"])
    await edits[0]

    assert repaired is not None
    await place.until("deployments", lambda it: "priorityClassName" not in template(it)["spec"])
