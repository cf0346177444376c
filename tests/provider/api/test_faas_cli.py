"""What faas-cli sends, command by command, and what it needs to get back (contract, faas-cli dependencies).

faas-cli's own tests of success differ by command: deploy, remove and scale take 200, 201 and 202, but a deploy that
answers 201 makes it exit non-zero, and a removed secret that answers 204 is an error. So all of ours are 202.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from springtide.runtime.asgi import Receive, Scope, Send
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE, FunctionRef
from tests.provider.api.served import Served, serving

DEPLOYMENT: dict[str, Any] = {
    "service": "figlet",
    "image": "functions/figlet:latest",
    "envProcess": "",
    "envVars": {},
    "constraints": None,
    "secrets": [],
    "labels": {},
    "annotations": {},
    "readOnlyRootFilesystem": False,
}
FIGLET = FunctionRef(DEFAULT_NAMESPACE, "figlet")


async def deploy(served: Served, **changes: object) -> list[int]:
    """``faas-cli deploy``: an update, and on exactly 404 a creation."""
    body = DEPLOYMENT | changes
    statuses = [(await served.http.put("/system/functions", json=body)).status_code]
    if statuses == [404]:
        statuses.append((await served.http.post("/system/functions", json=body)).status_code)
    return statuses


async def refs(served: Served) -> list[FunctionRef]:
    return [function.ref for function in await served.memory.list_functions()]


async def test_deploy_creates_then_updates(served: Served) -> None:
    assert await deploy(served) == [404, 202]
    assert await deploy(served, image="functions/figlet:2") == [202]

    assert (await served.memory.status(FIGLET)).spec.image == "functions/figlet:2"


async def test_deploy_of_an_older_client_with_nulls_works(served: Served) -> None:
    old = {"labels": None, "annotations": None, "network": "", "registryAuth": ""}

    assert await deploy(served, **old) == [404, 202]


async def test_deploy_with_replace_deletes_first(served: Served) -> None:
    await deploy(served)

    deleted = await served.http.request("DELETE", "/system/functions", json={"functionName": "figlet"})

    assert deleted.status_code == 202
    assert (await served.http.post("/system/functions", json=DEPLOYMENT)).status_code == 202


async def test_deploy_without_credentials_is_told_401(served: Served) -> None:
    answer = await served.http.put("/system/functions", json=DEPLOYMENT, auth=("admin", "wrong"))

    assert answer.status_code == 401


async def test_list_has_what_its_table_shows(served: Served) -> None:
    await deploy(served)

    (function,) = (await served.http.get("/system/functions", params={"namespace": ""})).json()

    assert (function["name"], function["image"], function["replicas"]) == ("figlet", "functions/figlet:latest", 1)
    assert isinstance(function["labels"], dict)


async def test_describe_with_usage_shows_readiness(served: Served) -> None:
    await deploy(served)

    found = await served.http.get("/system/function/figlet", params={"namespace": "", "usage": "1"})
    missing = await served.http.get("/system/function/other", params={"namespace": "", "usage": "1"})

    assert (found.status_code, found.json()["availableReplicas"]) == (200, 1)
    assert missing.status_code == 404


@pytest.mark.parametrize(
    ("query", "body"),
    [
        pytest.param({}, {"functionName": "figlet", "namespace": "dev"}, id="current: in the body"),
        pytest.param({"namespace": "dev"}, {"functionName": "figlet"}, id="2022: in the query"),
    ],
)
async def test_remove_finds_the_namespace(served: Served, query: dict[str, str], body: dict[str, str]) -> None:
    await served.http.post("/system/namespace/", json={"name": "dev", "labels": {"openfaas": "1"}})
    await deploy(served)
    await deploy(served, namespace="dev")

    first = await served.http.request("DELETE", "/system/functions", params=query, json=body)
    second = await served.http.request("DELETE", "/system/functions", params=query, json=body)

    assert (first.status_code, second.status_code) == (202, 404)
    assert await refs(served) == [FIGLET]


@pytest.mark.parametrize(
    ("query", "body"),
    [
        pytest.param({}, {"serviceName": "figlet", "replicas": 3, "namespace": "dev"}, id="current: in the body"),
        pytest.param({"namespace": "dev"}, {"serviceName": "figlet", "replicas": 3}, id="2022: in the query"),
    ],
)
async def test_scale_finds_the_namespace(served: Served, query: dict[str, str], body: dict[str, object]) -> None:
    await served.http.post("/system/namespace/", json={"name": "dev", "labels": {"openfaas": "1"}})
    await deploy(served)
    await deploy(served, namespace="dev")

    scaled = await served.http.post("/system/scale-function/figlet", params=query, json=body)
    unknown = await served.http.post("/system/scale-function/other", params=query, json=body)

    assert (scaled.status_code, unknown.status_code) == (202, 404)
    assert (await served.memory.read(FunctionRef("dev", "figlet"))).scale.desired == 3
    assert (await served.memory.read(FIGLET)).scale.desired == 1


async def test_logs_stream_json_objects_until_the_end(served: Served) -> None:
    await deploy(served)
    served.memory.write_log(FIGLET, "figlet-1", "hello")
    query = {"name": "figlet", "namespace": "", "follow": "true", "tail": "-1", "since": "2020-01-01T00:00:00Z"}

    async with served.http.stream("GET", "/system/logs", params=query) as answer:
        told = answer.aiter_lines()  # kept: without it the answer is closed
        message = json.loads(await anext(told))

    assert answer.status_code == 200
    assert set(message) == {"name", "namespace", "instance", "timestamp", "text"}


async def test_secret_create_with_replace_puts_after_409(served: Served) -> None:
    secret = {"name": "key", "namespace": "", "value": "a", "rawValue": "YQ=="}

    sent = [
        (await served.http.request(verb, "/system/secrets", json=secret)).status_code
        for verb in ("POST", "POST", "PUT")
    ]
    listed = await served.http.get("/system/secrets", params={"namespace": ""})
    removed = await served.http.request("DELETE", "/system/secrets", json={"name": "key", "namespace": ""})
    again = await served.http.request("DELETE", "/system/secrets", json={"name": "key", "namespace": ""})

    assert sent == [202, 409, 202]
    assert [item["name"] for item in listed.json()] == ["key"]
    assert (removed.status_code, again.status_code) == (202, 404)


async def test_namespace_commands(served: Served) -> None:
    mark = {"openfaas": "1"}

    created = await served.http.post(
        "/system/namespace/", json={"name": "dev", "labels": mark | {"a": "b"}, "annotations": mark}
    )
    updated = await served.http.put("/system/namespace/dev", json={"name": "dev", "labels": mark, "annotations": mark})
    found = await served.http.get("/system/namespace/dev")
    names = await served.http.get("/system/namespaces")
    deleted = await served.http.request("DELETE", "/system/namespace/dev", json={"name": "dev"})

    assert [answer.status_code for answer in (created, updated, found, names, deleted)] == [202, 202, 200, 200, 202]
    assert found.json() == {"name": "dev", "labels": mark, "annotations": mark}
    assert names.json() == ["dev", DEFAULT_NAMESPACE]


async def test_version_and_login_and_ready(served: Served) -> None:
    info = (await served.http.get("/system/info")).json()
    login = await served.http.get("/system/functions")
    failed = await served.http.get("/system/functions", auth=("admin", "wrong"))
    health = await served.http.get("/healthz", headers={"Authorization": ""})

    assert set(info) == {"provider", "version", "orchestration"}
    assert {"release", "sha"} <= set(info["version"])
    assert (login.status_code, failed.status_code, health.status_code) == (200, 401, 200)


async def test_invoke_appends_the_default_namespace() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hi"})

    async with serving(app) as served:
        await served.ready("figlet")

        answer = await served.http.post("/function/figlet.openfaas-fn", content=b"x", headers={"Authorization": ""})

        assert (answer.status_code, answer.content) == (200, b"hi")
