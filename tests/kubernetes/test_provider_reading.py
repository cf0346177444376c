from __future__ import annotations

from typing import Any

import pytest

from springtide.provider.kubernetes import KubernetesProviderSettings
from springtide.runtime.errors import Conflict, Unsupported
from springtide.runtime.kubernetes.resources import DEPLOYMENTS
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.processor_use import CpuRate
from tests.kubernetes.emulator import EmulatorSettings, Failure, Image
from tests.kubernetes.provider_stage import ECHO, NAMESPACE, NOTHING, OnCluster, eventually, on_cluster, spec
from tests.provider.contract.acts import marked


async def label(on: OnCluster, **labels: str) -> None:
    """A change of the Deployment that is none of its wish: the resourceVersion moves, the generation does not."""
    await on.api.merge_patch(DEPLOYMENTS, ECHO.name, {"metadata": {"labels": labels}}, namespace=NAMESPACE)


async def test_reading_asks_the_api_server_nothing() -> None:
    async with on_cluster() as on:
        await on.provider.deploy(spec())
        await on.when_ready(1)
        on.cluster.requests.clear()

        for _ in range(10):
            await on.provider.list_functions()
            await on.provider.statuses(NAMESPACE)
            await on.provider.status(ECHO)
            await on.provider.read(ECHO)
            await on.provider.namespaces()

        assert on.cluster.requests.count() == 0


async def test_nothing_is_listed_twice() -> None:
    async with on_cluster() as on:
        await on.provider.deploy(spec())
        await on.when_ready(1)
        await on.provider.write(ECHO, 3, expect=None, decision=None)
        await on.when_ready(3)

        lists = {str(access.resource) for access in on.cluster.requests.used if access.verb == "list"}
        assert lists == {"deployments", "pods", "endpointslices"}
        assert on.cluster.requests.count(verb="list") == len(lists)


async def test_wish_of_somebody_else_is_seen_and_moves_the_version() -> None:
    async with on_cluster() as on:
        await on.provider.deploy(spec())
        version = (await on.provider.read(ECHO)).scale.version

        await on.api.write_scale(DEPLOYMENTS, ECHO.name, 2, namespace=NAMESPACE, version=None)
        await on.when_ready(2)

        assert (await on.provider.read(ECHO)).scale.desired == 2
        with pytest.raises(Conflict):
            await on.provider.write(ECHO, 5, expect=version, decision=None)
        assert on.deployment()["spec"]["replicas"] == 2


async def test_version_read_before_anybody_heard_of_a_change_loses_all_the_same() -> None:
    """The compare-and-set is the API server's: a cache that lags behind cannot win it."""

    async with on_cluster() as on:
        await on.provider.deploy(spec())
        version = (await on.provider.read(ECHO)).scale.version
        on.cluster.faults.cut_watches()  # The provider hears of nothing for a moment.
        await on.api.write_scale(DEPLOYMENTS, ECHO.name, 2, namespace=NAMESPACE, version=None)

        with pytest.raises(Conflict):
            await on.provider.write(ECHO, 5, expect=version, decision=None)
        assert on.deployment()["spec"]["replicas"] == 2


async def test_change_that_is_no_wish_does_not_make_a_write_fail() -> None:
    async with on_cluster() as on:
        await on.provider.deploy(spec())
        version = (await on.provider.read(ECHO)).scale.version
        for number in range(5):
            await label(on, note=str(number))

        scale = await on.provider.write(ECHO, 2, expect=version, decision=None)

        assert on.deployment()["spec"]["replicas"] == 2
        assert scale.version == (await on.provider.read(ECHO)).scale.version


async def test_kubectl_sees_who_owns_the_replicas() -> None:
    async with on_cluster() as on:
        await on.provider.deploy(spec())
        await on.provider.write(ECHO, 2, expect=None, decision=None)

        owners = [
            (entry["manager"], entry.get("subresource"))
            for entry in on.deployment()["metadata"]["managedFields"]
            if "f:replicas" in entry.get("fieldsV1", {}).get("f:spec", {})
        ]
        assert owners == [("springtide", "scale")]


async def test_pod_that_does_not_start_is_the_functions_problem() -> None:
    async with on_cluster(images={"broken": Image(failure=Failure.PULL)}) as on:
        await on.provider.deploy(spec(image="broken"))

        told = await on.table_when(lambda function: bool(function.problem))

        assert told.problem is not None
        assert "Image" in told.problem or "Pull" in told.problem
        assert (await on.provider.status(ECHO)).problem == told.problem


async def test_quota_that_forbids_pods_is_the_functions_problem() -> None:
    async with on_cluster() as on:
        on.cluster.faults.refuse_pods = "exceeded quota"
        await on.provider.deploy(spec())

        told = await on.table_when(lambda function: bool(function.problem))

        assert "exceeded quota" in str(told.problem)


async def test_provider_of_one_namespace_says_so_when_asked_for_others() -> None:
    async with on_cluster() as on:
        with pytest.raises(Unsupported, match="ClusterRole"):
            await on.provider.put_namespace(marked("dev"), replace=False)
        assert not {access.resource for access in on.cluster.requests.used} & {"namespaces", "nodes"}


@pytest.mark.parametrize(
    ("metadata", "holds"),
    [
        pytest.param({"annotations": {"openfaas": "1"}}, True, id="annotated"),
        pytest.param({"annotations": {"openfaas": ""}}, True, id="annotated with nothing, as OpenFaaS has it"),
        pytest.param({"labels": {"openfaas": "true"}}, True, id="labelled"),
        pytest.param({"annotations": {"openfaas": "false"}}, False, id="annotated with false"),
        pytest.param({}, False, id="not marked"),
    ],
)
async def test_namespace_made_by_others_holds_functions_when_it_is(metadata: dict[str, Any], holds: bool) -> None:
    settings = KubernetesProviderSettings(cluster_role=True, function_linger_s=0.0)
    async with on_cluster(provider=settings) as on:
        for name, given in (("team", metadata), ("later", {"labels": {"openfaas": "1"}})):
            on.cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, **given}})
        # A watch tells in order, so once the later one is known the first was seen, too.
        names = await eventually(on.namespaces, lambda found: "later" in found)

        assert ("team" in names) is holds
        if holds:
            await on.provider.deploy(spec(FunctionRef("team", "echo")))
            await on.when_ready(1, FunctionRef("team", "echo"))


async def test_watchers_that_fell_too_far_behind_list_again_and_lose_nothing() -> None:
    async with on_cluster(cluster=EmulatorSettings(default_image=Image())) as on:
        await on.provider.deploy(spec())
        await on.when_ready(1)
        on.cluster.faults.cut_watches()
        on.cluster.compact()
        await on.api.write_scale(DEPLOYMENTS, ECHO.name, 3, namespace=NAMESPACE, version=None)

        await on.when_ready(3)

        assert (await on.provider.read(ECHO)).scale.desired == 3


async def test_processor_time_is_the_metrics_servers_sum_over_the_pods() -> None:
    async with on_cluster(images={NOTHING: Image(process=False, cpu_millis=150.0)}) as on:
        await on.provider.deploy(spec())
        await on.provider.write(ECHO, 2, expect=None, decision=None)
        await on.when_ready(2)

        use = (await on.provider.processor_use())[ECHO]

        assert isinstance(use, CpuRate)
        assert use.millicores == 300.0
