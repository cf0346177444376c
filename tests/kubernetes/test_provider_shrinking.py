"""Pods that go: which ones, in which order things happen, and that no call is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from springtide.provider.kubernetes import KubernetesProviderSettings, ManifestSettings, pod_load
from springtide.provider.kubernetes.views import DELETION_COST
from springtide.runtime.errors import Unavailable
from springtide.scaler.core.policy import MIN
from tests.kubernetes.provider_stage import ECHO, NAMESPACE, OnCluster, eventually, on_cluster, spec

pytestmark = pytest.mark.usefixtures("pod_network")


def costs(on: OnCluster) -> dict[str, str]:
    found = {
        pod["metadata"]["name"]: pod["metadata"].get("annotations", {}) for pod in on.cluster.objects("pods", NAMESPACE)
    }
    return {name: notes[DELETION_COST] for name, notes in found.items() if DELETION_COST in notes}


async def pods_there(on: OnCluster, count: int) -> list[dict[str, Any]]:
    return await on.cluster.until("pods", lambda found: len(found) == count, namespace=NAMESPACE)


@pytest.mark.parametrize("position", [0, 1, 2])
async def test_busy_pod_stays_and_its_call_is_answered(position: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pod_load, "PROBE_S", 10.0)  # on a slow machine, too, each of them tells how busy it is
    async with on_cluster(manifests=ManifestSettings(prestop_s=0)) as on:
        await on.provider.deploy(spec(image="echo", env_process="cat", labels={MIN: "3"}))
        busy = sorted((await on.when_ready(3)).endpoints, key=lambda each: each.instance)[position]
        more: asyncio.Queue[bytes] = asyncio.Queue()
        async with httpx.AsyncClient(trust_env=False, timeout=120) as client:
            # Under way until its body ends.
            call = asyncio.create_task(client.post(f"http://{busy.host}:8080/", content=until_told(more)))
            await in_flight(busy.host)

            await on.provider.write(ECHO, 1, expect=None, decision=None)

            left = await pods_there(on, 1)
            assert [pod["metadata"]["name"] for pod in left] == [busy.instance]
            await more.put(b"")
            assert (await call).text == "hello"


async def until_told(more: asyncio.Queue[bytes]) -> Any:
    yield b"hello"
    while chunk := await more.get():
        yield chunk


async def in_flight(host: str) -> None:
    """Return once the pod says that a call is under way."""
    async with httpx.AsyncClient(trust_env=False) as client:

        async def calls() -> int:
            return int((await client.get(f"http://{host}:8080/_/ready")).json()["inflight"])

        await eventually(calls, lambda count: count == 1)


async def test_gateways_hear_of_pods_that_go_before_the_count_is_lowered() -> None:
    settings = KubernetesProviderSettings(function_linger_s=1.0)
    async with on_cluster(provider=settings) as on:
        await on.provider.deploy(spec(labels={MIN: "3"}))
        await on.when_ready(3)

        writing = asyncio.create_task(on.provider.write(ECHO, 1, expect=None, decision=None))
        await on.when_ready(1)

        assert on.deployment()["spec"]["replicas"] == 3
        assert sorted(costs(on).values()) == ["-1000", "-1000"]
        await writing
        left = await pods_there(on, 1)
        assert [pod["metadata"]["name"] for pod in left] == [
            each.instance for each in (await on.when_ready(1)).endpoints
        ]


async def test_pods_stay_when_the_count_could_not_be_lowered() -> None:
    async with on_cluster() as on:
        await on.provider.deploy(spec(labels={MIN: "3"}))
        await on.when_ready(3)
        on.cluster.faults.fail_share(1.0, status=409, verbs=["update"], resources=["deployments"])

        with pytest.raises(Unavailable):
            await on.provider.write(ECHO, 1, expect=None, decision=None)

        assert len((await on.when_ready(3)).endpoints) == 3
        assert on.deployment()["spec"]["replicas"] == 3
        assert costs(on) == {}


async def test_sleeping_function_that_is_woken_at_once_serves_again() -> None:
    async with on_cluster() as on:
        await on.provider.deploy(spec())
        await on.when_ready(1)
        on.cluster.controllers.pause()
        await on.provider.write(ECHO, 0, expect=None, decision=None)
        await on.when_ready(0)

        await on.provider.write(ECHO, 1, expect=None, decision=None)

        await on.when_ready(1)  # Its old pod: nobody got to end it.
        on.cluster.controllers.resume()
        await on.when_ready(1)
