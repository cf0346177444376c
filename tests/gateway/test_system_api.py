"""The whole gateway, in front of a real provider API over functions in memory."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from springtide.gateway.route import Route
from springtide.gateway.service import Gateway, GatewayDeps, build
from springtide.gateway.settings import GatewaySettings
from springtide.provider.api import ProviderApi, ProviderApiDeps, ProviderApiSettings
from springtide.provider.api import build as build_provider
from springtide.provider.memory import MemoryProvider
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.clock import SystemClock
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.alertmanager import MAX_DELIVERY_BYTES
from springtide.wire.announced_connectors import Announcement
from springtide.wire.endpoint_stream import Endpoint
from tests.fakes.http import HttpServer
from tests.gateway.harness import Handler, Replica, client, echo, post, until

CREDENTIALS = Credentials("admin", "secret")
AUTH = ("admin", "secret")
SPEC = {"service": "echo", "image": "any"}


class Whole:
    """Gateway, provider and one replica's server. ``provider.replicas`` all are that server."""

    def __init__(self, gateway: Gateway, api: ProviderApi, provider: MemoryProvider, server: Replica) -> None:
        self.gateway, self.api, self.provider, self.server = gateway, api, provider, server
        self.url = f"http://127.0.0.1:{gateway.port}"
        self.http = httpx.AsyncClient(base_url=self.url, auth=AUTH, timeout=60)

    @property
    def route(self) -> Route:
        route = self.gateway.plane.table.by_name(b"echo")
        assert route is not None
        return route

    async def deploy(self, **fields: Any) -> None:
        response = await self.http.post("/system/functions", json={**SPEC, **fields})
        assert response.status_code == 202, response.text


@contextlib.asynccontextmanager
async def whole(handler: Handler = echo, **settings: Any) -> AsyncIterator[Whole]:
    server = Replica(handler)
    await server.start()

    async def start(_: FunctionRef, instance: str) -> Endpoint:
        return replace(server.endpoint, instance=instance)

    provider = MemoryProvider(start_replica=start)
    api = build_provider(ProviderApiSettings(port=0), ProviderApiDeps(provider=provider, credentials=CREDENTIALS))
    await api.start()
    gateway = build(
        replace(
            GatewaySettings(),
            port=0,
            metrics_port=0,
            grace_s=1.0,
            provider_url=f"http://127.0.0.1:{api.port}/",
            **settings,
        ),
        GatewayDeps(credentials=CREDENTIALS, registry=CollectorRegistry(), clock=SystemClock()),
    )
    assert isinstance(gateway, Gateway)
    await gateway.start()
    suite = Whole(gateway, api, provider, server)
    try:
        yield suite
    finally:
        await suite.http.aclose()
        await gateway.stop()
        await api.stop()
        await provider.aclose()
        server.close()


@contextlib.asynccontextmanager
async def alone(**settings: Any) -> AsyncIterator[Gateway]:
    """A gateway that does not wait for its provider."""
    gateway = Gateway(
        replace(GatewaySettings(), port=0, metrics_port=0, first_snapshot_s=0.01, grace_s=1.0, **settings),
        GatewayDeps(CREDENTIALS, CollectorRegistry(), SystemClock()),
    )
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()


# Who may do what.

ROUTES = [
    ("GET", "/system/functions"),
    ("POST", "/system/functions"),
    ("PUT", "/system/functions"),
    ("DELETE", "/system/functions"),
    ("GET", "/system/function/echo"),
    ("POST", "/system/scale-function/echo"),
    ("GET", "/system/secrets"),
    ("POST", "/system/secrets"),
    ("PUT", "/system/secrets"),
    ("DELETE", "/system/secrets"),
    ("GET", "/system/namespaces"),
    ("GET", "/system/namespace/dev"),
    ("POST", "/system/namespace/dev"),
    ("POST", "/system/namespace/"),
    ("PUT", "/system/namespace/dev"),
    ("DELETE", "/system/namespace/dev"),
    ("GET", "/system/logs?name=echo"),
    ("GET", "/system/info"),
    ("GET", "/system/usage"),
    ("GET", "/system/telemetry"),
    ("POST", "/system/alert"),
    ("GET", "/system/scaling/decisions"),
    ("POST", "/system/scaling/decisions"),
    ("GET", "/system/endpoints"),
    ("GET", "/ui/"),
    ("GET", "/ui/app.js"),
    ("GET", "/ui"),
    ("GET", "/system"),
    ("GET", "/system/none"),
    ("GET", "/%73ystem/functions"),
    ("GET", "/system%2Ffunctions"),
    ("GET", "/healthz/../system/functions"),
]
NOWHERE = ("/anything/else", "/favicon.ico", "//system/functions", "/SYSTEM/functions")
"""Paths that lead to nothing, with credentials or without."""


@pytest.mark.uvloop
async def test_nothing_but_health_root_and_functions_is_open() -> None:
    async with whole() as suite, httpx.AsyncClient(base_url=suite.url) as anyone:
        await suite.deploy()
        for method, path in ROUTES:
            for auth in (None, ("admin", "wrong")):
                response = await anyone.request(method, path, auth=auth)
                assert response.status_code == 401, (method, path)
                assert response.headers["www-authenticate"] == 'Basic realm="Restricted"'
                assert response.text == "invalid credentials"
                assert response.headers["x-call-id"]
        for path in NOWHERE:
            assert (await anyone.get(path)).text == "404 page not found", path
            assert (await suite.http.get(path)).text == "404 page not found", path
        assert (await anyone.get("/healthz")).status_code == 200
        assert (await anyone.get("/")).status_code == 307
        assert (await anyone.get("/function/echo")).status_code == 200
        assert (await anyone.post("/async-function/echo")).status_code == 501


@pytest.mark.uvloop
async def test_proxies_of_the_environment_do_not_stand_between_the_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """They would be shown the credentials, and need not reach the provider at all."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)

    async with (
        whole() as suite,
        httpx.AsyncClient(trust_env=False, base_url=suite.url, auth=suite.http.auth) as http,
    ):
        assert (await http.get("/system/functions")).json() == []


@pytest.mark.uvloop
async def test_functions_life_over_the_system_api() -> None:
    async with whole() as suite:
        http = suite.http

        assert (await http.get("/system/functions")).json() == []
        await suite.deploy(labels={"a": "b"})
        (listed,) = (await http.get("/system/functions", params={"namespace": "openfaas-fn"})).json()
        assert (listed["name"], listed["replicas"]) == ("echo", 1)
        assert "invocationCount" not in listed
        assert (await http.get("/function/echo")).status_code == 200
        status = (await http.get("/system/function/echo")).json()
        assert status["labels"]["a"] == "b"
        assert (await http.put("/system/functions", json={**SPEC, "image": "other"})).status_code == 202
        assert (await http.get("/system/function/echo")).json()["image"] == "other"
        deleted = await http.request("DELETE", "/system/functions", json={"functionName": "echo"})
        assert deleted.status_code == 202
        assert (await http.get("/system/function/echo")).status_code == 404
        await until(lambda: suite.gateway.plane.table.by_name(b"echo") is None)
        assert (await http.get("/function/echo")).status_code == 404


@pytest.mark.uvloop
async def test_new_function_answers_as_soon_as_its_deployment_was_accepted() -> None:
    async with whole() as suite:
        for number in range(20):
            await suite.deploy(service=f"f{number}")
            assert (await suite.http.get(f"/function/f{number}")).status_code == 200


@pytest.mark.uvloop
async def test_scaled_to_zero_and_called_again() -> None:
    async with whole() as suite:
        await suite.deploy(labels={"com.openfaas.scale.min": "2"})
        scaled = await suite.http.post("/system/scale-function/echo", json={"serviceName": "echo", "replicas": 0})
        assert scaled.status_code == 202
        await until(lambda: not suite.route.ready)

        called = await suite.http.get("/function/echo")

        assert called.status_code == 200
        assert "hold;dur=" in called.headers["server-timing"]
        assert (await suite.http.get("/system/function/echo")).json()["replicas"] == 2
        told = (await suite.http.get("/system/scaling/decisions")).text.splitlines()
        woken = [decision for decision in map(json.loads, told) if decision["writer"] == "wake"]
        assert [(one["reason"], one["before"], one["after"]) for one in woken] == [("wake", 0, 2)]


@pytest.mark.uvloop
async def test_five_hundred_callers_at_zero_wake_the_function_once_and_all_are_answered() -> None:
    async with whole() as suite:
        await suite.deploy()
        await suite.http.post("/system/scale-function/echo", json={"serviceName": "echo", "replicas": 0})
        await until(lambda: not suite.route.ready and suite.route.desired == 0)

        async def call(number: int) -> tuple[int, bytes]:
            async with client(suite.gateway.port) as caller:
                await caller.send(post(b"%d" % number))
                answer = await caller.answer()
                return answer.status, answer.body

        answers = await asyncio.gather(*(call(number) for number in range(500)))

        assert answers == [(200, b"%d" % number) for number in range(500)]
        told = (await suite.http.get("/system/scaling/decisions")).text.splitlines()
        assert [one["reason"] for one in map(json.loads, told) if one["writer"] == "wake"] == ["wake"]


@pytest.mark.uvloop
async def test_deployment_that_is_too_large_is_413() -> None:
    async with whole() as suite:
        response = await suite.http.post("/system/functions", content=b"x" * 5_000_000)

        assert response.status_code == 413


@pytest.mark.uvloop
async def test_secrets_and_namespaces_are_passed_on_with_their_answers() -> None:
    async with whole() as suite:
        http = suite.http

        assert (await http.post("/system/secrets", json={"name": "s", "value": "v"})).status_code == 202
        again = await http.post("/system/secrets", json={"name": "s", "value": "v"})
        assert again.status_code == 409
        assert (await http.get("/system/secrets")).json() == [{"name": "s", "namespace": "openfaas-fn"}]
        assert (await http.get("/system/namespaces")).json() == ["openfaas-fn"]
        created = await http.post("/system/namespace/dev", json={"name": "dev", "annotations": {"openfaas": "1"}})
        assert created.is_success
        assert (await http.get("/system/namespaces")).json() == ["dev", "openfaas-fn"]
        assert (await http.get("/system/namespace/dev")).json()["name"] == "dev"


@pytest.mark.uvloop
async def test_list_counts_invocations_from_our_own_counters_without_prometheus() -> None:
    async with whole() as suite:
        await suite.deploy()
        for _ in range(3):
            await suite.http.get("/function/echo")

        (listed,) = (await suite.http.get("/system/functions")).json()

        assert listed["invocationCount"] == 3


@pytest.mark.uvloop
async def test_list_counts_invocations_from_prometheus() -> None:
    asked: list[str] = []

    async def answer(path: str) -> tuple[int, bytes]:
        asked.append(path)
        row = {"metric": {"function_name": "echo.openfaas-fn"}, "value": [1.0, "41"]}
        return 200, json.dumps({"status": "success", "data": {"resultType": "vector", "result": [row]}}).encode()

    prometheus = HttpServer(answer)
    await prometheus.start()
    async with whole(prometheus_url=f"http://127.0.0.1:{prometheus.port}") as suite:
        await suite.deploy()

        (listed,) = (await suite.http.get("/system/functions")).json()

        assert listed["invocationCount"] == 41
        assert "gateway_function_invocation_total" in asked[0]
    await prometheus.stop()


@pytest.mark.uvloop
@pytest.mark.parametrize(
    "body", [pytest.param(b"nonsense", id="not JSON"), pytest.param(b'{"data":{"result":[{}]}}', id="not a vector")]
)
async def test_list_is_unchanged_when_prometheus_makes_no_sense(body: bytes) -> None:
    async def answer(_: str) -> tuple[int, bytes]:
        return 200, body

    prometheus = HttpServer(answer)
    await prometheus.start()
    async with whole(prometheus_url=f"http://127.0.0.1:{prometheus.port}") as suite:
        await suite.deploy()

        (listed,) = (await suite.http.get("/system/functions")).json()

        assert (listed["name"], "invocationCount" in listed) == ("echo", False)
    await prometheus.stop()


@pytest.mark.uvloop
async def test_list_is_unchanged_when_prometheus_is_down() -> None:
    async with whole(prometheus_url="http://127.0.0.1:1") as suite:
        await suite.deploy()

        assert len((await suite.http.get("/system/functions")).json()) == 1


@pytest.mark.uvloop
async def test_info_names_gateway_and_provider() -> None:
    async with whole() as suite:
        info = (await suite.http.get("/system/info")).json()

        assert info["provider"]["provider"] == "springtide-memory"
        assert info["version"]["release"]
        assert info["arch"]


@pytest.mark.uvloop
async def test_provider_away_is_told_and_calls_go_on() -> None:
    async with whole() as suite:
        await suite.deploy()
        assert (await suite.http.get("/function/echo")).status_code == 200
        await suite.api.stop()
        await until(lambda: not suite.gateway.plane.table.connected)

        info = await suite.http.get("/system/info")
        listed = await suite.http.get("/system/functions")
        health = await suite.http.get("/healthz")
        known = await suite.http.get("/function/echo")
        unknown = await suite.http.get("/function/unknown")

        assert (info.status_code, info.json()["provider"]["provider"]) == (200, "unknown")
        assert listed.status_code == health.status_code == 502
        assert "provider" in listed.text
        assert known.status_code == 200
        assert (unknown.status_code, unknown.headers["retry-after"]) == (503, "1")


@pytest.mark.uvloop
async def test_logs_are_streamed_line_by_line() -> None:
    async with whole() as suite:
        await suite.deploy()
        ref = FunctionRef("openfaas-fn", "echo")
        suite.provider.write_log(ref, "echo-1", "first")

        async with suite.http.stream("GET", "/system/logs", params={"name": "echo", "follow": "true"}) as response:
            lines = response.aiter_lines()
            assert response.status_code == 200
            assert response.headers["content-type"] == "application/x-ndjson"
            assert json.loads(await anext(lines))["text"] == "first"
            for number in range(3):
                suite.provider.write_log(ref, "echo-1", f"line {number}")
                assert json.loads(await anext(lines))["text"] == f"line {number}"

        bad = await suite.http.get("/system/logs", params={"name": "echo", "tail": "many"})
        assert bad.status_code == 422
        assert bad.text.startswith("tail: 'many' is not a number; write")


@pytest.mark.uvloop
async def test_endpoints_and_decisions_are_streamed_through() -> None:
    watch = {"watch": "true"}
    async with whole() as suite, suite.http.stream("GET", "/system/endpoints", params=watch) as response:
        lines = response.aiter_lines()
        assert json.loads(await anext(lines))["type"] == "snapshot"
        await suite.deploy()
        assert json.loads(await anext(lines))["function"]["name"] == "echo"


@pytest.mark.uvloop
async def test_alert_goes_to_the_alert_receiver_with_its_body() -> None:
    got: list[bytes] = []

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        got.extend((head, await reader.readexactly(length)))
        writer.write(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
        writer.close()

    receiver = await asyncio.start_server(receive, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{receiver.sockets[0].getsockname()[1]}/alerts"
    delivery = b'{"alerts":[]}'.ljust(MAX_DELIVERY_BYTES)
    async with whole(alert_receiver_url=url) as suite:
        answered = await suite.http.post("/system/alert", content=delivery)
        too_long = await suite.http.post("/system/alert", content=delivery + b" ")

        assert (answered.status_code, answered.text) == (500, "no")
        assert (too_long.status_code, too_long.text) == (
            413,
            "a delivery has at most 8388608 bytes; group alerts by function_name",
        )
        assert got[0].startswith(b"POST /alerts HTTP/1.1\r\n")
        assert f"authorization: {CREDENTIALS.header}".encode() in got[0]
        assert got[1:] == [delivery]
    receiver.close()


async def test_alert_goes_to_the_copy_of_the_receiver_that_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, bytes]] = []

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        address = writer.get_extra_info("sockname")[0]
        asked.append((address, await reader.readexactly(length)))
        status = b"200 OK" if address == "127.0.0.3" else b"503 Service Unavailable"
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 7\r\nConnection: close\r\n\r\nstandby")
        writer.close()

    standby = await asyncio.start_server(receive, "127.0.0.2", 0)
    port = standby.sockets[0].getsockname()[1]
    leader = await asyncio.start_server(receive, "127.0.0.3", port)
    resolve = socket.getaddrinfo

    def copies(host: str, *rest: Any, **more: Any) -> Any:
        if host != "alert-receiver.openfaas":
            return resolve(host, *rest, **more)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{end}", port)) for end in (2, 3, 4)]

    monkeypatch.setattr(socket, "getaddrinfo", copies)
    async with whole(alert_receiver_url=f"http://alert-receiver.openfaas:{port}/alerts") as suite:
        answered = await suite.http.post("/system/alert", content=b'{"alerts":[]}')

        assert answered.status_code == 200
        assert asked == [("127.0.0.2", b'{"alerts":[]}'), ("127.0.0.3", b'{"alerts":[]}')]
    standby.close()
    leader.close()


@pytest.mark.uvloop
async def test_alert_without_a_receiver_is_501() -> None:
    async with whole() as suite:
        response = await suite.http.post("/system/alert", content=b"{}")

        assert (response.status_code, "alert_receiver_url" in response.text) == (501, True)


@pytest.mark.uvloop
async def test_unknown_paths_and_wrong_verbs() -> None:
    async with whole() as suite:
        unknown = await suite.http.get("/system/nonsense")
        wrong = await suite.http.patch("/system/functions")
        ui = await suite.http.get("/ui/")

        assert (unknown.status_code, unknown.text) == (404, "404 page not found")
        assert (wrong.status_code, wrong.text) == (405, "")
        assert (ui.status_code, "console" in ui.text) == (404, True)
        assert all(response.headers["x-start-time"] for response in (unknown, wrong, ui))


@pytest.mark.uvloop
async def test_request_is_forwarded_as_it_came_but_for_its_credentials() -> None:
    heads: list[bytes] = []

    async def provider(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 202 Accepted\r\nX-Own: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(provider, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with (
        alone(provider_url=url) as gateway,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway.port}", auth=AUTH) as http,
    ):
        response = await http.post(
            "/system/scale-function/%65cho?namespace=x&y=%20", headers={"X-Mine": "1", "If-Match": '"7"'}
        )
    (head,) = [head for head in heads if head.startswith(b"POST")]
    server.close()

    assert (response.status_code, response.headers["x-own"]) == (202, "1")
    assert head.startswith(b"POST /system/scale-function/%65cho?namespace=x&y=%20 HTTP/1.1\r\n")
    assert b"\r\nx-mine: 1\r\n" in head.lower()
    assert b'\r\nif-match: "7"\r\n' in head.lower()
    assert head.lower().count(b"\r\nauthorization:") == 1
    assert CREDENTIALS.header.encode() in head


# The service.


@pytest.mark.uvloop
async def test_metrics_port_serves_metrics_and_health() -> None:
    async with (
        whole() as suite,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{suite.gateway.metrics_port}") as http,
    ):
        await suite.deploy()
        await suite.http.get("/function/echo")

        metrics = await http.get("/metrics")
        health = await http.get("/healthz")
        wrong = await http.post("/healthz")

        assert 'gateway_function_invocation_total{code="200",function_name="echo.openfaas-fn"} 1.0' in metrics.text
        assert (health.status_code, health.text) == (200, "OK")
        assert wrong.status_code == 405


@pytest.mark.uvloop
async def test_call_in_flight_is_finished_when_the_gateway_stops() -> None:
    go_on = asyncio.Event()

    async with whole() as suite:

        async def slow(conversation: Any) -> None:
            await conversation.request()
            await go_on.wait()
            await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")

        suite.server._handler = slow
        await suite.deploy()
        calling = asyncio.create_task(suite.http.get("/function/echo"))
        await suite.server.heads.acquire()

        stopping = asyncio.create_task(suite.gateway.stop())
        while True:  # until the listener is closed
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", suite.gateway.port)
            except ConnectionRefusedError:
                break
            writer.close()
            await asyncio.sleep(0.001)
        assert not calling.done()
        go_on.set()
        response = await calling

        assert (response.text, response.headers["connection"]) == ("late", "close")
        await stopping
        await suite.gateway.stop()


@pytest.mark.uvloop
async def test_port_in_use_is_one_sentence_and_leaves_nothing_behind() -> None:
    async with whole() as suite:
        second = Gateway(
            GatewaySettings(port=suite.gateway.port, metrics_port=0, provider_url=f"http://127.0.0.1:{suite.api.port}"),
            GatewayDeps(CREDENTIALS, CollectorRegistry(), SystemClock()),
        )
        with pytest.raises(Exception, match=rf"cannot listen on 127.0.0.1:{suite.gateway.port}"):
            await second.start()
        await second.stop()


@pytest.mark.uvloop
async def test_gateway_starts_before_its_provider() -> None:
    async with (
        alone(provider_url="http://127.0.0.1:1") as gateway,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway.port}") as http,
    ):
        response = await http.get("/function/echo")

        assert response.status_code == 503


@pytest.mark.uvloop
async def test_schedules_are_asked_of_the_cron_part_behind_the_credentials() -> None:
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        writer.close()

    cron = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{cron.sockets[0].getsockname()[1]}"
    async with whole(cron_url=url) as suite:
        listed = await suite.http.get("/system/schedules?next=3")
        paused = await suite.http.post("/system/schedules/report/pause?namespace=dev")
        unknown = await suite.http.get("/system/schedules", auth=("admin", "wrong"))

    assert (listed.status_code, paused.status_code, unknown.status_code) == (200, 200, 401)
    assert [head.partition(b"\r\n")[0] for head in asked] == [
        b"GET /system/schedules?next=3 HTTP/1.1",
        b"POST /system/schedules/report/pause?namespace=dev HTTP/1.1",
    ]
    assert all(CREDENTIALS.header.encode() in head for head in asked)
    cron.close()


@pytest.mark.uvloop
async def test_what_pauses_have_taught_is_asked_of_the_cron_part() -> None:
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.extend((head.partition(b"\r\n")[0], await reader.readexactly(len(b'{"functions": []}'))))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        writer.close()

    cron = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{cron.sockets[0].getsockname()[1]}"
    async with whole(cron_url=url) as suite:
        told = await suite.http.post("/system/sleep", content=b'{"functions": []}')
        unknown = await suite.http.post("/system/sleep", content=b"{}", auth=("admin", "wrong"))
    async with whole() as suite:
        nobody = await suite.http.post("/system/sleep", content=b"{}")

    assert (told.status_code, unknown.status_code, nobody.status_code) == (200, 401, 501)
    assert asked == [b"POST /system/sleep HTTP/1.1", b'{"functions": []}']
    cron.close()


@pytest.mark.uvloop
async def test_schedules_without_a_cron_part_are_501() -> None:
    async with whole() as suite:
        response = await suite.http.get("/system/schedules")

        assert (response.status_code, "cron_url" in response.text) == (501, True)


@contextlib.asynccontextmanager
async def connectors(*times: str) -> AsyncIterator[tuple[list[str], list[str]]]:
    """One for each time, which is that of its only event; their addresses, and what each was asked."""
    asked: list[str] = []
    async with contextlib.AsyncExitStack() as stack:
        urls = []
        for time in times:

            async def answer(target: str, time: str = time) -> tuple[int, bytes]:
                asked.append(target)
                return 200, json.dumps([{"time": time, "topic": "orders"}]).encode()

            server = HttpServer(answer)
            await server.start()
            stack.push_async_callback(server.stop)
            urls.append(f"http://127.0.0.1:{server.port}")
        yield urls, asked


@pytest.mark.uvloop
async def test_events_of_all_connectors_are_told_the_newest_first_and_who_does_not_answer_is_named() -> None:
    async with (
        connectors("2026-01-01T10:00:00.000+00:00", "2026-01-01T12:00:00.000+00:00") as (urls, asked),
        whole(connector_urls=(*urls, "http://127.0.0.1:9")) as suite,
    ):
        told = (await suite.http.get("/system/events", params={"function": "bill", "limit": "5"})).json()
        newest = (await suite.http.get("/system/events?limit=1")).json()
        wrong = await suite.http.get("/system/events?limit=0")
        unknown = await suite.http.get("/system/events", auth=("admin", "wrong"))

    assert [event["time"][11:13] for event in told["events"]] == ["12", "10"]
    assert [(one["url"], one["problem"] is None) for one in told["connectors"]] == [
        (urls[0], True),
        (urls[1], True),
        ("http://127.0.0.1:9", False),
    ]
    assert asked[:2] == ["/events?limit=5&function=bill.openfaas-fn"] * 2
    assert [event["time"][11:13] for event in newest["events"]] == ["12"]
    assert (wrong.status_code, unknown.status_code) == (400, 401)


@pytest.mark.uvloop
async def test_events_without_a_connector_are_501() -> None:
    async with whole() as suite:
        response = await suite.http.get("/system/events")

        assert (response.status_code, "connector_urls" in response.text) == (501, True)


@pytest.mark.uvloop
async def test_connectors_of_this_machine_are_asked_while_they_say_that_they_are_there(tmp_path: Path) -> None:
    async with connectors("2026-01-01T10:00:00.000+00:00") as (urls, _), whole(connectors_dir=str(tmp_path)) as suite:
        before = (await suite.http.get("/system/events")).json()
        announcement = Announcement(tmp_path, lambda: urls[0])
        await announcement.start()
        told = (await suite.http.get("/system/events")).json()
        await announcement.stop()
        after = (await suite.http.get("/system/events")).json()

    assert before == after == {"events": [], "connectors": []}
    assert told["connectors"] == [{"url": urls[0], "problem": None}]
    assert len(told["events"]) == 1
