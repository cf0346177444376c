"""Deployments through the REST API in operator mode: they write Function objects, and the operator does the rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from springtide.provider import kubernetes
from springtide.provider.kubernetes import (
    KubernetesDeps,
    KubernetesProvider,
    KubernetesProviderSettings,
    ManifestSettings,
)
from springtide.provider.kubernetes.inventory import Inventory
from springtide.provider.kubernetes.operator import FunctionWriter, Operator
from springtide.provider.kubernetes.server_side_apply import ReferenceReader
from springtide.runtime.clock import SystemClock
from springtide.runtime.errors import BadInput, NotFound, Unavailable
from springtide.runtime.kubernetes.api import KubernetesApi
from springtide.runtime.kubernetes.resources import DEPLOYMENTS
from springtide.scaler.core.vocabulary import FunctionRef, Instant
from springtide.wire.decision_log import DecisionLog
from tests.kubernetes.emulator import Emulator
from tests.kubernetes.emulator.store import Change
from tests.provider.kubernetes.operating import DEADLINE_S, NAMESPACE, a_cluster, an_operator, function
from tests.provider.kubernetes.specs import ECHO, spec

FUNCTIONS = "functions.openfaas.com"


@dataclass(slots=True)
class Place:
    cluster: Emulator
    provider: KubernetesProvider
    operator: Operator
    api: KubernetesApi
    decisions: DecisionLog

    def function(self) -> dict[str, Any]:
        found = self.cluster.object(FUNCTIONS, NAMESPACE, "echo")
        assert found is not None
        return dict(found)

    def deployment(self) -> dict[str, Any]:
        found = self.cluster.object("deployments", NAMESPACE, "echo")
        assert found is not None
        return dict(found)


class Untouched:
    """A remover that nobody should need."""

    async def delete(self, inventory: Inventory, ref: FunctionRef) -> None:
        raise AssertionError(f"{ref} of {inventory} is not to be deleted")


@asynccontextmanager
async def a_place() -> AsyncIterator[Place]:
    async with a_cluster() as (cluster, api):
        decisions = DecisionLog()
        deps = KubernetesDeps(api=api, clock=SystemClock(), manifests=ManifestSettings(), recorder=decisions)
        provider = kubernetes.build(KubernetesProviderSettings(operator=True, ready_ask_most_s=0.0), deps)
        operator = an_operator(api)
        await operator.start()
        await provider.start()
        try:
            yield Place(cluster, provider, operator, api, decisions)
        finally:
            await provider.stop()
            await operator.stop()


@pytest.fixture
@asynccontextmanager
async def place() -> AsyncIterator[Place]:
    async with a_place() as made:
        yield made


def uid_of_pods(deployment: dict[str, Any]) -> str:
    return str(deployment["spec"]["template"]["metadata"]["labels"]["uid"])


async def test_deployment_is_a_function_object_and_seen_at_once(place: Place) -> None:
    asked = spec(labels={"com.openfaas.scale.min": "3"}, limits={"memory": "1024Mi"}, env_vars={"A": "b"})

    await place.provider.deploy(asked)

    status = await place.provider.status(ECHO)
    assert status.spec == asked
    assert status.function.scale.desired == 3
    assert place.function()["spec"] == {
        "name": "echo",
        "image": "ghcr.io/example/echo:1",
        "environment": {"A": "b"},
        "labels": {"com.openfaas.scale.min": "3"},
        "limits": {"memory": "1024Mi"},
        "replicas": 3,
    }
    assert place.deployment()["metadata"]["ownerReferences"][0]["kind"] == "Function"


async def test_count_that_somebody_wrote_meanwhile_is_not_told_as_the_deployments_own(place: Place) -> None:
    writes: list[asyncio.Task[Any]] = []

    def hear(change: Change) -> None:
        if change.object["kind"] == "Deployment" and not writes:
            write = place.api.write_scale(DEPLOYMENTS, "echo", 5, namespace=NAMESPACE, version=None)
            writes.append(asyncio.create_task(write))

    place.cluster.store.listen(hear)
    place.cluster.faults.latency_s = 0.02

    await place.provider.deploy(spec())

    (told,) = place.decisions.since(Instant(0))
    assert (told.before, told.after) == (0, 1)
    assert (await writes[0]).replicas == 5


async def test_every_deployment_rolls_the_pods_even_when_nothing_changed(place: Place) -> None:
    await place.provider.deploy(spec())
    before = uid_of_pods(place.deployment())

    await place.provider.update(spec())

    assert uid_of_pods(place.deployment()) != before


async def test_update_replaces_what_a_person_put_into_the_object(place: Place) -> None:
    place.cluster.create(function(environment={"OLD": "1"}, secrets=[]))

    await place.provider.update(spec(env_vars={"NEW": "2"}))

    assert place.function()["spec"]["environment"] == {"NEW": "2"}
    assert (await place.provider.status(ECHO)).spec.env_vars == {"NEW": "2"}


async def test_function_deleted_is_gone_with_its_object(place: Place) -> None:
    await place.provider.deploy(spec())

    await place.provider.delete(ECHO)

    with pytest.raises(NotFound):
        await place.provider.read(ECHO)
    for resource in (FUNCTIONS, "deployments", "services"):
        await place.cluster.until(resource, lambda found: not found, namespace=NAMESPACE)
    with pytest.raises(NotFound):
        await place.provider.delete(ECHO)


async def test_function_deployed_anew_after_its_deletion_is_another_one(place: Place) -> None:
    await place.provider.deploy(spec(env_vars={"A": "1"}))
    former = place.function()["metadata"]["uid"]
    await place.provider.delete(ECHO)

    await place.provider.deploy(spec(env_vars={"B": "2"}))

    assert place.function()["metadata"]["uid"] != former
    assert (await place.provider.status(ECHO)).spec.env_vars == {"B": "2"}


async def test_missing_secret_is_refused_before_anything_is_written(place: Place) -> None:
    with pytest.raises(BadInput, match=r"absent.*create"):
        await place.provider.deploy(spec(secrets=("absent",)))

    assert place.cluster.objects(FUNCTIONS, NAMESPACE) == []


async def test_word_of_the_operator_is_the_answer(place: Place) -> None:
    labels = {"app": "shop"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "shop", "image": "shop"}]}}
    place.cluster.create(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "taken", "namespace": NAMESPACE},
            "spec": {"selector": {"matchLabels": labels}, "template": pod},
        }
    )

    with pytest.raises(BadInput, match="a Deployment taken that is no function"):
        await place.provider.deploy(spec(ref=replace(ECHO, name="taken")))


async def test_update_of_what_is_not_there_is_not_found(place: Place) -> None:
    with pytest.raises(NotFound):
        await place.provider.update(spec())


async def test_absent_operator_is_told() -> None:
    async with asyncio.timeout(DEADLINE_S), a_cluster() as (cluster, api):
        inventory = Inventory(api, NAMESPACE, services=False, changed=lambda _ref: None)
        inventory.start()
        await inventory.wait_synced(DEADLINE_S)
        writer = FunctionWriter(api, ReferenceReader(api, profiles_namespace=""), Untouched(), acted_on_s=0.2)
        try:
            with pytest.raises(Unavailable, match=r"no operator acted on it within 0\.2 s"):
                await writer.deploy(inventory, spec())
        finally:
            await inventory.stop()
        assert len(cluster.objects(FUNCTIONS, NAMESPACE)) == 1
