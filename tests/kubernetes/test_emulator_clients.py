"""The real clients: the Python one, blocking and not, and kubectl."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from kubernetes import client, config, watch
from kubernetes.aio import client as aio_client
from kubernetes.aio import config as aio_config

from tests.kubernetes.emulator import EmulatorSettings, Image, running_in_thread
from tests.kubernetes.emulator.threaded import ThreadedEmulator
from tests.kubernetes.stories import NAMESPACE, Cluster, Manifest, deployment, service

NO_PROCESS = EmulatorSettings(default_image=Image(process=False))


def test_blocking_client_reads_writes_and_watches(tmp_path: Path) -> None:
    with running_in_thread(NO_PROCESS) as cluster:
        kubeconfig = cluster.do(lambda emulator: emulator.write_kubeconfig(tmp_path / "kubeconfig"))
        with config.new_client_from_config(str(kubeconfig)) as api:
            apps = client.AppsV1Api(api)
            created = apps.create_namespaced_deployment(NAMESPACE, cast(Any, deployment()), field_validation="Strict")
            with pytest.raises(client.ApiException) as refused:
                apps.create_namespaced_deployment(NAMESPACE, cast(Any, deployment()))
            events = []
            for event in watch.Watch().stream(apps.list_namespaced_deployment, NAMESPACE, timeout_seconds=20):
                events.append(event["type"])
                if event["object"].status.available_replicas:
                    break
            apps.delete_namespaced_deployment("hello", NAMESPACE)

    assert created.spec.replicas == 1
    assert refused.value.status == 409
    assert events[0] == "ADDED"


async def test_asyncio_client_reads_writes_and_applies(cluster: Cluster, tmp_path: Path) -> None:
    cluster.emulator.controllers.pause()
    await aio_config.load_kube_config(str(cluster.emulator.write_kubeconfig(tmp_path / "kubeconfig")))
    async with aio_client.ApiClient() as api:
        apps, core = aio_client.AppsV1Api(api), aio_client.CoreV1Api(api)
        applied: Any = await apps.patch_namespaced_deployment(
            "hello",
            NAMESPACE,
            deployment(),
            field_manager="springtide",
            field_validation="Strict",
            _content_type="application/apply-patch+yaml",
        )
        scale: Any = await apps.read_namespaced_deployment_scale("hello", NAMESPACE)
        scale.spec.replicas = 2
        scaled: Any = await apps.replace_namespaced_deployment_scale("hello", NAMESPACE, scale)
        pods: Any = await core.list_namespaced_pod(NAMESPACE, label_selector="faas_function=hello")

    assert applied.metadata.managed_fields[0].manager == "springtide"
    assert scaled.spec.replicas == 2
    assert pods.metadata.resource_version
    assert cluster.emulator.warnings == []


class Kubectl:
    def __init__(self, cluster: ThreadedEmulator, folder: Path) -> None:
        self._kubeconfig = cluster.do(lambda emulator: emulator.write_kubeconfig(folder / "kubeconfig"))
        self._folder = folder

    def run(self, *words: str, manifest: Sequence[Manifest] = ()) -> str:
        """Its output; what it says of an error, too."""
        base = [
            "kubectl",
            f"--kubeconfig={self._kubeconfig}",
            f"--cache-dir={self._folder}",
            f"--namespace={NAMESPACE}",
        ]
        given = "\n---\n".join(json.dumps(one) for one in manifest)
        done = subprocess.run([*base, *words], input=given, capture_output=True, text=True, timeout=60, check=False)
        return done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not here")
def test_kubectl_applies_scales_reads_and_deletes(tmp_path: Path) -> None:
    with running_in_thread(NO_PROCESS) as cluster:
        kubectl = Kubectl(cluster, tmp_path)
        manifest = [deployment(), service()]
        applied = kubectl.run("apply", "--server-side", "--validate=strict", "-f", "-", manifest=manifest)
        rolled_out = kubectl.run("rollout", "status", "deployment/hello", "--timeout=20s")
        scaled = kubectl.run("scale", "deployment/hello", "--replicas=2")
        kubectl.run("rollout", "status", "deployment/hello", "--timeout=20s")
        pods = kubectl.run("get", "pods", "-o", "name").split()
        wrong = deployment()
        wrong["spec"]["replica"] = 3
        refused = kubectl.run("apply", "--validate=strict", "-f", "-", manifest=[wrong])
        patched = kubectl.run("patch", "deployment", "hello", "-p", '{"spec":{"minReadySeconds":1}}')
        described = kubectl.run("describe", "deployment", "hello")
        deleted = kubectl.run("delete", "deployment", "hello", "--wait", "--timeout=20s")

    assert "deployment.apps/hello serverside-applied" in applied
    assert "successfully rolled out" in rolled_out
    assert "deployment.apps/hello scaled" in scaled
    assert len(pods) == 2
    assert 'unknown field "spec.replica"' in refused
    assert "deployment.apps/hello patched" in patched
    assert "2 desired | 2 updated | 2 total | 2 available" in described
    assert 'deployment.apps "hello" deleted' in deleted


async def test_many_deployments_come_up_without_processes(cluster: Cluster) -> None:
    for number in range(100):
        cluster.emulator.create(deployment(f"f{number}"))
        await asyncio.sleep(0)
    await cluster.emulator.until(
        "deployments", lambda all_: all(one["status"].get("availableReplicas") for one in all_), within_s=60
    )
