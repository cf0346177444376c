from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from prometheus_client import CollectorRegistry

from springtide.provider.api import Version, application
from springtide.provider.api.middleware import MAX_BODY_BYTES
from springtide.provider.api.request_values import NamespaceRule
from springtide.provider.memory import MemoryProvider
from springtide.runtime.clock import SystemClock
from springtide.wire.decision_log import DecisionLog
from tests.provider.api.served import DEADLINE_S, Served, serving

OPEN = {"/healthz", "/readyz", "/metrics"}


def every_route() -> list[tuple[str, str]]:
    """Verb and path of all there are, each parameter filled in."""
    parts = application.Parts(
        provider=MemoryProvider(),
        decisions=DecisionLog(),
        clock=SystemClock(),
        registry=CollectorRegistry(),
        version=Version("1"),
        stopping=asyncio.Event(),
        heartbeat_s=1.0,
        namespaces=NamespaceRule("openfaas-fn"),
    )
    routes = application.routes(parts)
    return sorted((verb, route.path.replace("{name}", "echo")) for route in routes for verb in route.methods or ())


def test_routes_are_those_of_the_contract() -> None:
    paths = {path for _, path in every_route()}

    assert paths == OPEN | {
        "/system/functions",
        "/system/function/echo",
        "/system/function/echo/rollback",
        "/system/function/echo/versions",
        "/system/scale-function/echo",
        "/system/wake/echo",
        "/system/secrets",
        "/system/logs",
        "/system/namespaces",
        "/system/namespaces/",
        "/system/namespaces/echo",
        "/system/namespace",
        "/system/namespace/",
        "/system/namespace/echo",
        "/system/info",
        "/system/usage",
        "/system/endpoints",
        "/system/scaling/decisions",
        "/build",
        "/system/webhook-check",
        "/publickey",
        "/store/functions.json",
        "/templates.json",
    }


async def test_no_route_answers_without_credentials_unless_it_is_open(served: Served) -> None:
    async with httpx.AsyncClient(base_url=served.http.base_url, trust_env=False) as stranger:
        answers = {(verb, path): await stranger.request(verb, path) for verb, path in every_route() if path not in OPEN}
        unknown = await stranger.get("/system/anything")

    assert len(answers) > 20
    assert {answer.status_code for answer in answers.values()} == {401}
    assert unknown.status_code == 401
    refused = answers["GET", "/system/functions"]
    assert refused.headers["www-authenticate"] == 'Basic realm="Restricted"'
    assert refused.text == "invalid credentials"


async def test_wrong_password_is_refused(served: Served) -> None:
    assert (await served.http.get("/system/functions", auth=("admin", "guess"))).status_code == 401


async def test_api_without_credentials_configured_is_open() -> None:
    async with asyncio.timeout(DEADLINE_S), serving(credentials=None) as served:
        assert (await served.http.get("/system/functions")).status_code == 200


async def test_health_and_metrics_are_open(served: Served) -> None:
    async with httpx.AsyncClient(base_url=served.http.base_url, trust_env=False) as stranger:
        health = await stranger.get("/healthz")
        head = await stranger.head("/healthz")
        metrics = await stranger.get("/metrics")

    assert (health.status_code, health.content, head.status_code) == (200, b"", 200)
    assert metrics.headers["content-type"].startswith("text/plain")
    assert "provider_http_requests_total" in metrics.text


async def test_info_is_whole(served: Served) -> None:
    assert (await served.http.get("/system/info")).json() == {
        "provider": "springtide-memory",
        "orchestration": "memory",
        "version": {"release": "1.2.3", "sha": "abc123", "commit_message": "Say hello"},
    }


@pytest.mark.parametrize("path", ["/", "/system", "/system/telemetry", "/system/functions/a/b", "/docs"])
async def test_unknown_path_is_not_found(served: Served, path: str) -> None:
    answer = await served.http.get(path)

    assert (answer.status_code, answer.text) == (404, "404 page not found")


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("PATCH", "/system/functions"),
        ("POST", "/system/info"),
        ("GET", "/system/scale-function/echo"),
        ("PUT", "/healthz"),
    ],
)
async def test_known_path_with_a_wrong_verb_is_405_and_empty(served: Served, verb: str, path: str) -> None:
    answer = await served.http.request(verb, path)

    assert (answer.status_code, answer.content) == (405, b"")


@pytest.mark.parametrize(
    ("verb", "path", "body"),
    [
        ("GET", "/system/functions?namespace=kube-system", None),
        ("POST", "/system/functions", {"service": "echo", "image": "x", "namespace": "kube-system"}),
        ("DELETE", "/system/functions", {"functionName": "echo", "namespace": "kube-system"}),
        ("GET", "/system/function/echo?namespace=kube-system", None),
        ("POST", "/system/scale-function/echo?namespace=kube-system", {"replicas": 1}),
        ("POST", "/system/wake/echo?namespace=kube-system", {"replicas": 1}),
        ("POST", "/system/secrets", {"name": "a", "value": "b", "namespace": "kube-system"}),
        ("POST", "/system/namespace/kube-system", {"labels": {"openfaas": "1"}}),
        ("DELETE", "/system/namespace/kube-system", None),
    ],
)
async def test_reserved_namespace_is_refused(served: Served, verb: str, path: str, body: object) -> None:
    assert (await served.http.request(verb, path, json=body)).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut short"),
        pytest.param(b"[1]", id="a list"),
        pytest.param(b'"echo"', id="a string"),
        pytest.param(b"null", id="null"),
        pytest.param(b"\xff\xfe", id="not text"),
        pytest.param(b"[" * 100_000, id="nested beyond reason"),
        pytest.param(rb'{"service": "echo", "image": "\ud800"}', id="half a surrogate pair"),
        pytest.param(b'{"service": "echo", "image": "x", "labels": {"a": NaN}}', id="not a number"),
    ],
)
@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("POST", "/system/functions"),
        ("PUT", "/system/functions"),
        ("DELETE", "/system/functions"),
        ("POST", "/system/scale-function/echo"),
        ("POST", "/system/wake/echo"),
        ("POST", "/system/secrets"),
        ("POST", "/system/namespace/"),
    ],
)
async def test_body_that_is_not_an_object_is_400_with_a_reason(
    served: Served, verb: str, path: str, body: bytes
) -> None:
    answer = await served.http.request(verb, path, content=body)

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text.startswith("the body")


@pytest.mark.parametrize("chunked", [False, True], ids=["length told", "chunked"])
async def test_body_beyond_the_bound_is_413(served: Served, chunked: bool) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(2):
            yield b" " * MAX_BODY_BYTES

    content = chunks() if chunked else b" " * (MAX_BODY_BYTES + 1)
    answer = await served.http.post("/system/functions", content=content)

    assert answer.status_code == 413


async def test_body_that_never_comes_is_408() -> None:
    async with serving(read_timeout_s=0.2) as served:
        reader, writer = await served.connect()
        authorization = served.http.headers["authorization"]
        writer.write(
            f"POST /system/functions HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n"
            "Content-Length: 10\r\n\r\n{".encode()
        )

        status_line = await reader.readline()
        await reader.readuntil(b"within read_timeout of the provider (0.2 s)")

        writer.close()
        assert status_line == b"HTTP/1.1 408 Request Timeout\r\n"


async def test_trailing_slash_is_redirected_to_the_clean_path(served: Served) -> None:
    answer = await served.http.get("/system/functions/", follow_redirects=True)

    assert (answer.status_code, answer.json()) == (200, [])
