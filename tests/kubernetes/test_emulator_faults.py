"""What can be made to go wrong."""

from __future__ import annotations

import httpx
import pytest

from tests.kubernetes.emulator import EmulatorSettings, running_in_thread
from tests.kubernetes.stories import DEPLOYMENTS, SECRETS, Cluster, available, deployment, secret


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        pytest.param(409, "Conflict", id="conflict"),
        pytest.param(410, "Expired", id="gone"),
        pytest.param(429, "TooManyRequests", id="too many"),
        pytest.param(500, "InternalError", id="internal"),
        pytest.param(503, "ServiceUnavailable", id="unavailable"),
    ],
)
async def test_next_requests_fail_as_told_and_no_more(cluster: Cluster, status: int, reason: str) -> None:
    cluster.emulator.faults.fail_next(2, status=status, verbs=("create",), resources=("secrets",), retry_after_s=3)
    reads = await cluster.get(SECRETS)
    failed = [await cluster.post(SECRETS, secret()) for _ in range(2)]
    done = await cluster.post(SECRETS, secret())

    assert reads.status_code == 200
    assert [(one.status_code, one.json()["reason"]) for one in failed] == [(status, reason)] * 2
    assert done.status_code == 201
    if status in (429, 503):
        assert failed[0].headers["Retry-After"] == "3"


async def test_share_of_requests_fails_until_healed(cluster: Cluster) -> None:
    cluster.emulator.faults.fail_share(0.5, status=500)
    codes = [(await cluster.get(SECRETS)).status_code for _ in range(100)]
    cluster.emulator.faults.heal()

    assert 25 < codes.count(500) < 75
    assert codes.count(500) == cluster.emulator.faults.injected
    assert {(await cluster.get(SECRETS)).status_code for _ in range(20)} == {200}


async def test_watches_are_cut(cluster: Cluster) -> None:
    async with cluster.watch(SECRETS) as events:
        await cluster.post(SECRETS, secret())
        await anext(events)
        assert cluster.emulator.faults.cut_watches() == 1
        with pytest.raises(httpx.HTTPError):
            await anext(events)


async def test_server_that_is_away_refuses_connections_while_its_cluster_runs_on(cluster: Cluster) -> None:
    emulator, url = cluster.emulator, cluster.emulator.url
    await cluster.post(DEPLOYMENTS, deployment(replicas=3))
    await emulator.go_away()
    with pytest.raises(httpx.ConnectError):
        await cluster.get(DEPLOYMENTS)
    await emulator.until("deployments", available)
    await emulator.come_back()

    assert emulator.url == url
    assert (await cluster.get(f"{DEPLOYMENTS}/hello")).json()["status"]["availableReplicas"] == 3


async def test_pods_that_are_refused_show_in_the_deployment(cluster: Cluster) -> None:
    def failing(found: list[dict[str, object]]) -> bool:
        return "exceeded quota" in str(found and found[0]["status"])

    cluster.emulator.faults.refuse_pods = "exceeded quota: pods"
    await cluster.post(DEPLOYMENTS, deployment())
    found = await cluster.emulator.until("deployments", failing)
    conditions = {one["type"]: one for one in found[0]["status"]["conditions"]}
    assert conditions["ReplicaFailure"]["reason"] == "FailedCreate"

    cluster.emulator.faults.heal()
    found = await cluster.emulator.until("deployments", available)
    assert "ReplicaFailure" not in str(found[0]["status"])


def test_emulator_serves_blocking_code_from_its_own_thread() -> None:
    with running_in_thread(EmulatorSettings()) as cluster:
        created = httpx.post(f"{cluster.url}{SECRETS}", json=secret())
        objects = cluster.do(lambda emulator: emulator.objects("secrets", "openfaas-fn"))
        cluster.wait(lambda emulator: emulator.go_away())
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{cluster.url}{SECRETS}")

    assert created.status_code == 201
    assert [one["metadata"]["name"] for one in objects] == ["token"]
