"""The verbs, against a server that speaks HTTP and can be made to fail."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from springtide.runtime.errors import AlreadyExists, BadInput, Conflict, NotFound, SpringtideError, TooMany, Unavailable
from springtide.runtime.kubernetes import requests, resources
from springtide.runtime.kubernetes.api import KubernetesApi, LogWish, Where, connected, delete_options
from springtide.runtime.kubernetes.faults import Expired, Forbidden, Rejected, error_from
from springtide.runtime.kubernetes.resources import CUSTOM_RESOURCES, DEPLOYMENTS, NAMESPACES, PODS, Resource
from springtide.runtime.kubernetes.settings import KubernetesSettings
from tests.runtime.kubernetes.api_server import ApiServer, Fault, status_body

NS = "fn"
CLOSE = {"Connection": "close"}


def deployment(name: str = "echo", replicas: int = 1) -> dict[str, object]:
    return {"metadata": {"namespace": NS, "name": name}, "spec": {"replicas": replicas}}


@contextlib.asynccontextmanager
async def cluster(folder: Path, **user: object) -> AsyncIterator[tuple[ApiServer, KubernetesApi]]:
    async with ApiServer() as server:
        settings = KubernetesSettings(kubeconfig=server.kubeconfig(folder, **user), kube_deadline_s=5)
        async with connected(settings) as api:
            yield server, api


@pytest.mark.parametrize(
    ("resource", "at", "path"),
    [
        pytest.param(PODS, {"namespace": "a", "name": "b", "subresource": "log"}, "/api/v1/namespaces/a/pods/b/log"),
        pytest.param(DEPLOYMENTS, {}, "/apis/apps/v1/deployments"),
        pytest.param(NAMESPACES, {"name": "a"}, "/api/v1/namespaces/a"),
        pytest.param(PODS, {"namespace": "a", "name": "../x"}, "/api/v1/namespaces/a/pods/..%2Fx"),
        pytest.param(CUSTOM_RESOURCES, {"name": "x.y"}, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/x.y"),
    ],
)
def test_resource_is_found_at_its_path(resource: Resource, at: dict[str, str], path: str) -> None:
    assert resource.path(**at) == path


def test_every_resource_of_the_table_is_a_different_one() -> None:
    table = [value for value in vars(resources).values() if isinstance(value, Resource)]

    assert len({str(resource) for resource in table}) == len(table) > 10


async def test_object_goes_through_its_life(tmp_path: Path) -> None:
    async with cluster(tmp_path) as (_server, api):
        created = await api.create(DEPLOYMENTS, deployment())
        with pytest.raises(AlreadyExists, match=r"create deployments\.apps fn/echo"):
            await api.create(DEPLOYMENTS, deployment())
        patched = await api.merge_patch(DEPLOYMENTS, "echo", {"spec": {"replicas": 2}}, namespace=NS)
        with pytest.raises(Conflict):
            await api.replace(DEPLOYMENTS, created)
        await api.apply(DEPLOYMENTS, deployment(replicas=3), force=True)
        read = await api.get(DEPLOYMENTS, "echo", namespace=NS)
        with pytest.raises(Conflict):
            await api.delete(DEPLOYMENTS, "echo", namespace=NS, options=delete_options(resource_version="1"))
        assert await api.delete(DEPLOYMENTS, "echo", namespace=NS) is None
        with pytest.raises(NotFound):
            await api.get(DEPLOYMENTS, "echo", namespace=NS)

        assert (patched["spec"], read["spec"]) == ({"replicas": 2}, {"replicas": 3})
        assert await api.version() == "v1.36.0"


async def test_every_write_is_strict_and_ours(tmp_path: Path) -> None:
    async with cluster(tmp_path) as (server, api):
        made = await api.create(DEPLOYMENTS, deployment())
        await api.replace(DEPLOYMENTS, made)
        await api.apply(DEPLOYMENTS, deployment(), force=False)
        await api.merge_patch(DEPLOYMENTS, "echo", {"spec": {}}, namespace=NS)
        await api.write_scale(DEPLOYMENTS, "echo", 2, namespace=NS, version=None)
        scale = await api.read_scale(DEPLOYMENTS, "echo", namespace=NS)
        await api.write_scale(DEPLOYMENTS, "echo", 3, namespace=NS, version=scale.version)

        writes = [seen for seen in server.seen if seen.method != "GET"]
        assert [seen.query["fieldValidation"] for seen in writes] == ["Strict"] * 6
        assert [seen.query["fieldManager"] for seen in writes] == ["springtide"] * 6
        assert [seen.headers["Content-Type"] for seen in writes] == [
            "application/json",
            "application/json",
            "application/apply-patch+yaml",
            "application/merge-patch+json",
            "application/merge-patch+json",
            "application/json",
        ]
        assert writes[2].query["force"] == "false"
        assert (writes[0].body["apiVersion"], writes[0].body["kind"]) == ("apps/v1", "Deployment")


async def test_scale_is_compare_and_set(tmp_path: Path) -> None:
    async with cluster(tmp_path) as (_server, api):
        await api.create(DEPLOYMENTS, deployment(replicas=3))
        before = await api.read_scale(DEPLOYMENTS, "echo", namespace=NS)
        after = await api.write_scale(DEPLOYMENTS, "echo", 0, namespace=NS, version=before.version)
        with pytest.raises(Conflict):
            await api.write_scale(DEPLOYMENTS, "echo", 9, namespace=NS, version=before.version)

        assert (before.replicas, after.replicas) == (3, 0)
        assert (await api.read_scale(DEPLOYMENTS, "echo", namespace=NS)) == after


async def test_list_goes_through_all_pages_and_says_what_its_items_are(tmp_path: Path) -> None:
    async with cluster(tmp_path) as (server, api):
        server.page_limit = 3
        for number in range(7):
            server.put("apis/apps/v1/deployments", deployment(f"f{number}"))
        server.put("apis/apps/v1/deployments", {"metadata": {"namespace": "other", "name": "x"}})

        found = await api.list(DEPLOYMENTS, Where(NS))

        assert [item["metadata"]["name"] for item in found.items] == [f"f{number}" for number in range(7)]
        assert found.items[0]["kind"] == "Deployment"
        assert found.resource_version == "108"
        assert len((await api.list(DEPLOYMENTS)).items) == 8


async def test_list_whose_pages_expire_says_so(tmp_path: Path) -> None:
    async with cluster(tmp_path) as (server, api):
        server.page_limit = 1
        for number in range(3):
            server.put("apis/apps/v1/deployments", deployment(f"f{number}"))
        pages = api.pages(DEPLOYMENTS)
        await anext(pages)
        server.compact()

        with pytest.raises(Expired):
            await anext(pages)


async def test_log_lines_come_whole_and_never_too_long(tmp_path: Path) -> None:
    async with cluster(tmp_path) as (server, api):
        server.logs["p"] = [b"1 on", b"e\n2 two\n\n", b"3 " + b"x" * 300_000, b"x\n4 four"]

        async with api.logs("p", namespace=NS, wish=LogWish(tail=5)) as lines:
            found = [line async for line in lines]

        assert [line[:5] for line in found] == [b"1 one", b"2 two", b"3 xxx", b"4 fou"]
        assert len(found[2]) == 256 * 1024
        assert server.seen[-1].query == {"tailLines": "5", "timestamps": "true"}


@pytest.mark.parametrize("status", [429, 500, 503, 504])
async def test_refusal_that_passes_is_waited_for(tmp_path: Path, status: int) -> None:
    async with cluster(tmp_path) as (server, api):
        server.put("apis/apps/v1/deployments", deployment())
        server.faults.append(Fault(status, left=2, headers={"Retry-After": "0"}))

        assert (await api.get(DEPLOYMENTS, "echo", namespace=NS))["metadata"]["name"] == "echo"
        assert len(server.seen) == 3


async def test_retry_after_is_waited_out(tmp_path: Path) -> None:
    async with cluster(tmp_path) as (server, api):
        loop = asyncio.get_running_loop()
        server.faults.append(Fault(429, headers={"Retry-After": "1"}))
        began = loop.time()
        await api.create(DEPLOYMENTS, deployment())

        assert loop.time() - began >= 1


async def test_retry_after_beyond_the_deadline_is_not_waited_for(tmp_path: Path) -> None:
    async with cluster(tmp_path) as (server, api):
        server.faults.append(Fault(429, headers={"Retry-After": "60"}, body=b"slow down"))

        with pytest.raises(TooMany, match="slow down"):
            await api.get(DEPLOYMENTS, "echo", namespace=NS)
        assert len(server.seen) == 1


async def test_attempts_are_bounded(tmp_path: Path) -> None:
    async with cluster(tmp_path) as (server, api):
        server.faults.append(Fault(500, left=1000, headers={"Retry-After": "0"}))

        with pytest.raises(Unavailable, match="answered 500"):
            await api.get(DEPLOYMENTS, "echo", namespace=NS)
        assert len(server.seen) == requests.MAX_ATTEMPTS


@pytest.mark.parametrize(
    ("fault", "attempts"),
    [
        pytest.param(Fault(503, after=True), 1, id="after an answer that leaves it open"),
        pytest.param(Fault(reset=True, after=True), 1, id="after a connection that broke"),
        pytest.param(Fault(429, headers={"Retry-After": "0"}), 2, id="but after one that says not done"),
    ],
)
async def test_create_is_not_repeated_when_it_may_have_been_done(tmp_path: Path, fault: Fault, attempts: int) -> None:
    async with cluster(tmp_path) as (server, api):
        fault.left = 1
        server.faults.append(fault)
        with contextlib.suppress(Unavailable):
            await api.create(DEPLOYMENTS, deployment())

        assert len(server.seen) == attempts


async def test_broken_connection_is_made_again_for_a_read(tmp_path: Path) -> None:
    async with cluster(tmp_path) as (server, api):
        server.put("apis/apps/v1/deployments", deployment())
        server.faults.append(Fault(reset=True, left=2))

        assert (await api.get(DEPLOYMENTS, "echo", namespace=NS))["metadata"]["name"] == "echo"


async def test_server_that_does_not_answer_is_unavailable_within_the_deadline(tmp_path: Path) -> None:
    async with ApiServer() as server:
        settings = KubernetesSettings(kubeconfig=server.kubeconfig(tmp_path), kube_deadline_s=0.2)
        server.faults.append(Fault(hang=True))
        async with connected(settings) as api:
            with pytest.raises(Unavailable, match=r"get deployments\.apps fn/echo: no answer within 0\.2 s"):
                await api.get(DEPLOYMENTS, "echo", namespace=NS)


async def test_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    async with cluster(tmp_path) as (server, api):
        await server.down()

        with pytest.raises(Unavailable, match="cannot be reached"):
            await api.create(DEPLOYMENTS, deployment())


CAUSES = [
    {"field": "spec.replicas", "message": "must be >= 0"},
    {"field": "spec.template", "message": "Required value"},
]
RBAC = (
    'deployments.apps "echo" is forbidden: User "system:serviceaccount:openfaas:springtide" cannot patch resource '
    '"deployments/scale" in API group "apps" in the namespace "fn"'
)
CLUSTER_RBAC = (
    'namespaces is forbidden: User "x" cannot list resource "namespaces" in API group "" at the cluster scope'
)


@pytest.mark.parametrize(
    ("status", "body", "kind", "text"),
    [
        pytest.param(
            422,
            status_body(422, "Invalid", "long and winding", causes=CAUSES),
            BadInput,
            "do it: spec.replicas: must be >= 0; spec.template: Required value",
            id="each cause of an invalid object",
        ),
        pytest.param(
            400,
            status_body(400, "BadRequest", 'strict decoding error: unknown field "spec.replica"'),
            BadInput,
            'unknown field "spec.replica"',
            id="an unknown field",
        ),
        pytest.param(
            403,
            status_body(403, "Forbidden", RBAC),
            Forbidden,
            'may not patch deployments/scale; add to the Role in namespace fn: apiGroups: ["apps"], '
            'resources: ["deployments/scale"], verbs: ["patch"]',
            id="a rule that is missing",
        ),
        pytest.param(
            403, status_body(403, "Forbidden", CLUSTER_RBAC), Forbidden, "add to the ClusterRole", id="a cluster's rule"
        ),
        pytest.param(
            403, status_body(403, "Forbidden", "exceeded quota: pods"), BadInput, "exceeded quota", id="a quota"
        ),
        pytest.param(401, status_body(401, "Unauthorized", "Unauthorized"), Rejected, "401", id="our credentials"),
        pytest.param(404, status_body(404, "NotFound", "gone"), NotFound, "gone", id="not there"),
        pytest.param(409, status_body(409, "Conflict", "modified"), Conflict, "modified", id="a lost race"),
        pytest.param(409, status_body(409, "AlreadyExists", "is"), AlreadyExists, "is", id="there already"),
        pytest.param(410, status_body(410, "Expired", "too old"), Expired, "too old", id="too old"),
        pytest.param(502, b"<html>Bad Gateway</html>", Unavailable, "Bad Gateway", id="a proxy's page"),
        pytest.param(500, b'["odd"]', Unavailable, "odd", id="JSON that is no Status"),
        pytest.param(503, b"", Unavailable, "HTTP 503", id="nothing at all"),
    ],
)
def test_refusal_becomes_an_error_that_names_the_remedy(
    status: int, body: bytes, kind: type[SpringtideError], text: str
) -> None:
    error = error_from(status, body, "do it")

    assert type(error) is kind
    assert text in str(error)
    assert str(error).startswith("do it: ")


async def test_token_that_was_exchanged_is_read_anew(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old")

    async with cluster(tmp_path, tokenFile=str(token)) as (server, api):
        server.token = "old"
        server.put("apis/apps/v1/deployments", deployment())
        await api.get(DEPLOYMENTS, "echo", namespace=NS)
        token.write_text("new\n")
        server.token = "new"

        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(api.get(DEPLOYMENTS, "echo", namespace=NS))

        server.token = "another"
        with pytest.raises(Rejected):
            await api.get(DEPLOYMENTS, "echo", namespace=NS)


async def test_exec_plugin_gives_the_token(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin"
    answer = '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"made"}}'
    plugin.write_text(f"#!/bin/sh\necho '{answer}'\n")
    plugin.chmod(0o755)

    async with cluster(tmp_path, exec={"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin)}) as (
        server,
        api,
    ):
        server.token = "made"
        server.put("apis/apps/v1/deployments", deployment())
        await api.get(DEPLOYMENTS, "echo", namespace=NS)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param(None, "no kubeconfig file at", id="no file"),
        pytest.param("clusters: [", "not usable", id="no YAML"),
        pytest.param("apiVersion: v1\nkind: Config\n", "not usable", id="nothing in it"),
    ],
)
async def test_kubeconfig_that_leads_nowhere_is_refused_with_a_sentence(
    tmp_path: Path, text: str | None, told: str
) -> None:
    file = tmp_path / "config"
    if text is not None:
        file.write_text(text)

    with pytest.raises(BadInput, match=told):
        async with connected(KubernetesSettings(kubeconfig=str(file))):
            pass


async def test_exec_plugin_that_fails_is_refused_with_a_sentence(tmp_path: Path) -> None:
    async with ApiServer() as server:
        plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "/nonexistent/plugin"}
        settings = KubernetesSettings(kubeconfig=server.kubeconfig(tmp_path, exec=plugin))
        with pytest.raises(BadInput, match="the exec plugin of the kubeconfig gave no credentials"):
            async with connected(settings):
                pass


async def test_requests_are_paced_after_a_burst(tmp_path: Path) -> None:
    async with ApiServer() as server:
        server.put("apis/apps/v1/deployments", deployment())
        settings = KubernetesSettings(kubeconfig=server.kubeconfig(tmp_path), kube_requests_per_s=50, kube_burst=10)
        loop = asyncio.get_running_loop()
        async with connected(settings) as api, asyncio.TaskGroup() as group:
            began = loop.time()
            for _ in range(30):
                group.create_task(api.get(DEPLOYMENTS, "echo", namespace=NS))
        assert loop.time() - began >= 20 / 50


@pytest.mark.parametrize(
    "package",
    [
        "springtide.gateway.service",
        "springtide.idler.service",
        "springtide.alert_receiver.service",
        "springtide.cli.parts.idler",
    ],
)
def test_library_is_not_imported_before_a_connection_is_made(package: str) -> None:
    code = f"import sys, {package}; print([m for m in ('kubernetes', 'aiohttp') if m in sys.modules])"

    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert outcome.stdout.strip() == "[]"
