"""Deployments, ReplicaSets, EndpointSlices, garbage, HorizontalPodAutoscalers: with pods that have no process."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.kubernetes.emulator import Image
from tests.kubernetes.emulator.controllers import rollout
from tests.kubernetes.emulator.controllers.rollout import Group
from tests.kubernetes.stories import (
    DEPLOYMENTS,
    NAMESPACE,
    PODS,
    Cluster,
    Manifest,
    at,
    available,
    deployment,
    emulated,
    service,
)

HELLO = f"{DEPLOYMENTS}/hello"


def condition(thing: Manifest, kind: str) -> tuple[str, str]:
    found = next((one for one in thing["status"].get("conditions", ()) if one["type"] == kind), None)
    return (found["status"], found.get("reason", "")) if found else ("", "")


def endpoints(slices: list[Manifest]) -> list[Manifest]:
    return [endpoint for one in slices for endpoint in one.get("endpoints", ())]


async def deployed(cluster: Cluster, body: Manifest) -> Manifest:
    assert (await cluster.post(DEPLOYMENTS, body)).status_code == 201
    return (await cluster.emulator.until("deployments", available))[0]


async def test_deployment_becomes_available_and_says_so(cluster: Cluster) -> None:
    found = await deployed(cluster, deployment(replicas=3))

    numbers = {field: found["status"].get(field) for field in ("replicas", "readyReplicas", "updatedReplicas")}
    assert numbers == {"replicas": 3, "readyReplicas": 3, "updatedReplicas": 3}
    assert condition(found, "Available") == ("True", "MinimumReplicasAvailable")
    assert condition(found, "Progressing") == ("True", "NewReplicaSetAvailable")
    pods = cluster.emulator.objects("pods")
    assert len({pod["status"]["podIP"] for pod in pods}) == 3
    assert all(pod["metadata"]["labels"]["pod-template-hash"] in pod["metadata"]["name"] for pod in pods)
    assert found["metadata"]["annotations"] == {"deployment.kubernetes.io/revision": "1"}


async def test_pods_that_never_become_ready_keep_a_deployment_unavailable() -> None:
    async with emulated(images={"hello:1": Image(process=False, ready=False)}) as cluster:
        await cluster.post(DEPLOYMENTS, deployment())
        pods = await cluster.emulator.until("pods", lambda all_: all_ and all_[0]["status"]["phase"] == "Running")
        found = cluster.emulator.objects("deployments")[0]

        assert condition(pods[0], "Ready") == ("False", "ContainersNotReady")
        assert condition(found, "Available") == ("False", "MinimumReplicasUnavailable")
        assert "readyReplicas" not in found["status"]


async def test_image_that_cannot_be_pulled_shows_in_the_pod() -> None:
    async with emulated(default_image=None, pull_retry_first_s=0.1) as cluster:
        await cluster.post(DEPLOYMENTS, deployment(image="nowhere/no:1"))

        def backing_off(pods: list[Manifest]) -> Any:
            return "ImagePullBackOff" in str(pods)

        pods = await cluster.emulator.until("pods", backing_off)
        assert pods[0]["status"]["phase"] == "Pending"
        assert "podIP" not in pods[0]["status"]


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        pytest.param("serviceAccountName", "nobody", 'serviceaccount \\"nobody\\" not found', id="service account"),
        pytest.param("priorityClassName", "high", "no PriorityClass with name high", id="priority class"),
        pytest.param("runtimeClassName", "gvisor", 'RuntimeClass \\"gvisor\\" not found', id="runtime class"),
    ],
)
async def test_pods_that_name_what_is_not_there_are_refused(
    cluster: Cluster, field: str, value: str, words: str
) -> None:
    await cluster.post(DEPLOYMENTS, at(deployment(), f"spec.template.spec.{field}", value))
    found = await cluster.emulator.until("deployments", lambda all_: condition(all_[0], "ReplicaFailure")[0])

    assert words in json.dumps(found[0]["status"])


async def test_pod_waits_for_a_node_with_its_labels(cluster: Cluster) -> None:
    await cluster.post(DEPLOYMENTS, at(deployment(), "spec.template.spec.nodeSelector", {"disk": "ssd"}))
    pods = await cluster.emulator.until("pods", lambda all_: all_ and condition(all_[0], "PodScheduled")[0])
    assert condition(pods[0], "PodScheduled") == ("False", "Unschedulable")

    await cluster.patch("/api/v1/nodes/node-1", {"metadata": {"labels": {"disk": "ssd"}}})
    await cluster.emulator.until("deployments", available)


async def test_rollout_goes_over_to_the_new_template_and_keeps_the_old_set(cluster: Cluster) -> None:
    await deployed(cluster, deployment(replicas=4))
    fewest, most = 4, 0

    def counted(pods: list[Manifest]) -> bool:
        going = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        ready = [pod for pod in going if condition(pod, "Ready")[0] == "True"]
        nonlocal fewest, most
        fewest, most = min(fewest, len(ready)), max(most, len(going))
        new = [pod for pod in ready if pod["spec"]["containers"][0]["image"] == "hello:2"]
        return len(new) == len(pods) == 4

    container = {"name": "hello", "image": "hello:2"}
    patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
    await cluster.patch(HELLO, patch, "application/strategic-merge-patch+json")
    await cluster.emulator.until("pods", counted)
    found = (await cluster.emulator.until("deployments", available))[0]

    assert (fewest, most) == (3, 5)
    assert found["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"
    assert sorted(one["spec"]["replicas"] for one in cluster.emulator.objects("replicasets")) == [0, 4]


async def test_scaling_down_takes_the_cheapest_pods(cluster: Cluster) -> None:
    await deployed(cluster, deployment(replicas=3))
    names = sorted(pod["metadata"]["name"] for pod in cluster.emulator.objects("pods"))
    for name, cost in zip(names, ("5", "-1", "7"), strict=True):
        annotation = {"controller.kubernetes.io/pod-deletion-cost": cost}
        await cluster.patch(f"{PODS}/{name}", {"metadata": {"annotations": annotation}})
    await cluster.patch(f"{HELLO}/scale", {"spec": {"replicas": 1}})
    left = await cluster.emulator.until("pods", lambda pods: len(pods) == 1)

    assert left[0]["metadata"]["name"] == names[2]


async def test_pod_counts_as_available_only_after_a_while(cluster: Cluster) -> None:
    body = at(deployment(), "spec.minReadySeconds", 1)
    await cluster.post(DEPLOYMENTS, body)
    early = await cluster.emulator.until("deployments", lambda all_: all_[0]["status"].get("readyReplicas"))
    late = await cluster.emulator.until("deployments", available)

    assert "availableReplicas" not in early[0]["status"]
    assert late[0]["status"]["availableReplicas"] == 1


async def test_endpoints_tell_ready_serving_and_terminating() -> None:
    async with emulated(default_image=Image(process=False, stop_s=0.2)) as cluster:
        await cluster.post(f"/api/v1/namespaces/{NAMESPACE}/services", service())
        await deployed(cluster, deployment())
        ready = await cluster.emulator.until("endpointslices", lambda all_: "'ready': True" in str(all_))
        pod = cluster.emulator.objects("pods")[0]
        await cluster.patch(f"{HELLO}/scale", {"spec": {"replicas": 0}})
        ending = await cluster.emulator.until("endpointslices", lambda all_: "'terminating': True" in str(all_))
        empty = await cluster.emulator.until("endpointslices", lambda all_: not endpoints(all_))

        assert ready[0]["metadata"]["labels"]["kubernetes.io/service-name"] == "hello"
        assert ready[0]["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
        assert endpoints(ready)[0]["addresses"] == [pod["status"]["podIP"]]
        assert endpoints(ready)[0]["targetRef"]["name"] == pod["metadata"]["name"]
        assert endpoints(ending)[0]["conditions"] == {"ready": False, "serving": True, "terminating": True}
        assert "endpoints" not in empty[0]


async def test_background_deletion_takes_dependents_along(cluster: Cluster) -> None:
    await deployed(cluster, deployment(replicas=2))
    answer = await cluster.delete(HELLO)
    await cluster.emulator.until("pods", lambda pods: not pods)

    assert answer.json()["status"] == "Success"
    assert cluster.emulator.objects("replicasets") == []


async def test_foreground_deletion_waits_for_dependents() -> None:
    async with emulated(default_image=Image(process=False, stop_s=0.2)) as cluster:
        await deployed(cluster, deployment())
        marked = (await cluster.delete(HELLO, {"propagationPolicy": "Foreground"})).json()
        still = (await cluster.get(HELLO)).status_code
        await cluster.emulator.until("deployments", lambda all_: not all_)

        assert marked["metadata"]["finalizers"] == ["foregroundDeletion"]
        assert still == 200
        assert cluster.emulator.objects("pods") == cluster.emulator.objects("replicasets") == []


async def test_orphans_stay_and_are_taken_in_by_nobody(cluster: Cluster) -> None:
    await deployed(cluster, deployment())
    await cluster.delete(HELLO, propagationPolicy="Orphan")
    await cluster.emulator.until("deployments", lambda all_: not all_)

    assert "ownerReferences" not in cluster.emulator.objects("replicasets")[0]["metadata"]
    assert len(cluster.emulator.objects("pods")) == 1


async def test_object_whose_owner_does_not_exist_is_collected(cluster: Cluster) -> None:
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "hello", "uid": "no-such-uid"}
    await cluster.post(DEPLOYMENTS, at(deployment("other"), "metadata.ownerReferences", [owner]))
    await cluster.emulator.until("deployments", lambda all_: not all_)


@pytest.mark.parametrize(
    ("new", "old", "replicas", "expected"),
    [
        pytest.param(Group(0, 0), Group(4, 4), 4, (1, 3), id="first step"),
        pytest.param(Group(2, 0), Group(3, 3), 4, (2, 3), id="new ones are not there yet"),
        pytest.param(Group(2, 2), Group(3, 3), 4, (2, 1), id="new ones are there"),
        pytest.param(Group(4, 4), Group(0, 0), 4, (4, 0), id="done"),
        pytest.param(Group(1, 0), Group(4, 0), 4, (1, 3), id="none is available"),
    ],
)
def test_rolling_update_keeps_its_bounds(new: Group, old: Group, replicas: int, expected: tuple[int, int]) -> None:
    surge, unavailable = rollout.limits("25%", "25%", replicas)

    assert (
        rollout.new_size(replicas, surge, new, [old]),
        rollout.old_sizes(replicas, unavailable, new, [old])[0],
    ) == expected


def autoscaled(**spec: Any) -> Manifest:
    target = {"type": "Utilization", "averageUtilization": 50}
    base: Manifest = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "hello"},
        "minReplicas": 1,
        "maxReplicas": 6,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
    }
    meta = {"name": "hello", "namespace": NAMESPACE}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": meta, "spec": base | spec}


def with_requests() -> Manifest:
    return deployment(resources={"requests": {"cpu": "100m"}})


async def test_autoscaler_follows_the_load_within_its_bounds() -> None:
    async with emulated(hpa_period_s=0.1) as cluster:
        images = cluster.emulator.images
        images["hello:1"] = Image(process=False, cpu_millis=100)
        await deployed(cluster, with_requests())
        cluster.emulator.create(autoscaled())
        await cluster.emulator.until("deployments", lambda all_: all_[0]["spec"]["replicas"] == 6)
        images["hello:1"] = Image(process=False, cpu_millis=1)
        await cluster.emulator.until("deployments", lambda all_: all_[0]["spec"]["replicas"] == 1)

        events = [one["reason"] for one in cluster.emulator.objects("events")]
        assert "SuccessfulRescale" in events


async def test_autoscaler_pauses_at_zero_and_goes_on_when_woken() -> None:
    async with emulated(hpa_period_s=0.1) as cluster:
        cluster.emulator.images["hello:1"] = Image(process=False, cpu_millis=80)
        cluster.emulator.create(at(with_requests(), "spec.replicas", 0))
        cluster.emulator.create(autoscaled())
        scalers = await cluster.emulator.until(
            "horizontalpodautoscalers", lambda all_: all_[0]["status"].get("conditions")
        )
        assert condition(scalers[0], "ScalingActive") == ("False", "ScalingDisabled")
        assert cluster.emulator.objects("deployments")[0]["spec"]["replicas"] == 0

        await cluster.patch(f"{HELLO}/scale", {"spec": {"replicas": 1}})
        await cluster.emulator.until("deployments", lambda all_: all_[0]["spec"]["replicas"] > 1)


async def test_autoscaler_without_requests_says_that_it_has_no_metric() -> None:
    async with emulated(hpa_period_s=0.1) as cluster:
        await deployed(cluster, deployment())
        cluster.emulator.create(autoscaled())
        scalers = await cluster.emulator.until(
            "horizontalpodautoscalers", lambda all_: all_[0]["status"].get("conditions")
        )

        assert condition(scalers[0], "ScalingActive") == ("False", "FailedGetResourceMetric")
