"""Pods as real processes: started, probed, called, read, restarted and ended as a kubelet does it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.kubernetes.emulator import Failure, Image
from tests.kubernetes.stories import (
    DEPLOYMENTS,
    NAMESPACE,
    PODS,
    SECRETS,
    Cluster,
    Manifest,
    at,
    available,
    deployment,
    emulated,
    handler,
    secret,
    service,
)

ECHO = """
import os
print("started", os.getpid(), flush=True)
def handle(event, context):
    path = event.path
    if path == "/env":
        return {"statusCode": 200, "body": os.environ.get(event.query["name"], "-")}
    if path == "/secret":
        with open("/var/openfaas/secrets/" + event.query["name"]) as file:
            return {"statusCode": 200, "body": file.read()}
    if path == "/die":
        os._exit(3)
    if path == "/slow":
        import time
        time.sleep(1)
    print("said", event.body.decode(), flush=True)
    return {"statusCode": 200, "body": "you said " + event.body.decode()}
"""
READY = {"httpGet": {"path": "/_/health", "port": "http"}, "periodSeconds": 1}

pytestmark = pytest.mark.usefixtures("pod_network")


@pytest.fixture
def echo(tmp_path: Path) -> Image:
    return handler(tmp_path, ECHO)


async def pod_of(cluster: Cluster, body: Manifest) -> Manifest:
    """The pod of a deployment that has become available."""
    answer = await cluster.post(DEPLOYMENTS, body)
    assert answer.status_code == 201, answer.text
    await cluster.emulator.until("deployments", available)
    return cluster.emulator.objects("pods")[0]


def url(pod: Manifest, path: str = "/") -> str:
    return f"http://{pod['status']['podIP']}:8080{path}"


async def log_of(cluster: Cluster, pod: Manifest, **query: str) -> str:
    answer = await cluster.get(f"{PODS}/{pod['metadata']['name']}/log", **query)
    assert answer.status_code == 200, answer.text
    return answer.text


async def test_pod_answers_at_its_own_address_and_its_output_is_its_log(echo: Image) -> None:
    async with emulated(images={"hello:1": echo}) as cluster:
        pod = await pod_of(cluster, deployment(readinessProbe=READY))
        answer = await cluster.http.post(url(pod), content="hi")

        assert answer.text == "you said hi"
        assert pod["status"]["podIP"].startswith("10.244.")
        whole = await log_of(cluster, pod)
        assert whole.endswith("said hi\n")
        assert await log_of(cluster, pod, tailLines="1") == "said hi\n"
        stamp, _, text = (await log_of(cluster, pod, tailLines="1", timestamps="true")).partition(" ")
        assert (text, stamp[-1], len(stamp)) == ("said hi\n", "Z", 30)
        assert await log_of(cluster, pod, sinceTime="2999-01-01T00:00:00Z") == ""
        assert (await cluster.get(f"{PODS}/{pod['metadata']['name']}/log", container="x")).status_code == 400


async def test_followed_log_goes_on_until_the_pod_ends(echo: Image) -> None:
    async with emulated(images={"hello:1": echo}) as cluster:
        pod = await pod_of(cluster, deployment(readinessProbe=READY))
        path = f"{PODS}/{pod['metadata']['name']}/log"
        async with cluster.http.stream("GET", path, params={"follow": "true"}) as response:
            lines = response.aiter_lines()
            assert (await anext(lines)).startswith("started")
            await cluster.http.post(url(pod), content="more")
            assert await anext(lines) == "said more"
            await cluster.delete(f"{DEPLOYMENTS}/hello")
            assert [line async for line in lines if "said" in line] == []


async def test_container_has_its_variables_and_secrets(echo: Image) -> None:
    async with emulated(images={"hello:1": Image(handler=echo.handler, env={"PLAIN": "image"})}) as cluster:
        await cluster.post(SECRETS, secret("api-key", key="k1"))
        env = [
            {"name": "PLAIN", "value": "a"},
            {"name": "FROM_SECRET", "valueFrom": {"secretKeyRef": {"name": "api-key", "key": "key"}}},
            {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        ]
        mounts = [{"name": "secrets", "mountPath": "/var/openfaas/secrets", "readOnly": True}]
        body = deployment(readinessProbe=READY, env=env, volumeMounts=mounts)
        projected = {"sources": [{"secret": {"name": "api-key", "items": [{"key": "key", "path": "api-key"}]}}]}
        body = at(body, "spec.template.spec.volumes", [{"name": "secrets", "projected": projected}])
        pod = await pod_of(cluster, body)

        async def said(path: str) -> str:
            return (await cluster.http.get(url(pod, path))).text

        assert await said("/env?name=PLAIN") == "a"
        assert await said("/env?name=FROM_SECRET") == "k1"
        assert await said("/env?name=POD") == pod["metadata"]["name"]
        assert await said("/secret?name=api-key") == "k1"


async def test_pod_waits_for_a_secret_that_is_missing(echo: Image) -> None:
    async with emulated(images={"hello:1": echo}) as cluster:
        volume = {"name": "s", "secret": {"secretName": "late"}}
        await cluster.post(DEPLOYMENTS, at(deployment(), "spec.template.spec.volumes", [volume]))
        await cluster.emulator.until("events", lambda all_: "FailedMount" in str(all_))
        assert "running" not in str(cluster.emulator.objects("pods")[0]["status"])

        await cluster.post(SECRETS, secret("late"))
        await cluster.emulator.until("deployments", available)


async def test_readiness_is_looked_at_once_a_period_only(echo: Image) -> None:
    async with emulated(images={"hello:1": Image(handler=echo.handler, start_s=0.3)}) as cluster:
        await cluster.post(DEPLOYMENTS, deployment(readinessProbe=READY | {"periodSeconds": 4}))
        pods = await cluster.emulator.until("pods", lambda all_: all_ and "podIP" in all_[0]["status"])
        await eventually(lambda: answers(cluster, url(pods[0], "/_/ready")))
        meanwhile = cluster.emulator.objects("deployments")[0]["status"]
        await cluster.emulator.until("deployments", available)

        # The first look came before it answered, the second one after a whole period.
        assert "readyReplicas" not in meanwhile


async def eventually(true: Callable[[], Awaitable[bool]]) -> None:
    while not await true():  # noqa: ASYNC110 - only the outside world can tell
        await asyncio.sleep(0.005)


async def answers(cluster: Cluster, address: str) -> bool:
    try:
        return (await cluster.http.get(address)).status_code == 200
    except httpx.ConnectError:
        return False


async def ended(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


async def test_start_delay_keeps_a_running_pod_from_answering(echo: Image) -> None:
    async with emulated(images={"hello:1": Image(handler=echo.handler, start_s=0.5)}) as cluster:
        await cluster.post(DEPLOYMENTS, deployment(readinessProbe=READY))
        pods = await cluster.emulator.until("pods", lambda all_: all_ and all_[0]["status"].get("phase") == "Running")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(pods[0]["status"]["podIP"], 8080)
        await cluster.emulator.until("deployments", available)


async def test_container_that_dies_is_restarted_with_the_log_of_its_last_run(echo: Image) -> None:
    async with emulated(images={"hello:1": echo}) as cluster:
        pod = await pod_of(cluster, deployment(readinessProbe=READY))
        await cluster.http.post(url(pod), content="last words")
        assert (await cluster.http.get(url(pod, "/die"))).status_code == 500

        def restarted(pods: list[Manifest]) -> bool:
            status = pods[0]["status"]["containerStatuses"][0]
            return bool(status["restartCount"] == 1 and status["ready"])

        pods = await cluster.emulator.until("pods", restarted)
        ended = pods[0]["status"]["containerStatuses"][0]["lastState"]["terminated"]
        assert (ended["exitCode"], ended["reason"]) == (3, "Error")
        assert "last words" in await log_of(cluster, pod, previous="true")
        assert "last words" not in await log_of(cluster, pod)
        assert pods[0]["status"]["podIP"] == pod["status"]["podIP"]


@pytest.mark.parametrize(
    ("failure", "reason", "code"),
    [pytest.param(Failure.CRASH, "Error", 1, id="crash"), pytest.param(Failure.OOM, "OOMKilled", 137, id="memory")],
)
async def test_container_that_keeps_failing_backs_off(failure: Failure, reason: str, code: int) -> None:
    async with emulated(images={"hello:1": Image(failure=failure)}) as cluster:
        await cluster.post(DEPLOYMENTS, deployment())
        pods = await cluster.emulator.until("pods", lambda all_: "CrashLoopBackOff" in str(all_))
        status = pods[0]["status"]["containerStatuses"][0]

        assert status["state"]["waiting"]["reason"] == "CrashLoopBackOff"
        ended = status["lastState"]["terminated"]
        assert (ended["reason"], ended["exitCode"]) == (reason, code)
        assert status["restartCount"] >= 1


async def test_container_that_is_not_alive_is_restarted(echo: Image) -> None:
    async with emulated(images={"hello:1": echo}) as cluster:
        probe = {"httpGet": {"path": "/nothing-listens", "port": 1}, "periodSeconds": 1, "failureThreshold": 1}
        await cluster.post(DEPLOYMENTS, deployment(livenessProbe=probe))

        def restarted(pods: list[Manifest]) -> Any:
            statuses = pods and pods[0]["status"].get("containerStatuses")
            return statuses and statuses[0]["restartCount"]

        await cluster.emulator.until("pods", restarted)
        assert "failed liveness probe" in str(cluster.emulator.objects("events"))


async def test_pod_that_ends_finishes_its_calls_first(echo: Image) -> None:
    async with emulated(images={"hello:1": echo}) as cluster:
        pod = await pod_of(cluster, deployment(readinessProbe=READY, lifecycle={"preStop": {"sleep": {"seconds": 1}}}))
        call = asyncio.create_task(cluster.http.post(url(pod, "/slow"), content="x"))
        await asyncio.sleep(0)
        await cluster.delete(f"{PODS}/{pod['metadata']['name']}")
        later = await cluster.http.post(url(pod), content="while it sleeps")
        name = pod["metadata"]["name"]
        await cluster.emulator.until("pods", lambda pods: name not in {one["metadata"]["name"] for one in pods})

        assert (await call).status_code == 200
        assert later.status_code == 200


async def test_pod_deleted_by_force_is_gone_at_once(echo: Image) -> None:
    async with emulated(images={"hello:1": echo}) as cluster:
        pod = await pod_of(cluster, deployment(readinessProbe=READY))
        process = int((await log_of(cluster, pod)).split()[1])
        await cluster.delete(f"{DEPLOYMENTS}/hello", propagationPolicy="Orphan")
        await cluster.delete("/apis/apps/v1/namespaces/openfaas-fn/replicasets", propagationPolicy="Orphan")
        await cluster.delete(f"{PODS}/{pod['metadata']['name']}", gracePeriodSeconds="0")

        assert cluster.emulator.object("pods", NAMESPACE, pod["metadata"]["name"]) is None
        await eventually(lambda: ended(process))


async def test_program_of_its_own_listens_where_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("content")
    command = ("sh", "-c", f"exec python3 -m http.server --directory {tmp_path} --bind $HOST $PORT")
    async with emulated(images={"hello:1": Image(command=command)}) as cluster:
        probe = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
        pod = await pod_of(cluster, deployment(readinessProbe=probe))

        assert (await cluster.http.get(url(pod, "/file.txt"))).text == "content"


async def test_watchdog_runs_the_program_of_the_environment() -> None:
    async with emulated(images={"hello:1": Image()}) as cluster:
        probe = {"exec": {"command": ["cat", "/tmp/.lock"]}, "periodSeconds": 1}
        pod = await pod_of(cluster, deployment(env=[{"name": "fprocess", "value": "wc -c"}], readinessProbe=probe))

        assert (await cluster.http.post(url(pod), content="1234")).text.strip() == "4"


async def test_service_address_reaches_a_ready_pod(echo: Image) -> None:
    async with emulated(images={"hello:1": echo}, service_addresses=True) as cluster:
        created = (await cluster.post(f"/api/v1/namespaces/{NAMESPACE}/services", service())).json()
        await pod_of(cluster, deployment(readinessProbe=READY))
        await cluster.emulator.until("endpointslices", lambda all_: "'ready': True" in str(all_))
        address = created["spec"]["clusterIP"]

        assert (await cluster.http.post(f"http://{address}:8080/", content="hi")).text == "you said hi"


async def test_nothing_is_left_behind(echo: Image) -> None:
    left: list[int] = []

    async with emulated(images={"hello:1": echo}) as cluster:
        pod = await pod_of(cluster, deployment(readinessProbe=READY))
        left.append(int((await log_of(cluster, pod)).split()[1]))

    with pytest.raises(ProcessLookupError):
        os.kill(left[0], 0)
