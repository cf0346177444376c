"""OpenAPI documents of the rows, https://spec.openapis.org/oas/v3.1.0."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from deploy.versions import project_version
from reference.rest.about import BUILDS, INFO, TRIGGERS
from reference.rest.calls import CALLS, DEAD_LETTERS
from reference.rest.functions import FUNCTIONS, NAMESPACES, REMOVAL, SECRETS
from reference.rest.operation import BYTES, TEXT, Answer, Api, Body, Operation, Parameter, Schema
from reference.rest.schemas import SCHEMAS
from reference.rest.shape import REFERENCE

SUBJECTS: Mapping[str, tuple[Operation, ...]] = {
    "The suite": INFO,
    "Secrets": SECRETS,
    "Namespaces": NAMESPACES,
    "Functions": FUNCTIONS,
    "Calls": CALLS,
    "Calls that were given up": DEAD_LETTERS,
    "Alerts, schedules, events": TRIGGERS,
    "Builds": BUILDS,
    "Removal": REMOVAL,
}
"""In the order in which their examples are made."""

TITLES = {Api.SYSTEM: "Springtide: the system API", Api.PROVIDER: "Springtide: the provider's API"}
SERVERS = {Api.SYSTEM: "http://127.0.0.1:8080", Api.PROVIDER: "http://127.0.0.1:8081"}
COMMON = {401: Answer("no credentials, or wrong ones", media=TEXT)}


def operations(api: Api) -> list[Operation]:
    return [operation for rows in SUBJECTS.values() for operation in rows if api in operation.apis]


def answers_of(row: Operation, api: Api) -> Mapping[int, Answer]:
    """By status, the lowest first; with those of every request that needs credentials."""
    answers = row.answers if api in row.open else {**COMMON, **row.answers}
    return dict(sorted(answers.items()))


def document(api: Api) -> str:
    rows = operations(api)
    paths: dict[str, dict[str, Any]] = {}
    for subject, each in SUBJECTS.items():
        for operation in each:
            if api in operation.apis:
                paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, api, subject)
    value = {
        "openapi": "3.1.0",
        "info": {"title": TITLES[api], "version": project_version(), "license": {"name": "MIT", "identifier": "MIT"}},
        "servers": [{"url": SERVERS[api]}],
        "security": [{"basic": []}],
        "tags": [{"name": name} for name, each in SUBJECTS.items() if any(row in rows for row in each)],
        "paths": paths,
        "components": {
            "securitySchemes": {"basic": {"type": "http", "scheme": "basic"}},
            "schemas": {name: SCHEMAS[name] for name in sorted(used(rows))},
        },
    }
    return json.dumps(value, indent=1) + "\n"


def used(rows: list[Operation]) -> set[str]:
    """Names of the schemas that the rows need, and of those that these need."""
    wanted = [schema for row in rows for schema in _schemas(row)]
    found: set[str] = set()
    while wanted:
        for name in set(_references(wanted.pop())) - found:
            found.add(name)
            wanted.append(SCHEMAS[name])
    return found


def _schemas(row: Operation) -> Iterator[Schema]:
    yield from (answer.schema for answer in row.answers.values() if answer.schema is not None)
    if row.body is not None and row.body.schema is not None:
        yield row.body.schema


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if "$ref" in value:
            yield str(value["$ref"]).removeprefix(REFERENCE)
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _references(inner)


def _operation(row: Operation, api: Api, subject: str) -> dict[str, Any]:
    in_path = [
        {"name": name, "in": "path", "required": True, "description": row.parts[name], "schema": {"type": "string"}}
        for name in row.in_path
    ]
    value: dict[str, Any] = {
        "operationId": row.name,
        "tags": [subject],
        "summary": row.summary,
        "parameters": [*in_path, *map(_parameter, row.parameters)],
        "responses": {str(status): _answer(answer) for status, answer in answers_of(row, api).items()},
    }
    if row.says:
        value["description"] = row.says
    if row.body is not None:
        value["requestBody"] = _body(row.body, row.example.body)
    if api in row.open:
        value["security"] = []
    return value


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.required,
        "description": parameter.meaning,
        "schema": parameter.schema,
    }


def _answer(answer: Answer) -> dict[str, Any]:
    value: dict[str, Any] = {"description": answer.meaning}
    if answer.schema is not None:
        value["content"] = {answer.media: {"schema": answer.schema}}
    elif answer.media in (TEXT, BYTES):
        value["content"] = {answer.media: {"schema": {"type": "string"}}}
    return value


def _body(body: Body, example: Any) -> dict[str, Any]:
    shown = {} if example in (None, "") else {"example": example}
    return {
        "description": body.meaning,
        "content": {body.media: {"schema": body.schema or {"type": "string"}, **shown}},
    }
