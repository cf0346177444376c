"""What callers wait for: a pod serves when it answers, not when a kubelet next looks."""

from __future__ import annotations

import pytest

from springtide.provider.kubernetes import KubernetesProviderSettings, ManifestSettings
from tests.kubernetes.provider_stage import ECHO, NAMESPACE, OnCluster, eventually, on_cluster, spec

SLOW_PROBE = ManifestSettings(readiness_delay_s=600.0, readiness_period_s=600.0)
"""The kubelet looks for the first time when the test is long over."""
pytestmark = pytest.mark.usefixtures("pod_network")


def ready_pods(on: OnCluster) -> list[bool]:
    return [
        any(item["type"] == "Ready" and item["status"] == "True" for item in pod["status"].get("conditions", ()))
        for pod in on.cluster.objects("pods", NAMESPACE)
    ]


async def test_pod_that_answers_serves_before_kubernetes_calls_it_ready() -> None:
    async with on_cluster(manifests=SLOW_PROBE) as on:
        await on.provider.deploy(spec(image="echo", env_process="cat"))

        function = await on.when_ready(1)

        assert ready_pods(on) == [False]
        assert (await on.provider.read(ECHO)).scale.ready == 1
        assert function.endpoints[0].host.startswith("10.244.")


async def test_pod_given_up_since_kubernetes_never_called_it_ready_takes_no_calls() -> None:
    settings = KubernetesProviderSettings(function_linger_s=0.0, ready_early_most_s=1.0)
    async with on_cluster(manifests=SLOW_PROBE, provider=settings) as on:
        await on.provider.deploy(spec(image="echo", env_process="cat"))
        await on.when_ready(1)

        await on.when_ready(0)

        assert ready_pods(on) == [False]
        assert "<ReadinessProber 0 pods>" in repr(on.provider)  # Or it would come and go for ever.


async def test_pod_of_a_function_that_is_served_waits_for_kubernetes() -> None:
    async with on_cluster() as on:
        await on.provider.deploy(spec(image="echo", env_process="cat"))
        await on.when_ready(1)
        assert await eventually(lambda: pods(on), all)

        slow = {"com.openfaas.ready.http.initialDelay": "600s"}
        await on.provider.update(spec(image="echo", env_process="cat", annotations=slow))
        old = (await on.when_ready(1)).endpoints[0].instance
        await on.cluster.until("pods", lambda found: len(running(found)) == 2, namespace=NAMESPACE)
        await on.provider.write(ECHO, 1, expect=None, decision=None)

        assert [each.instance for each in (await on.when_ready(1)).endpoints] == [old]


async def pods(on: OnCluster) -> list[bool]:
    return ready_pods(on)


def running(found: list[dict[str, dict[str, str]]]) -> list[object]:
    return [pod for pod in found if pod["status"].get("podIP")]


async def test_through_the_service_calls_go_to_its_address_once_kubernetes_calls_a_pod_ready() -> None:
    settings = KubernetesProviderSettings(function_linger_s=0.0, function_addresses="service")
    async with on_cluster(provider=settings) as on:
        await on.provider.deploy(spec(image="echo", env_process="cat", labels={"com.openfaas.scale.min": "2"}))

        function = await on.when_ready(1)

        service = on.cluster.object("services", NAMESPACE, ECHO.name)
        assert service is not None
        assert [each.host for each in function.endpoints] == [service["spec"]["clusterIP"]]
        assert any(ready_pods(on))
        await eventually(lambda: on.provider.read(ECHO), lambda function: function.scale.ready == 2)
        await on.provider.write(ECHO, 0, expect=None, decision=None)
        await on.when_ready(0)
