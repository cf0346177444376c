"""The client against our own API on a real socket, and against providers that are down, foreign or broken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from springtide.runtime.asgi import Receive, Scope, Send
from springtide.runtime.asgi_server import AsgiServer, bind
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.errors import (
    BadInput,
    Conflict,
    NotFound,
    SpringtideError,
    Unauthenticated,
    Unavailable,
    Unsupported,
)
from springtide.scaler.core.call_timeout import CallTimeout
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE, Decision, FunctionRef, Instant, Reason, Writer
from springtide.wire.endpoint_stream import Changed, Snapshot
from springtide.wire.provider_client import ProviderClient, owner_of
from tests.provider.api.served import CREDENTIALS, Served, serving

ECHO = FunctionRef(DEFAULT_NAMESPACE, "echo")
GHOST = FunctionRef(DEFAULT_NAMESPACE, "ghost")
STEP = Decision(ECHO, Writer.ALERT, 1, 5, Reason.ALERT_FIRING, "alert “High” fires: +4", Instant(1_700_000_000.5))
DEADLINE_S = 30.0


@asynccontextmanager
async def client_of(
    port: int, credentials: Credentials | None = CREDENTIALS, **more: Any
) -> AsyncIterator[ProviderClient]:
    client = ProviderClient(f"http://127.0.0.1:{port}/", credentials, **more)
    try:
        yield client
    finally:
        await client.aclose()


@asynccontextmanager
async def real_api() -> AsyncIterator[tuple[ProviderClient, Served]]:
    async with serving() as served, client_of(served.api.port) as client:
        await served.deploy(labels={"team": "a"}, annotations={"topic": "t"})
        yield client, served


@asynccontextmanager
async def foreign(answers: dict[str, tuple[int, bytes]], *, timeout_s: float = 5.0) -> AsyncIterator[ProviderClient]:
    """A stand-in for a foreign provider: paths it knows, everything else is 404."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        status, body = answers.get(scope["path"], (404, b"404 page not found"))
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body})

    server = AsgiServer(app, name="foreign")
    await server.start()
    try:
        async with client_of(server.port, None, timeout_s=timeout_s) as client:
            yield client
    finally:
        await server.stop()


async def test_list_and_read_know_the_function() -> None:
    async with real_api() as (client, served):
        (listed,) = await client.list_functions()
        read = await client.read(ECHO)
        truth = await served.memory.read(ECHO)

        for function in (listed, read):
            assert function.ref == ECHO
            assert (function.scale.desired, function.scale.ready) == (1, 1)
            assert dict(function.labels) == {"team": "a", "faas_function": "echo"}
            assert dict(function.annotations) == {"topic": "t"}
            assert function.created_at == pytest.approx(truth.created_at, abs=1e-5)
        assert read.scale.version == truth.scale.version
        assert listed.scale.version == ""


async def test_list_is_of_every_namespace() -> None:
    async with real_api() as (client, served):
        await served.http.post("/system/namespace/dev", json={"labels": {"openfaas": "1"}})
        await served.deploy(namespace="dev")

        refs = [function.ref for function in await client.list_functions()]

        assert refs == [FunctionRef("dev", "echo"), ECHO]


async def test_write_is_compare_and_set() -> None:
    async with real_api() as (client, served):
        version = (await client.read(ECHO)).scale.version

        scale = await client.write(ECHO, 2, expect=version, decision=None)
        with pytest.raises(Conflict, match="version"):
            await client.write(ECHO, 3, expect=version, decision=None)

        truth = (await served.memory.read(ECHO)).scale
        assert (truth.desired, truth.version) == (2, scale.version)


async def test_write_without_expectation_always_wins() -> None:
    async with real_api() as (client, served):
        for replicas in (2, 3):
            await client.write(ECHO, replicas, expect=None, decision=None)

        assert (await served.memory.read(ECHO)).scale.desired == 3


async def test_decision_travels_with_the_write() -> None:
    async with real_api() as (client, served):
        await client.write(ECHO, 5, expect=None, decision=STEP)
        await client.write(ECHO, 2, expect=None, decision=None)

        first, second = served.decisions.since(0)
        assert first == STEP
        assert (second.writer, second.before, second.after) == (Writer.PERSON, 5, 2)


async def test_reported_decisions_are_recorded() -> None:
    async with real_api() as (client, served):
        await client.report([STEP, STEP])

        assert served.decisions.since(0) == [STEP, STEP]


@pytest.mark.parametrize(
    ("act", "error"),
    [
        pytest.param(lambda client: client.read(GHOST), NotFound, id="read of an unknown function"),
        pytest.param(
            lambda client: client.write(GHOST, 1, expect=None, decision=None),
            NotFound,
            id="write of an unknown function",
        ),
        pytest.param(lambda client: client.write(ECHO, -1, expect=None, decision=None), BadInput, id="bad count"),
        pytest.param(
            lambda client: client.read(FunctionRef(DEFAULT_NAMESPACE, "../functions")),
            NotFound,
            id="name with a way out",
        ),
    ],
)
async def test_refusals_are_told_as_our_errors(
    act: Callable[[ProviderClient], Awaitable[object]], error: type[SpringtideError]
) -> None:
    async with real_api() as (client, _):
        with pytest.raises(error):
            await act(client)


async def test_wrong_credentials_are_unauthenticated_everywhere() -> None:
    async with real_api() as (_, served), client_of(served.api.port, Credentials("admin", "guess")) as stranger:
        with pytest.raises(Unauthenticated):
            await stranger.list_functions()
        with pytest.raises(Unauthenticated):
            await anext(stranger.watch_endpoints())


async def test_watch_passes_on_the_snapshot_and_changes() -> None:
    async with real_api() as (client, served):
        async with aclosing(client.watch_endpoints()) as events:
            first = await anext(events)
            await served.memory.write(ECHO, 2, expect=None, decision=None)
            second = await anext(events)

        assert isinstance(first, Snapshot)
        assert [function.ref for function in first.functions] == [ECHO]
        assert isinstance(second, Changed)
        assert (second.function.replicas, len(second.function.endpoints)) == (2, 2)


async def test_watch_that_breaks_is_unavailable() -> None:
    async with real_api() as (client, served), aclosing(client.watch_endpoints()) as events:
        await anext(events)
        await served.api.stop()

        with pytest.raises(Unavailable):
            await anext(events)


async def test_provider_that_is_down_is_unavailable() -> None:
    # Bound and not listening: nobody else can take the port, and nobody answers.
    with bind("127.0.0.1", 0) as taken:
        async with client_of(taken.getsockname()[1]) as client:
            for act in (
                client.list_functions(),
                client.read(ECHO),
                client.write(ECHO, 1, expect=None, decision=None),
                client.report([STEP]),
                anext(client.watch_endpoints()),
            ):
                with pytest.raises(Unavailable, match="provider"):
                    await act


async def test_provider_that_drips_its_answer_is_unavailable_within_the_deadline() -> None:
    async def drip(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b" ", "more_body": True})
            await asyncio.sleep(0.01)

    server = AsgiServer(drip, name="drip", grace_s=1)
    await server.start()
    async with asyncio.timeout(DEADLINE_S), client_of(server.port, timeout_s=0.2) as client:
        with pytest.raises(Unavailable, match="no whole answer in time"):
            await client.read(ECHO)
    await server.stop()


async def test_stream_that_breaks_off_in_the_middle_of_a_line_is_unavailable() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1b\r\n{"type": "snapshot", "funct\r\n')
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with asyncio.timeout(DEADLINE_S), server, client_of(server.sockets[0].getsockname()[1]) as client:
        with pytest.raises(Unavailable):
            await anext(client.watch_endpoints())


async def test_foreign_provider_without_namespaces_lists_its_functions() -> None:
    born = b'"createdAt": "2024-01-01T00:00:00.123456789Z"'
    listed = b'[{"name": "echo", "replicas": 2, "labels": null, ' + born + b'}, {"name": "b"}]'

    async with foreign({"/system/functions": (200, listed)}) as client:
        echo, other = await client.list_functions()

        assert echo.ref == ECHO
        assert (echo.scale.desired, echo.scale.ready, dict(echo.labels)) == (2, 0, {})
        assert echo.created_at == pytest.approx(1_704_067_200.123456)
        assert (other.scale.desired, other.created_at) == (0, None)


async def test_foreign_provider_tells_how_long_calls_may_take_by_environment_and_annotations() -> None:
    env = b'{"name": "env", "envVars": {"exec_timeout": "10m", "password": "x"}, "annotations": null}'
    both = b'{"name": "both", "envVars": {"exec_timeout": "1m"}, "annotations": {"com.springtide.timeout": "5m"}}'
    odd = b'{"name": "odd", "envVars": ["exec_timeout"], "annotations": {"com.springtide.timeout": 5}}'

    async with foreign({"/system/functions": (200, b"[%b, %b, %b]" % (env, both, odd))}) as client:
        told = {function.ref.name: function.call_timeout for function in await client.list_functions()}

    assert told == {
        "env": CallTimeout(600, "exec_timeout"),
        "both": CallTimeout(300, "com.springtide.timeout"),
        "odd": None,
    }


async def test_foreign_provider_with_null_lists_has_no_functions() -> None:
    async with foreign({"/system/functions": (200, b"null"), "/system/namespaces": (200, b"null")}) as client:
        assert list(await client.list_functions()) == []


async def test_namespace_deleted_while_listing_is_left_out() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        gone = b"namespace=gone" in scope["query_string"]
        body = b'["gone", "there"]' if scope["path"] == "/system/namespaces" else b'[{"name": "echo"}]'
        await send({"type": "http.response.start", "status": 404 if gone else 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    server = AsgiServer(app, name="foreign")
    await server.start()
    async with asyncio.timeout(DEADLINE_S), client_of(server.port) as client:
        assert [function.ref for function in await client.list_functions()] == [FunctionRef("there", "echo")]
    await server.stop()


@pytest.mark.parametrize("status", [404, 501])
async def test_foreign_provider_without_an_endpoint_stream_is_unsupported(status: int) -> None:
    async with foreign({"/system/endpoints": (status, b"no")}) as client:
        with pytest.raises(Unsupported):
            await anext(client.watch_endpoints())


@pytest.mark.parametrize(
    "body", [b"<html>", b"5", b'{"a": 1}', b'["echo"]', b'[{"image": "x"}]', b'[{"name": "a", "replicas": "x"}]']
)
async def test_list_that_makes_no_sense_is_unavailable(body: bytes) -> None:
    async with foreign({"/system/functions": (200, body)}) as client:
        with pytest.raises(Unavailable):
            await client.list_functions()


async def test_what_is_no_provider_at_all_is_unavailable() -> None:
    async with foreign({}) as client:
        with pytest.raises(Unavailable):
            await client.list_functions()


async def test_read_of_a_foreign_provider_has_no_version() -> None:
    async with foreign({"/system/function/echo": (200, b'{"name": "echo", "replicas": 1}')}) as client:
        assert (await client.read(ECHO)).scale.version == ""


@pytest.mark.parametrize("status", [500, 502, 418])
async def test_other_failures_are_unavailable_and_tell_what_was_said(status: int) -> None:
    async with foreign({"/system/function/echo": (status, b"out of cheese")}) as client:
        with pytest.raises(Unavailable, match="out of cheese"):
            await client.read(ECHO)


@pytest.mark.parametrize(
    ("told", "labels", "owner"),
    [
        pytest.param("scaler", {}, Writer.SCALER, id="told"),
        pytest.param("none", {}, None, id="nobody, told"),
        pytest.param("a later one's", {}, None, id="a writer of a later version's"),
        pytest.param(None, {}, Writer.ALERT, id="not told: the alert path"),
        pytest.param(None, {"com.openfaas.scale.target": "5"}, Writer.ALERT, id="not told: no loop is known of"),
        pytest.param(None, {"com.openfaas.scale.type": "cpu"}, Writer.HPA, id="not told: an HPA by its label"),
        pytest.param(None, {"com.openfaas.scale.min": "20"}, None, id="not told: a fixed size"),
    ],
)
def test_owner_is_whom_the_provider_tells_else_by_labels(
    told: str | None, labels: dict[str, str], owner: Writer | None
) -> None:
    function = {"labels": labels} | ({} if told is None else {"owner": told})

    assert owner_of(function) is owner
