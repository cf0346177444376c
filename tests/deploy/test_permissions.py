"""The shipped roles, enforced on the shipped parts: nothing is refused, and nothing is granted in vain."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.permissions import PARTS
from springtide.provider.kubernetes.manifests.keys import FUNCTIONS
from springtide.runtime.kubernetes.api import connected
from springtide.runtime.kubernetes.settings import KubernetesSettings
from tests.deploy.installations import INSTALLATIONS, of_kind, rendered
from tests.deploy.parts import Permission, Running, granted, refused, running, used
from tests.kubernetes.emulator import EmulatorSettings, Image, ThreadedEmulator, running_in_thread

SETTINGS = EmulatorSettings(namespaces=("openfaas", "openfaas-fn"), default_image=Image(process=False, cpu_millis=20))
PATIENCE_S = 120.0
CPU = {"com.openfaas.scale.type": "cpu", "com.openfaas.scale.min": "1", "com.openfaas.scale.max": "3"}
NOT_DONE_HERE = {Permission("get", "coordination.k8s.io", "leases"), Permission("list", "", "events")}
"""Asked only after a lost race for a lease, which test_leadership has, and about containers that were restarted, which
test_provider_problems has."""


@pytest.fixture
def emulator() -> Iterator[ThreadedEmulator]:
    with running_in_thread(SETTINGS) as started:
        for definition in of_kind("defaults", "CustomResourceDefinition"):
            started.do(lambda inner, one=definition: inner.create(one))  # type: ignore[misc]
        profile = {
            "apiVersion": "openfaas.com/v1",
            "kind": "Profile",
            "metadata": {"name": "p", "namespace": "openfaas"},
        }
        started.do(lambda inner: inner.create(profile | {"spec": {"priorityClassName": "system-node-critical"}}))
        everything = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
        role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "admin"}}
        started.do(lambda inner: inner.access.grant([role | {"rules": [everything]}], token="admin", user="admin"))
        yield started


@pytest.mark.parametrize(
    "installation",
    ["defaults", "service mesh", "springtide-operator", "springtide-all-namespaces", "operator in all namespaces"],
)
def test_the_provider_has_just_the_permissions_it_needs(
    emulator: ThreadedEmulator, installation: str, tmp_path: Path
) -> None:
    values = INSTALLATIONS[installation]

    with running(emulator, installation, "provider", tmp_path / "provider", {}) as provider:
        _work(provider, emulator)
        if values.get("clusterRole"):
            _work_on_namespaces(provider)
        if values.get("operator"):
            _scale_like_kubectl(emulator, tmp_path)
        _remove(provider)

        # A lease is renewed only after a while, and a quick machine has done all else by then.
        _until(lambda: granted(installation, "provider") - NOT_DONE_HERE <= used(emulator, "provider"), provider)
        assert refused(emulator) == 0, provider.log.read_text()
        assert used(emulator, "provider") - NOT_DONE_HERE == granted(installation, "provider") - NOT_DONE_HERE


@pytest.mark.parametrize("part", ["alert-receiver", "scaler", "cron", "idler"])
def test_copies_have_just_the_permissions_to_elect_a_leader(
    emulator: ThreadedEmulator, part: str, tmp_path: Path
) -> None:
    nobody = "http://127.0.0.1:1"
    away = {"functions_provider_url": nobody, "gateway_urls": nobody, "prometheus_url": nobody}
    away |= {"gateway_url": nobody, "nats_url": "nats://127.0.0.1:1", "nats_credentials_path": ""}

    def holder() -> str:
        lease = emulator.do(lambda inner: inner.object("leases", "openfaas", f"springtide-{part}"))
        return str((lease or {"spec": {}})["spec"].get("holderIdentity", ""))

    with contextlib.ExitStack() as stack:
        with running(emulator, "defaults", part, tmp_path / "one", away) as first:
            _until(lambda: holder() != "", first)
            leader = holder()
            second = stack.enter_context(running(emulator, "defaults", part, tmp_path / "two", away))
        _until(lambda: holder() not in ("", leader), second)

    assert refused(emulator) == 0
    assert used(emulator, part) | NOT_DONE_HERE == granted("defaults", part) | NOT_DONE_HERE


def test_less_is_refused(emulator: ThreadedEmulator, tmp_path: Path) -> None:
    """The emulator does enforce: with the permissions of one namespace, all namespaces cannot be caches."""
    told = {"cluster_role": "true", "kube_sync": "2s"}

    with (
        pytest.raises(AssertionError, match="namespaces"),
        running(emulator, "defaults", "provider", tmp_path / "provider", told),
    ):
        pass

    assert refused(emulator) > 0


@pytest.mark.parametrize("installation", INSTALLATIONS)
def test_roles_grant_no_wildcards_and_nothing_outside_their_place(installation: str) -> None:
    cluster_wide = installation in ("springtide-all-namespaces", "operator in all namespaces")

    assert bool(list(of_kind(installation, "ClusterRole"))) is cluster_wide
    for role in rendered(installation):
        if role["kind"] in ("Role", "ClusterRole"):
            for rule in role["rules"]:
                assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
                assert not {"escalate", "bind", "impersonate", "deletecollection"} & set(rule["verbs"])
                assert rule["resources"] != ["secrets"] or "watch" not in rule["verbs"]


def test_every_permission_has_its_reason() -> None:
    for part, permissions in PARTS.items():
        for permission in permissions:
            assert len(permission.reason) > 10, (part, permission)


# What the provider is asked to do.


def _work(provider: Running, emulator: ThreadedEmulator) -> None:
    """Everything the system API has, once at least."""
    _ask(provider, "POST", "/system/secrets", {"name": "token", "value": "1"})
    _ask(provider, "PUT", "/system/secrets", {"name": "token", "value": "2"})
    _ask(provider, "GET", "/system/secrets?namespace=openfaas-fn")
    function = {
        "service": "echo",
        "image": "functions/echo",
        "secrets": ["token"],
        "annotations": {"com.openfaas.profile": "p"},
        "labels": {"com.openfaas.scale.min": "2"},
    }
    _ask(provider, "POST", "/system/functions", function)
    _ask(provider, "PUT", "/system/functions", function | {"envVars": {"level": "debug"}})
    _until(lambda: _status(provider, "echo").get("availableReplicas") == 2, provider)
    for replicas in (3, 1):
        _ask(provider, "POST", "/system/scale-function/echo", {"serviceName": "echo", "replicas": replicas})
        _until(lambda wanted=replicas: len(_pods(emulator, "echo")) == wanted, provider)  # type: ignore[misc]
    _ask(provider, "GET", "/system/functions")
    _ask(provider, "GET", "/system/function/echo?usage=1")
    _ask(provider, "GET", "/system/logs?name=echo&tail=10")
    _ask(provider, "GET", "/system/info")
    on_hpa = {"service": "busy", "image": "functions/busy", "labels": CPU, "requests": {"cpu": "100m"}}
    _ask(provider, "POST", "/system/functions", on_hpa)
    _ask(provider, "PUT", "/system/functions", on_hpa | {"labels": CPU | {"com.openfaas.scale.max": "5"}})
    _ask(provider, "PUT", "/system/functions", on_hpa | {"labels": {}})
    _until(
        lambda: emulator.do(lambda inner: inner.object("horizontalpodautoscalers", "openfaas-fn", "busy")) is None,
        provider,
    )
    _until(lambda: emulator.do(lambda inner: inner.requests.count(verb="create", resource="events")) > 0, provider)


def _work_on_namespaces(provider: Running) -> None:
    marked = {"name": "team", "annotations": {"openfaas": "1"}, "labels": {"openfaas": "1"}}
    _ask(provider, "POST", "/system/namespace/", marked)
    _ask(provider, "PUT", "/system/namespace/team", marked)
    _ask(provider, "POST", "/system/functions", {"service": "echo", "image": "functions/echo", "namespace": "team"})
    _ask(provider, "DELETE", "/system/functions", {"functionName": "echo", "namespace": "team"})
    _ask(provider, "DELETE", "/system/namespace/team", {"name": "team"})


def _scale_like_kubectl(emulator: ThreadedEmulator, folder: Path) -> None:
    kubeconfig = folder / "admin"
    emulator.do(lambda inner: inner.write_kubeconfig(kubeconfig, token="admin"))

    async def scale() -> None:
        async with connected(KubernetesSettings(kubeconfig=str(kubeconfig))) as api:
            await api.write_scale(FUNCTIONS, "echo", 2, namespace="openfaas-fn", version=None)

    asyncio.run(scale())
    _until(lambda: len(_pods(emulator, "echo")) == 2)


def _remove(provider: Running) -> None:
    for name in ("echo", "busy"):
        _ask(provider, "DELETE", "/system/functions", {"functionName": name})
    _ask(provider, "DELETE", "/system/secrets", {"name": "token"})


def _ask(provider: Running, method: str, path: str, body: Any = None) -> httpx.Response:
    content = None if body is None else json.dumps(body)
    answer = provider.http.request(method, path, content=content)
    assert answer.status_code in (200, 202), (
        f"{method} {path}: {answer.status_code} {answer.text}\n{provider.log.read_text()}"
    )
    return answer


def _status(provider: Running, name: str) -> dict[str, Any]:
    found: dict[str, Any] = _ask(provider, "GET", f"/system/function/{name}").json()
    return found


def _pods(emulator: ThreadedEmulator, name: str) -> list[Any]:
    pods = emulator.do(lambda inner: inner.objects("pods", "openfaas-fn"))
    return [pod for pod in pods if pod["metadata"]["labels"].get("faas_function") == name]


def _until(holds: Callable[[], bool], part: Running | None = None) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, part.log.read_text() if part is not None else "it never came true"
        time.sleep(0.05)
