"""Helm's own install, upgrade and uninstall, and plain manifests, against an API server that validates strictly."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.rendering import CHART, MANIFESTS, NAMESPACES, Object
from springtide.runtime.kubernetes.api import connected
from springtide.runtime.kubernetes.resources import Resource
from springtide.runtime.kubernetes.settings import KubernetesSettings
from tests.deploy.installations import INSTALLATIONS, rendered
from tests.kubernetes.emulator import EmulatorSettings, Image, ThreadedEmulator, running_in_thread

helm_python = pytest.importorskip("helm_python", reason="helm-python-sdk: there is none for this machine")

ROOT = Path(__file__).parents[2]
SETTINGS = EmulatorSettings(namespaces=(), default_image=Image(process=False))
# The API groups of the Prometheus operator are not served here.
PUBLISHED = [name for name in INSTALLATIONS if name != "Prometheus operator"]


class Cluster:
    """An empty cluster, and Helm's client for it."""

    def __init__(self, emulator: ThreadedEmulator, kubeconfig: Path) -> None:
        self.emulator, self.kubeconfig = emulator, kubeconfig
        emulator.do(lambda inner: inner.write_kubeconfig(kubeconfig))
        # Helm keeps releases in memory: their Secrets are written as protobuf, which the emulator does not speak.
        self.helm = helm_python.Config(kubeconfig_path=kubeconfig, namespace="openfaas", storage_driver="memory")

    def install(self, values: dict[str, Any] | None = None) -> None:
        self.helm.install(CHART, "springtide", values or {}, namespace="openfaas", create_namespace=True)

    def objects(self, resource: str) -> list[Object]:
        return self.emulator.do(lambda inner: inner.objects(resource))

    def object(self, resource: str, namespace: str, name: str) -> Object | None:
        return self.emulator.do(lambda inner: inner.object(resource, namespace, name))

    def create(self, manifest: Object) -> None:
        self.emulator.do(lambda inner: inner.create(manifest))

    def warnings(self) -> list[str]:
        return self.emulator.do(lambda inner: list(inner.warnings))

    def credentials(self, name: str = "basic-auth") -> dict[str, str]:
        secret = self.object("secrets", "openfaas", name)
        assert secret is not None
        return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with running_in_thread(SETTINGS) as emulator:
        made = Cluster(emulator, tmp_path / "kubeconfig")
        with made.helm:
            yield made


def test_one_command_installs_it_all(cluster: Cluster) -> None:
    cluster.install()

    deployments = {one["metadata"]["name"] for one in cluster.objects("deployments")}
    assert deployments == {
        "gateway",
        "provider",
        "alert-receiver",
        "scaler",
        "queue-worker",
        "cron",
        "idler",
        "console",
        "prometheus",
        "alertmanager",
    }
    assert len(cluster.credentials()["basic-auth-password"]) == 32
    assert cluster.object("namespaces", "", "openfaas-fn") is not None
    assert {one["metadata"]["name"] for one in cluster.objects("customresourcedefinitions")} == {
        "functions.openfaas.com",
        "profiles.openfaas.com",
    }
    assert cluster.warnings() == []


def test_upgrade_keeps_the_password_and_the_namespace(cluster: Cluster) -> None:
    cluster.install()
    before = [cluster.credentials(name) for name in ("basic-auth", "nats-auth")]
    namespace = cluster.object("namespaces", "", "openfaas-fn")

    cluster.helm.upgrade(CHART, "springtide", {"clusterRole": True}, namespace="openfaas")

    now = cluster.object("namespaces", "", "openfaas-fn")
    assert [cluster.credentials(name) for name in ("basic-auth", "nats-auth")] == before
    assert now is not None
    assert namespace is not None
    assert now["metadata"]["uid"] == namespace["metadata"]["uid"]
    assert [one["metadata"]["name"] for one in cluster.objects("clusterroles")] == [
        "springtide-openfaas-prometheus",
        "springtide-openfaas-provider",
    ]


def test_uninstall_leaves_functions_and_credentials(cluster: Cluster) -> None:
    cluster.install()
    cluster.create(_function())
    before = cluster.credentials()

    cluster.helm.uninstall("springtide")

    assert [one["metadata"]["name"] for one in cluster.objects("deployments")] == ["echo"]
    assert cluster.objects("services") == []
    assert cluster.objects("roles") == []
    assert cluster.credentials() == before

    cluster.install()

    assert cluster.credentials() == before


def test_what_openfaas_left_is_taken_as_it_is(cluster: Cluster) -> None:
    """Its namespaces, its secret and its functions are not this release's, and Helm would refuse to touch them."""
    for name in ("openfaas", "openfaas-fn"):
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"role": name}}})
    data = {"basic-auth-user": "admin", "basic-auth-password": "of-old"}
    metadata = {"name": "basic-auth", "namespace": "openfaas"}
    cluster.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data})
    cluster.create(_function())

    cluster.install()
    cluster.helm.upgrade(CHART, "springtide", {}, namespace="openfaas")

    assert cluster.credentials() == data
    namespace = cluster.object("namespaces", "", "openfaas-fn")
    assert namespace is not None
    assert namespace["metadata"]["labels"]["role"] == "openfaas-fn"
    assert cluster.object("deployments", "openfaas-fn", "echo") is not None


@pytest.mark.parametrize("installation", PUBLISHED)
def test_manifests_apply_strictly_server_side(cluster: Cluster, installation: str) -> None:
    for name in ("openfaas", "openfaas-fn"):
        if not any(one["kind"] == "Namespace" and one["metadata"]["name"] == name for one in rendered(installation)):
            cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    asyncio.run(_apply(cluster.kubeconfig, rendered(installation)))

    assert cluster.warnings() == []
    for one in rendered(installation):
        assert cluster.object(_plural(one), one["metadata"].get("namespace", ""), one["metadata"]["name"]) is not None


@pytest.mark.parametrize("name", MANIFESTS)
def test_plain_manifests_apply_twice_from_the_file(cluster: Cluster, name: str) -> None:
    folder = ROOT / "deploy"
    files = [folder / "manifests" / NAMESPACES, *sorted((folder / "crds").glob("*.yaml")), folder / "manifests" / name]
    manifests = [one for file in files for one in yaml.safe_load_all(file.read_text())]

    asyncio.run(_apply(cluster.kubeconfig, manifests))
    before = {one["metadata"]["name"]: one["metadata"]["generation"] for one in cluster.objects("deployments")}
    asyncio.run(_apply(cluster.kubeconfig, manifests))

    assert {one["metadata"]["name"]: one["metadata"]["generation"] for one in cluster.objects("deployments")} == before


def test_the_job_makes_credentials_once_and_may_do_nothing_else(cluster: Cluster) -> None:
    manifests = rendered("springtide")
    asyncio.run(_apply(cluster.kubeconfig, manifests))
    job = next(one for one in manifests if one["kind"] == "Job")
    user = "system:serviceaccount:openfaas:credentials"

    def grant(inner: Any) -> None:
        inner.access.grant(manifests, token="job", user=user)
        inner.requests.clear()
        inner.write_kubeconfig(cluster.kubeconfig, token="job")

    cluster.emulator.do(grant)
    arguments = job["spec"]["template"]["spec"]["containers"][0]["args"]
    said = [_springtide(*arguments, kubeconfig=cluster.kubeconfig) for _ in range(2)]

    assert said == [
        "Secret openfaas/basic-auth made.\nSecret openfaas/nats-auth made.\n",
        "".join(
            f"Secret openfaas/{name} is there already, and stays as it is.\n" for name in ("basic-auth", "nats-auth")
        ),
    ]
    assert cluster.credentials("nats-auth")["nats-user"] == "springtide"
    assert len(cluster.credentials("nats-auth")["nats-password"]) >= 32
    assert cluster.credentials()["basic-auth-user"] == "admin"
    assert len(cluster.credentials()["basic-auth-password"]) >= 32
    assert [tuple(one) for one in cluster.emulator.do(lambda inner: inner.requests.used_by(user))] == [
        ("create", "", "secrets", "")
    ]


async def _apply(kubeconfig: Path, manifests: Any) -> None:
    async with connected(KubernetesSettings(kubeconfig=str(kubeconfig))) as api:
        for one in manifests:
            await api.apply(_resource(one), one, force=False)


def _resource(manifest: Object) -> Resource:
    group, _, kubernetes = manifest["apiVersion"].rpartition("/")
    return Resource(
        group, kubernetes, _plural(manifest), manifest["kind"], namespaced="namespace" in manifest["metadata"]
    )


def _plural(manifest: Object) -> str:
    kind: str = manifest["kind"].lower()
    return f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}es" if kind.endswith("ss") else f"{kind}s"


def _springtide(*arguments: str, kubeconfig: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "springtide.cli", *arguments],
        cwd=ROOT,
        env={"KUBECONFIG": str(kubeconfig)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _function() -> Object:
    """As OpenFaaS's provider makes one."""
    labels = {"faas_function": "echo"}
    container = {
        "name": "echo",
        "image": "functions/alpine:latest",
        "ports": [{"containerPort": 8080, "protocol": "TCP"}],
    }
    manifest = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "echo", "namespace": "openfaas-fn", "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }
    copied: Object = json.loads(json.dumps(manifest))
    return copied
