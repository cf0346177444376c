"""The pages of the two APIs, for people."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from reference.markdown import anchor, block, code, page, table, text
from reference.rest.documents import COMMON, SERVERS, SUBJECTS, answers_of, operations, used
from reference.rest.operation import Api, Operation, Schema
from reference.rest.schemas import SCHEMAS
from reference.rest.shape import shape

SYSTEM_PAGE = "system-api.md"


def system_api() -> str:
    return page(
        "System API",
        "What the gateway answers at `/system`, and calls of functions: OpenFaaS's requests, and ours. User and "
        f"password are those that `springtide up` prints. {_unauthorized()} What is refused says why, in plain text. "
        "The same as an OpenAPI document, for programs: [system-api.json](system-api.json).",
        *_sections(Api.SYSTEM),
    )


def provider_api() -> str:
    """What it shares with the gateway is told there."""
    shared = [row for row in operations(Api.PROVIDER) if Api.SYSTEM in row.apis]
    return page(
        "Provider API",
        "What the provider answers: the gateway asks it, and so do the parts that scale. `springtide up` lets it "
        f"listen on this machine alone. {_unauthorized()} The same as an OpenAPI document, for programs: "
        "[provider-api.json](provider-api.json).",
        *_sections(Api.PROVIDER, without=shared),
        "## As the gateway has it",
        "These are passed on by the gateway, and described [with its API](system-api.md).",
        table(
            ("request", ""),
            (
                (code(f"{row.method} {row.path}"), f"[{text(row.summary)}]({SYSTEM_PAGE}#{anchor(row.summary)})")
                for row in shared
            ),
        ),
    )


def api_values() -> str:
    """On a page of their own: with the requests it would be the site's largest by far."""
    names = {name for api in Api for name in used(operations(api))}
    return page(
        "Values of the APIs",
        "What the [system API](system-api.md) and the [provider API](provider-api.md) take and answer, as JSON.",
        *_values(names),
    )


def _unauthorized() -> str:
    return " ".join(
        f"{text(answer.meaning).capitalize()}: {status}, unless a request needs none."
        for status, answer in COMMON.items()
    )


def _sections(api: Api, without: list[Operation] | None = None) -> Iterator[str]:
    for subject, rows in SUBJECTS.items():
        shown = [row for row in rows if api in row.apis and row not in (without or [])]
        if shown:
            yield f"## {subject}"
        for row in shown:
            yield from _section(row, api)


def _section(row: Operation, api: Api) -> Iterator[str]:
    yield f"### {row.summary}"
    yield f"{code(f'{row.method} {row.path}')}" + (", without credentials" if api in row.open else "")
    yield text(row.says)
    asked = [(code(name), "path", text(meaning)) for name, meaning in row.parts.items()]
    asked += [
        (
            code(each.name),
            each.place + (", required" if each.required else ""),
            f"{text(each.meaning)}{_of(each.schema)}",
        )
        for each in row.parameters
    ]
    if row.body is not None:
        asked.append(("", "body", f"{text(row.body.meaning)}{_of(row.body.schema or {})}"))
    if asked:
        yield table(("what is sent", "where", "meaning"), asked)
    answers = answers_of(row, api)
    yield table(
        ("answer", "meaning"),
        (
            (str(status), f"{text(answer.meaning)}{_of(answer.schema or {})}")
            for status, answer in answers.items()
            if COMMON.get(status) is not answer
        ),
    )
    yield block("sh", f"{_curl(row, api)}\n# answered with {row.example.status}")


def _of(schema: Schema) -> str:
    shown = shape(schema)
    return f": {shown}" if shown and shown != "text" else ""


def _values(names: set[str]) -> Iterator[str]:
    for name in sorted(names):
        schema = SCHEMAS[name]
        yield f"## {name}"
        yield text(str(schema.get("description", "")))
        if "oneOf" in schema:
            yield "\n".join(f"- {shape(each)}" for each in schema["oneOf"])
            continue
        must = schema.get("required", [])
        rows = [(code(field), _field(inner), "always" if field in must else "") for field, inner in _fields(schema)]
        yield table(("field", "what it is", "there"), rows)


def _fields(schema: Schema) -> list[tuple[str, Any]]:
    return list(schema.get("properties", {}).items())


def _field(schema: Schema) -> str:
    meaning = text(str(schema.get("description", "")))
    return f"{shape(schema)}: {meaning}" if meaning else shape(schema)


def _curl(row: Operation, api: Api) -> str:
    example = row.example
    query = "&".join(f"{name}={value}" for name, value in example.query.items())
    path = (example.path or row.path) + (f"?{query}" if query else "")
    words = ["curl", *([] if api in row.open else ['-u "admin:$PASSWORD"'])]
    words += [f"-X {row.method}"] if row.method != "GET" else []
    words += [f"-H '{name}: {value}'" for name, value in example.headers.items()]
    if example.body is not None:
        body = example.body if isinstance(example.body, str) else json.dumps(example.body)
        words.append(f"-d '{body}'")
    address = f"'{SERVERS[api]}{path}'" if query or "{" in path else f"{SERVERS[api]}{path}"
    return " ".join((*words, address))
