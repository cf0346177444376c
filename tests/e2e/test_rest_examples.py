"""Every example of the documents of the REST APIs, made at a running suite: status and answer are as they say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx
import jsonschema
import pytest

from reference.rest.calls import FAILS
from reference.rest.documents import COMMON, operations
from reference.rest.operation import JSON, LINES, Answer, Api, Operation
from reference.rest.schemas import SCHEMAS


@pytest.fixture(scope="module")
def kept() -> dict[str, str]:
    """What examples keep for those that follow."""
    return {}


@pytest.fixture(scope="module")
def clients(fast_suite: Any) -> Mapping[Api, httpx.Client]:
    user = fast_suite.credentials
    urls = {Api.SYSTEM: fast_suite.gateway, Api.PROVIDER: fast_suite.run["provider"]}
    made = {api: httpx.Client(base_url=url, auth=(user.user, user.password), timeout=60) for api, url in urls.items()}
    failing = made[Api.SYSTEM]
    assert failing.post("/system/functions", json=FAILS).status_code == 202
    for _ in range(2):
        assert failing.post("/async-function/fails", content="given up").status_code == 202
    return made


CASES = [pytest.param(api, row, id=f"{api}-{row.name}") for api in Api for row in operations(api)]
"""In the order in which one follows from the other."""


@pytest.mark.parametrize(("api", "row"), CASES)
def test_example_is_answered_as_it_is_told(
    api: Api, row: Operation, clients: Mapping[Api, httpx.Client], kept: dict[str, str], fast_suite: Any
) -> None:
    def answered() -> bool:
        response = asked(clients[api], row, kept)
        if row.example.eventually and response.status_code != row.example.status:
            return False
        assert response.status_code == row.example.status, response.text
        check(row.answers[row.example.status], response)
        kept.update({name: found(response, path) for name, path in row.example.keeps.items()})
        return True

    if row.example.eventually:
        fast_suite.eventually(answered, f"{row.name} is answered with {row.example.status}, and tells what is kept")
    else:
        answered()


@pytest.mark.parametrize(("api", "row"), CASES)
def test_credentials_are_wanted_where_it_is_told(
    api: Api, row: Operation, clients: Mapping[Api, httpx.Client], kept: Mapping[str, str]
) -> None:
    with httpx.Client(base_url=clients[api].base_url, timeout=60) as stranger:
        response = asked(stranger, row, kept)
        challenge = "Basic" in response.headers.get("www-authenticate", "")

    assert (response.status_code in COMMON and challenge) is (api not in row.open)


def asked(client: httpx.Client, row: Operation, kept: Mapping[str, str]) -> httpx.Response:
    example = row.example
    body = example.body if isinstance(example.body, str | None) else filled(json.dumps(example.body), kept)
    path = filled(example.path or row.path, kept)
    return client.request(row.method, path, params=dict(example.query), headers=dict(example.headers), content=body)


def filled(text: str, kept: Mapping[str, str]) -> str:
    for name, value in kept.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def check(answer: Answer, response: httpx.Response) -> None:
    if answer.schema is None:
        return
    told = response.headers["content-type"].partition(";")[0]
    assert told == answer.media
    values = {LINES: response.text.splitlines(), JSON: [response.text]}[told]
    for value in values:
        schema = {**answer.schema, "components": {"schemas": SCHEMAS}}
        jsonschema.Draft202012Validator(schema).validate(json.loads(value))


def found(response: httpx.Response, path: str) -> str:
    """Raises KeyError where it is not there yet."""
    if path.startswith("header "):
        return response.headers[path.removeprefix("header ")]
    value = response.json()
    for step in path.split("."):
        if isinstance(value, list) and not value[int(step) :]:
            raise KeyError(path)
        value = value[int(step) if isinstance(value, list) else step]
    return str(value)
