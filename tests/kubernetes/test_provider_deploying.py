"""Functions come and go, whoever made them."""

from __future__ import annotations

import base64
import copy
from typing import Any

import pytest

from springtide.provider.kubernetes.manifests.secrets import secret_of
from springtide.runtime.errors import AlreadyExists, BadInput, NotFound, Unavailable
from springtide.runtime.kubernetes.resources import DEPLOYMENTS
from springtide.scaler.core.policy import MIN
from springtide.scaler.core.vocabulary import Writer
from tests.kubernetes.emulator import Image
from tests.kubernetes.provider_stage import ECHO, NAMESPACE, NOTHING, OnCluster, eventually, on_cluster, spec

FOREIGN: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {
        "name": "echo",
        "namespace": NAMESPACE,
        "labels": {"faas_function": "echo"},
        "annotations": {"prometheus.io.scrape": "false"},
    },
    "spec": {
        "replicas": 2,
        "revisionHistoryLimit": 10,
        "selector": {"matchLabels": {"faas_function": "echo"}},
        "template": {
            "metadata": {
                "labels": {"faas_function": "echo", "uid": "123456789", "team": "a"},
                "annotations": {"prometheus.io.scrape": "false"},
            },
            "spec": {
                "containers": [
                    {
                        "name": "echo",
                        "image": NOTHING,
                        "env": [{"name": "fprocess", "value": "cat"}, {"name": "colour", "value": "blue"}],
                        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
                    }
                ]
            },
        },
    },
}
"""As OpenFaaS's own provider leaves it behind, with a Service that has no label."""
FOREIGN_SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "echo", "namespace": NAMESPACE, "annotations": {"prometheus.io.scrape": "false"}},
    "spec": {
        "type": "ClusterIP",
        "selector": {"faas_function": "echo"},
        "ports": [{"name": "http", "protocol": "TCP", "port": 8080, "targetPort": 8080}],
    },
}


async def with_foreign(on: OnCluster) -> None:
    on.cluster.create(copy.deepcopy(FOREIGN))
    on.cluster.create(copy.deepcopy(FOREIGN_SERVICE))
    await on.when_ready(2)


def container(on: OnCluster) -> dict[str, Any]:
    found: dict[str, Any] = on.deployment()["spec"]["template"]["spec"]["containers"][0]
    return found


async def test_function_that_openfaas_deployed_is_listed_scaled_and_deleted() -> None:
    async with on_cluster() as on:
        await with_foreign(on)

        status = await on.provider.status(ECHO)
        assert (status.spec.env_process, dict(status.spec.env_vars)) == ("cat", {"colour": "blue"})
        assert dict(status.function.labels) == {"faas_function": "echo", "team": "a"}
        await on.provider.write(ECHO, 3, expect=status.function.scale.version, decision=None)
        await on.when_ready(3)
        await on.provider.delete(ECHO)

        await on.cluster.until("deployments", lambda found: not found, namespace=NAMESPACE)
        await on.cluster.until("services", lambda found: not found, namespace=NAMESPACE)
        await on.cluster.until("pods", lambda found: not found, namespace=NAMESPACE)


async def test_function_that_openfaas_deployed_is_updated_and_keeps_nothing_that_is_not_wanted() -> None:
    async with on_cluster() as on:
        await with_foreign(on)

        await on.provider.update(spec(env_process="tac", env_vars={"shape": "round"}))

        status = await on.provider.status(ECHO)
        assert (status.spec.env_process, dict(status.spec.env_vars)) == ("tac", {"shape": "round"})
        assert status.function.scale.desired == 2
        names = {item["name"] for item in container(on)["env"]}
        assert "shape" in names
        assert "colour" not in names
        assert on.deployment()["spec"]["selector"] == FOREIGN["spec"]["selector"]


async def test_service_account_that_is_not_wanted_any_more_goes() -> None:
    async with on_cluster() as on:
        await on.provider.deploy(spec(annotations={"com.openfaas.serviceaccount": "robot"}))
        assert on.deployment()["spec"]["template"]["spec"]["serviceAccountName"] == "robot"

        await on.provider.update(spec())
        await on.provider.update(spec())

        pod = on.deployment()["spec"]["template"]["spec"]
        assert (pod["serviceAccountName"], pod["serviceAccount"]) == ("default", "default")


async def test_amounts_of_a_function_come_back_as_they_were_asked_for() -> None:
    async with on_cluster() as on:
        limits, requests = {"memory": "1024Mi", "cpu": "0.5"}, {"cpu": "0.1"}
        await on.provider.deploy(spec(limits=limits, requests=requests))

        found = (await on.provider.status(ECHO)).spec
        assert (found.limits, found.requests) == (limits, requests)
        assert container(on)["resources"]["requests"] == {"cpu": "100m"}

        await on.provider.update(spec(limits={"memory": "64Mi"}))
        assert container(on)["resources"] == {"limits": {"memory": "64Mi"}}


async def test_deployment_that_is_no_function_is_neither_deleted_nor_replaced() -> None:
    async with on_cluster() as on:
        strange = copy.deepcopy(FOREIGN)
        strange["metadata"]["labels"] = {"app": "echo"}
        on.cluster.create(strange)

        with pytest.raises(BadInput, match="Not a function: echo"):
            await on.provider.delete(ECHO)
        with pytest.raises(AlreadyExists):
            await on.provider.deploy(spec())
        with pytest.raises(NotFound):
            await on.provider.status(ECHO)

        assert container(on)["image"] == NOTHING


async def test_function_is_deployed_anew_while_its_predecessor_still_ends_its_calls() -> None:
    async with on_cluster(images={"stubborn": Image(process=False, stop_s=20.0)}) as on:
        await on.provider.deploy(spec(image="stubborn"))
        (former,) = (await on.when_ready(1)).endpoints

        await on.provider.delete(ECHO)
        await on.provider.deploy(spec())

        (new,) = (await on.when_ready(1)).endpoints
        assert new.instance != former.instance
        going = on.cluster.object("pods", NAMESPACE, former.instance)
        assert going is not None
        assert "deletionTimestamp" in going["metadata"]


async def test_function_half_made_is_taken_back() -> None:
    async with on_cluster() as on:
        on.cluster.faults.fail_share(1.0, status=500, verbs=["patch", "create"], resources=["services"])

        with pytest.raises(Unavailable):
            await on.provider.deploy(spec())

        on.cluster.faults.heal()
        with pytest.raises(NotFound):
            await on.provider.status(ECHO)
        await on.cluster.until("deployments", lambda found: not found, namespace=NAMESPACE)


async def test_autoscaler_comes_and_goes_with_the_function_that_wants_one() -> None:
    async with on_cluster() as on:
        scaled = {"com.openfaas.scale.type": "cpu", "com.openfaas.scale.target": "50", MIN: "2"}
        await on.provider.deploy(spec(labels=scaled, requests={"cpu": "100m"}))
        (made,) = on.cluster.objects("horizontalpodautoscalers", NAMESPACE)
        assert (made["spec"]["minReplicas"], made["spec"]["scaleTargetRef"]["name"]) == (2, "echo")

        await on.provider.update(spec())
        assert on.cluster.objects("horizontalpodautoscalers", NAMESPACE) == []

        await on.provider.update(spec(labels=scaled, requests={"cpu": "100m"}))
        assert len(on.cluster.objects("horizontalpodautoscalers", NAMESPACE)) == 1
        await on.provider.delete(ECHO)
        await on.cluster.until("horizontalpodautoscalers", lambda found: not found, namespace=NAMESPACE)


async def test_change_of_owner_takes_the_autoscaler_away_and_brings_it_back_with_the_count_kept() -> None:
    async with on_cluster() as on:
        by_hpa = {"com.openfaas.scale.type": "cpu", "com.openfaas.scale.target": "500m"}
        by_scaler = by_hpa | {"com.springtide.scale.owner": "scaler"}
        await on.provider.deploy(spec(labels=by_hpa, requests={"cpu": "100m"}))
        await on.provider.write(ECHO, 4, expect=None, decision=None)
        assert (await on.provider.read(ECHO)).owner is Writer.HPA

        # The scaler reads processor time itself: no request is needed.
        await on.provider.update(spec(labels=by_scaler))

        assert on.cluster.objects("horizontalpodautoscalers", NAMESPACE) == []
        function = await on.provider.read(ECHO)
        assert (function.owner, function.scale.desired) == (Writer.SCALER, 4)

        await on.provider.update(spec(labels=by_hpa, requests={"cpu": "100m"}))

        assert len(on.cluster.objects("horizontalpodautoscalers", NAMESPACE)) == 1
        function = await on.provider.read(ECHO)
        assert (function.owner, function.scale.desired) == (Writer.HPA, 4)


async def test_autoscaler_of_a_person_stays() -> None:
    async with on_cluster() as on:
        await on.provider.deploy(spec())
        on.cluster.create(
            {
                "apiVersion": "autoscaling/v2",
                "kind": "HorizontalPodAutoscaler",
                "metadata": {"name": "echo", "namespace": NAMESPACE},
                "spec": {
                    "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "echo"},
                    "maxReplicas": 7,
                },
            }
        )

        await on.provider.update(spec(labels={"com.openfaas.scale.type": "cpu"}, requests={"cpu": "100m"}))
        await on.provider.update(spec())

        (kept,) = on.cluster.objects("horizontalpodautoscalers", NAMESPACE)
        assert kept["spec"]["maxReplicas"] == 7


async def test_what_the_service_account_may_not_do_is_told_with_the_rule_that_is_missing() -> None:
    async with on_cluster() as on:
        everything_but_scale = [
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "Role",
                "metadata": {"name": "few", "namespace": NAMESPACE},
                "rules": [
                    {
                        "apiGroups": ["apps"],
                        "resources": ["deployments"],
                        "verbs": ["get", "list", "watch", "patch"],
                    },
                    {"apiGroups": [""], "resources": ["pods", "services"], "verbs": ["list", "watch", "patch"]},
                    {
                        "apiGroups": ["discovery.k8s.io"],
                        "resources": ["endpointslices"],
                        "verbs": ["list", "watch"],
                    },
                ],
            }
        ]
        user = "system:serviceaccount:openfaas:provider"
        on.cluster.access.grant(everything_but_scale, token="provider", user=user)
        await on.provider.deploy(spec())

        with pytest.raises(Unavailable, match=r'resources: \["deployments/scale"\], verbs: \["update"\]'):
            await on.provider.write(ECHO, 2, expect=None, decision=None)


async def test_function_scaled_by_others_between_reading_and_writing_is_updated_to_what_they_want() -> None:
    async with on_cluster() as on:
        await on.provider.deploy(spec())
        await on.api.write_scale(DEPLOYMENTS, ECHO.name, 4, namespace=NAMESPACE, version=None)

        await on.provider.update(spec(env_vars={"colour": "blue"}))

        assert (await on.provider.read(ECHO)).scale.desired == 4
        await eventually(lambda: on.provider.read(ECHO), lambda function: function.scale.ready == 4)


async def test_an_empty_value_of_a_secret_is_not_that_of_another_key() -> None:
    async with on_cluster() as on:
        data = {"another": base64.b64encode(b"theirs").decode(), "token": ""}
        on.cluster.create(secret_of(NAMESPACE, "token", b"") | {"data": data})

        assert await on.provider.read_secret(NAMESPACE, "token") == b""
