"""The rows of the REST APIs are the routes that there are, and hang together; tests/e2e makes their examples."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable
from typing import Any

import httpx
import jsonschema
import pytest
from prometheus_client import CollectorRegistry
from starlette.routing import Route

from reference.rest.documents import SUBJECTS, document, operations, used
from reference.rest.operation import Api, Operation, Schema
from reference.rest.schemas import DEPLOYMENT, FUNCTION, SCHEMAS
from springtide.gateway.data_plane import DataPlane, DataPlaneDeps
from springtide.gateway.endpoint_source import EndpointSource
from springtide.gateway.invocation_counts import OwnCounts
from springtide.gateway.load_counts import OwnLoad
from springtide.gateway.load_streams import LoadStreams
from springtide.gateway.settings import GatewaySettings
from springtide.gateway.system_api import SystemDeps, SystemTargets, system_routes
from springtide.provider.api.application import Parts
from springtide.provider.api.application import routes as provider_routes
from springtide.provider.api.request_values import NamespaceRule
from springtide.provider.memory import MemoryProvider
from springtide.provider.runtime_label import Runtime
from springtide.provider.spec import FunctionSpec, FunctionStatus, Usage, spec_to_json, status_to_json
from springtide.runtime.build_version import Version
from springtide.runtime.clock import SystemClock
from springtide.runtime.concurrency_limit import ConcurrencyLimit
from springtide.runtime.wrong_credentials import WrongCredentials
from springtide.scaler.core.vocabulary import Function, FunctionRef, Instant, Scale, Writer
from springtide.wire.decision_log import DecisionLog
from springtide.wire.instruments import DecisionCounter
from springtide.wire.provider_client import ProviderClient
from springtide.wire.webhooks.checks import NoChecks

ROWS = [row for rows in SUBJECTS.values() for row in rows]
VERBS = {"GET", "POST", "PUT", "DELETE", "PATCH"}
CONSOLE = {"/", "/ui", "/ui/{path}"}
BY_DATA_PLANE = {("POST", "/function/{name}"), ("POST", "/async-function/{name}"), ("POST", "/webhook/{name}")}
"""Told apart by the gateway's dispatcher before any route; tests/gateway has what they answer."""
BY_ID = "/async-function/{name}"
"""One route for all that is said of a call's id, which looks at method and path itself."""
PLURAL = "/system/namespaces/{name}"
ALSO = {"/system/namespace", "/system/namespace/", "/system/namespaces/", "/system/namespaces"}
"""Other spellings of the requests about namespaces, for clients that write them so."""

rows = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


def of_routes(routes: Iterable[Any]) -> set[tuple[str, str]]:
    """Method and path of each, as a row has them."""
    found = [(method, route) for route in routes if isinstance(route, Route) for method in route.methods or ()]
    return {(method, re.sub(r":\w+\}", "}", route.path)) for method, route in found if method in VERBS}


def of_rows(api: Api) -> set[tuple[str, str]]:
    return {(row.method, row.path) for row in operations(api)}


async def test_the_gateways_rows_are_its_routes() -> None:
    real = {(method, path) for method, path in of_routes(await gateways_routes()) if path not in {*CONSOLE, BY_ID}}
    told = {(method, path) for method, path in of_rows(Api.SYSTEM) - BY_DATA_PLANE if "/async-function/" not in path}

    assert told == real


async def test_the_providers_rows_are_its_routes() -> None:
    parts = Parts(
        provider=MemoryProvider(),
        decisions=DecisionLog(),
        clock=SystemClock(),
        registry=CollectorRegistry(),
        version=Version.installed(),
        stopping=asyncio.Event(),
        heartbeat_s=1.0,
        namespaces=NamespaceRule("openfaas-fn"),
    )
    real = of_routes(provider_routes(parts))

    assert of_rows(Api.PROVIDER) - {("POST", "/function/{name}")} == {
        (method, path.replace(PLURAL, "/system/namespace/{name}"))
        for method, path in real
        if path not in ALSO or method == "GET"
    }


async def gateways_routes() -> list[Route]:
    settings, clock = GatewaySettings(), SystemClock()
    client = ProviderClient("http://127.0.0.1:1", None)
    plane = DataPlane(
        settings,
        DataPlaneDeps(
            clock=clock,
            target=client,
            recorder=DecisionCounter(CollectorRegistry(), Writer.WAKE),
            connect_system=_nowhere,
            credentials=None,
            checks=NoChecks(),
        ),
    )
    async with httpx.AsyncClient() as http:
        deps = SystemDeps(
            http=http,
            stream_http=http,
            console_http=http,
            streams=ConcurrencyLimit(1, "streams"),
            credentials=None,
            counts=OwnCounts(plane.table),
            load=LoadStreams(OwnLoad(plane.table, clock, "gateway")),
            requests=plane.requests,
            clock=clock,
            bounds=plane.timeouts.bounds,
            table=plane.table,
            readiness=EndpointSource(client, _no_polling),
            wrong=WrongCredentials(lambda: None),
            stores=plane.stores,
            stopping=bool,
        )
        targets = SystemTargets("", "", "", (), "", "", 1.0, 1.0, 1.0)
        found = system_routes(targets, deps).routes
    await plane.close()
    await client.aclose()
    return found


async def _nowhere() -> Any:
    raise OSError("there is no system API here")


def _no_polling() -> Any:
    raise AssertionError("nothing is polled here")


def test_names_and_requests_are_unique_in_each_api() -> None:
    for api in Api:
        names = [row.name for row in operations(api)]
        requests = [(row.method, row.path) for row in operations(api)]

        assert len(names) == len(set(names))
        assert len(requests) == len(set(requests))


@rows
def test_row_tells_all_that_it_names(row: Operation) -> None:
    assert set(row.parts) == set(row.in_path)
    assert row.example.status in row.answers
    assert not row.in_path or row.example.path
    assert not re.search(r"\{(?!\w+\})", row.example.path)


def test_every_schema_is_used_and_every_one_that_is_used_is_there() -> None:
    assert used(ROWS) == set(SCHEMAS)


BODIES = [
    pytest.param(row.body.schema, row.example.body, id=row.name)
    for row in ROWS
    if row.body is not None and row.body.schema is not None and not isinstance(row.example.body, str)
]


@pytest.mark.parametrize(("schema", "body"), BODIES)
def test_body_of_an_example_is_what_its_row_asks_for(schema: Schema, body: Any) -> None:
    jsonschema.Draft202012Validator({**schema, "components": {"schemas": SCHEMAS}}).validate(body)


@pytest.mark.parametrize("api", list(Api))
def test_document_is_whole(api: Api) -> None:
    """Every schema is one, every reference leads somewhere, every parameter of a path is declared."""
    value = json.loads(document(api))
    schemas = value["components"]["schemas"]

    assert set(re.findall(r'"#/components/schemas/(\w+)"', document(api))) == set(schemas)
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    for path, operations_of_path in value["paths"].items():
        for operation in operations_of_path.values():
            declared = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
            assert declared == set(re.findall(r"\{(\w+)\}", path))


SPEC = FunctionSpec(
    ref=FunctionRef("openfaas-fn", "f"),
    image="f",
    env_process="cat",
    env_vars={"a": "b"},
    constraints=("a=b",),
    secrets=("s",),
    labels={"a": "b"},
    annotations={"a": "b"},
    limits={"memory": "1Mi"},
    requests={"memory": "1Mi"},
    read_only_root_filesystem=True,
)


def test_deployment_has_the_fields_that_a_provider_reads() -> None:
    assert set(spec_to_json(SPEC)) == set(DEPLOYMENT["properties"])


def test_function_has_the_fields_that_a_provider_tells() -> None:
    usage = Usage(cpu_millicores=1.0, memory_bytes=1.0)
    function = Function(
        SPEC.ref,
        Scale(1, 1, "1"),
        created_at=Instant(1.0),
        learned_wake=1,
        longest_start_s=1.0,
    )
    status = FunctionStatus(spec=SPEC, function=function, usage=usage, problem="it is away", runtime=Runtime.PROCESS)
    told = status_to_json(status)

    assert {*told, "invocationCount"} == set(FUNCTION["properties"])
