from __future__ import annotations

import pytest

from tests.provider.api.served import Served

MARKED = {"openfaas": "1"}


@pytest.mark.parametrize("path", ["/system/namespace/dev", "/system/namespaces/dev"])
async def test_life_of_a_namespace_has_its_statuses(served: Served, path: str) -> None:
    body = {"name": "dev", "labels": MARKED, "annotations": MARKED}

    assert (await served.http.get(path)).status_code == 404
    assert (await served.http.put(path, json=body)).status_code == 404
    assert (await served.http.delete(path)).status_code == 404
    assert (await served.http.post(path, json=body)).status_code == 202
    assert (await served.http.post(path, json=body)).status_code == 409
    assert (await served.http.get("/system/namespaces")).json() == ["dev", "openfaas-fn"]
    assert (await served.http.get(path)).json() == body
    assert (await served.http.put(path, json=body | {"annotations": None})).status_code == 202
    assert (await served.http.get(path)).json() == {"name": "dev", "labels": MARKED}
    assert (await served.http.delete(path)).status_code == 202
    assert (await served.http.get("/system/namespaces")).json() == ["openfaas-fn"]


@pytest.mark.parametrize(
    "path", ["/system/namespace/", "/system/namespace", "/system/namespaces", "/system/namespaces/"]
)
async def test_name_comes_from_the_body_where_the_path_has_none(served: Served, path: str) -> None:
    assert (await served.http.post(path, json={"name": "dev", "labels": MARKED})).status_code == 202

    assert (await served.http.get("/system/namespaces")).json() == ["dev", "openfaas-fn"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"name": "dev"}, id="not marked"),
        pytest.param({"name": "dev", "labels": {"openfaas": "no"}}, id="marked as none"),
        pytest.param({"labels": MARKED}, id="no name"),
        pytest.param({"name": "a/b", "labels": MARKED}, id="bad name"),
        pytest.param({"name": "dev", "labels": {"openfaas": 1}}, id="label that is no text"),
    ],
)
async def test_namespace_is_400_when(served: Served, body: dict[str, object]) -> None:
    assert (await served.http.post("/system/namespace/", json=body)).status_code == 400
    assert (await served.http.get("/system/namespaces")).json() == ["openfaas-fn"]


async def test_default_namespace_cannot_be_deleted(served: Served) -> None:
    assert (await served.http.delete("/system/namespace/openfaas-fn")).status_code == 400
