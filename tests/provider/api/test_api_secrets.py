from __future__ import annotations

import base64

import pytest

from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE
from tests.provider.api.served import Served

RAW = base64.b64encode(b"\x00raw\xff").decode()


@pytest.mark.parametrize(
    ("body", "value"),
    [
        pytest.param({"value": "text ü"}, "text ü".encode(), id="text"),
        pytest.param({"value": ""}, b"", id="empty text"),
        pytest.param({"rawValue": RAW}, b"\x00raw\xff", id="raw"),
        pytest.param({"value": "text", "rawValue": RAW}, b"\x00raw\xff", id="raw wins"),
        pytest.param({"value": "text", "rawValue": ""}, b"text", id="empty raw is none"),
        pytest.param({"value": "text", "rawValue": None}, b"text", id="null raw is none"),
    ],
)
async def test_value_stored_is(served: Served, body: dict[str, object], value: bytes) -> None:
    assert (await served.http.post("/system/secrets", json={"name": "token", **body})).status_code == 202

    assert served.memory.secret_value(DEFAULT_NAMESPACE, "token") == value


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        pytest.param({"name": "token"}, ["value"], id="no value"),
        pytest.param({"name": "token", "rawValue": "?"}, ["rawValue"], id="raw that is not base64"),
        pytest.param({"name": "token", "rawValue": 5}, ["rawValue"], id="raw that is no text"),
        pytest.param({"name": "token", "value": 5}, ["value"], id="value that is no text"),
        pytest.param({"name": "To_ken"}, ["To_ken", "value"], id="all problems at once"),
        pytest.param({"name": 5, "value": "x"}, ["name"], id="name that is no text"),
    ],
)
async def test_bad_secret_is_400_naming(served: Served, body: dict[str, object], problems: list[str]) -> None:
    answer = await served.http.post("/system/secrets", json=body)

    assert answer.status_code == 400
    for problem in problems:
        assert problem in answer.text
    assert list(await served.memory.secret_names(DEFAULT_NAMESPACE)) == []


async def test_refusal_never_shows_the_value(served: Served) -> None:
    for body in (
        {"name": "Bad", "value": "hunter2"},
        {"name": "a", "rawValue": "hunter2!"},
        {"name": "a", "value": ["hunter2"]},
    ):
        answer = await served.http.post("/system/secrets", json=body)

        assert answer.status_code == 400
        assert "hunter2" not in answer.text


async def test_list_never_shows_values(served: Served) -> None:
    assert (await served.http.get("/system/secrets")).json() == []
    await served.http.post("/system/secrets", json={"name": "token", "value": "hunter2"})

    listed = await served.http.get("/system/secrets")

    assert listed.json() == [{"name": "token", "namespace": DEFAULT_NAMESPACE}]


async def test_life_of_a_secret_has_its_statuses(served: Served) -> None:
    secret = {"name": "token", "value": "1"}

    sent = [
        await served.http.request(verb, "/system/secrets", json=secret)
        for verb in ("PUT", "DELETE", "POST", "POST", "PUT", "DELETE", "DELETE")
    ]

    assert [answer.status_code for answer in sent] == [404, 404, 202, 409, 202, 202, 404]


async def test_namespace_is_in_the_body_or_in_the_query(served: Served) -> None:
    await served.http.post("/system/namespace/dev", json={"labels": {"openfaas": "1"}})

    await served.http.post("/system/secrets", json={"name": "a", "value": "1", "namespace": "dev"})
    await served.http.post("/system/secrets?namespace=dev", json={"name": "b", "value": "1"})

    listed = await served.http.get("/system/secrets?namespace=dev")
    assert listed.json() == [{"name": name, "namespace": "dev"} for name in ("a", "b")]
    assert (await served.http.get("/system/secrets")).json() == []
