"""The alert receiver over a real socket, with payloads as Alertmanager 0.25 sends them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry

from springtide.alert_receiver.service import AlertReceiverDeps, build
from springtide.alert_receiver.settings import AlertReceiverSettings
from springtide.alert_receiver.webhook import MAX_DELIVERIES, Webhook
from springtide.runtime.asgi_server import bind
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.clock import SystemClock
from springtide.runtime.errors import Unavailable
from springtide.runtime.served_loop import ServedLoop
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.alertmanager import MAX_DELIVERY_BYTES
from tests.fakes.alertmanager import alert, body
from tests.fakes.cluster import Cluster, Decisions

ECHO = FunctionRef("openfaas-fn", "echo")
MAIL = FunctionRef("team", "mail")
JSON = {"Content-Type": "application/json", "User-Agent": "Alertmanager/0.25.0"}


@contextlib.asynccontextmanager
async def receiver(
    cluster: Cluster,
    *,
    credentials: Credentials | None = None,
    **changed: object,
) -> AsyncIterator[tuple[httpx.AsyncClient, ServedLoop]]:
    settings = AlertReceiverSettings(port=0, **changed)  # type: ignore[arg-type]
    deps = AlertReceiverDeps(
        target=cluster,
        credentials=credentials,
        registry=CollectorRegistry(),
        recorder=Decisions(),
        clock=SystemClock(),
    )
    service = build(settings, deps)
    await service.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{service.port}", headers=JSON) as client:
            yield client, service
    finally:
        await service.stop()


@contextlib.asynccontextmanager
async def received(
    *, credentials: Credentials | None = None, **changed: object
) -> AsyncIterator[tuple[httpx.AsyncClient, Cluster, ServedLoop]]:
    cluster = Cluster()
    async with receiver(cluster, credentials=credentials, **changed) as (client, service):
        yield client, cluster, service


@pytest.mark.parametrize("path", ["/", "/alert", "/system/alert"])
async def test_delivery_steps_each_function_once_and_is_answered_200_without_a_body(path: str) -> None:
    async with received() as (client, cluster, _):
        await cluster.deploy(ECHO)
        await cluster.deploy(MAIL, replicas=10)

        answer = await client.post(
            path,
            content=body(
                alert("echo.openfaas-fn"), alert(None, name="TargetDown"), alert("mail.team", "resolved"), alert("gone")
            ),
        )

        assert (answer.status_code, answer.content) == (200, b"")
        assert sorted(cluster.writes) == [(ECHO, 5), (MAIL, 6)]


async def test_write_carries_the_decision_and_its_reason() -> None:
    async with received() as (client, cluster, _):
        await cluster.deploy(ECHO)
        await client.post("/alert", content=body(alert("echo")))

        [decision] = cluster.decisions
        assert (decision.before, decision.after, decision.reason) == (1, 5, "alert_firing")
        assert decision.detail == "alert FunctionBusy fires: +4 (step 4, max 20)"


async def test_bare_names_are_in_the_default_namespace() -> None:
    async with received(default_namespace="team") as (client, cluster, _):
        await cluster.deploy(FunctionRef("team", "echo"))
        await client.post("/alert", content=body(alert("echo"), alert("echo.openfaas-fn", name="Slow")))

        assert cluster.writes == [(FunctionRef("team", "echo"), 5)]


async def test_failures_are_answered_500_naming_each_so_that_alertmanager_repeats() -> None:
    async def down() -> None:
        raise Unavailable("provider: ConnectError")

    async with received() as (client, cluster, _):
        await cluster.deploy(ECHO)
        await cluster.deploy(MAIL)
        cluster.on_read[ECHO] = down
        content = body(alert("echo"), alert("mail.team"))

        answer = await client.post("/alert", content=content)
        assert (answer.status_code, answer.text) == (500, "echo.openfaas-fn: provider: ConnectError")

        cluster.on_read.clear()
        repeated = await client.post("/alert", content=content)
        assert (repeated.status_code, repeated.text) == (200, "")
        assert cluster.writes == [(MAIL, 5), (ECHO, 5)]


@pytest.mark.parametrize(
    ("content", "status", "why"),
    [
        pytest.param(b"", 400, "a body is required", id="no body"),
        pytest.param(b"{", 400, "the body is not JSON", id="bad JSON"),
        pytest.param(b"[]", 400, "must be a JSON object", id="not an object"),
        pytest.param(b"{}", 400, "alerts: must be a list", id="no alerts"),
        pytest.param(b" " * (MAX_DELIVERY_BYTES + 1), 413, "at most 8388608 bytes", id="too long"),
    ],
)
async def test_bad_delivery_is_refused_with_the_reason(content: bytes, status: int, why: str) -> None:
    async with received() as (client, _, _):
        answer = await client.post("/alert", content=content)

        assert answer.status_code == status
        assert why in answer.text


async def test_body_without_a_length_is_cut_short_as_well() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 65536

    async with received() as (client, _, service):
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(b"POST /alert HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            async for chunk in endless():
                writer.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                await writer.drain()
                if reader._buffer:  # type: ignore[attr-defined]
                    break
        assert (await reader.readline()).startswith(b"HTTP/1.1 413")
        writer.close()
        assert (await client.get("/healthz")).status_code == 200


async def test_body_that_says_it_is_too_long_is_refused_unread() -> None:
    async with received() as (_, _, service):
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(f"POST /alert HTTP/1.1\r\nHost: x\r\nContent-Length: {MAX_DELIVERY_BYTES + 1}\r\n\r\n".encode())
        async with asyncio.timeout(60):
            assert (await reader.readline()).startswith(b"HTTP/1.1 413")
        writer.close()


async def test_largest_body_that_is_allowed_is_taken() -> None:
    async with received() as (client, cluster, _):
        await cluster.deploy(ECHO)
        content = body(alert("echo"))

        answer = await client.post("/alert", content=content + b" " * (MAX_DELIVERY_BYTES - len(content)))

        assert answer.status_code == 200
        assert cluster.writes == [(ECHO, 5)]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/alert", 405),
        ("PUT", "/", 405),
        ("POST", "/alerts", 404),
        ("POST", "/metrics", 405),
        ("GET", "/x", 404),
    ],
)
async def test_what_is_not_a_webhook_is_refused(method: str, path: str, status: int) -> None:
    async with received() as (client, _, _):
        assert (await client.request(method, path)).status_code == status


CREDENTIALS = Credentials("alertmanager", "s3cret")


@pytest.mark.parametrize("path", ["/", "/alert", "/system/alert", "/anything", "/metrics/", "/healthz/x"])
@pytest.mark.parametrize(
    "given",
    [{}, {"Authorization": Credentials("alertmanager", "wrong").header}, {"Authorization": "Basic Og=="}],
    ids=["none", "wrong", "empty"],
)
async def test_nothing_but_metrics_and_health_is_open(path: str, given: dict[str, str]) -> None:
    async with received(credentials=CREDENTIALS) as (client, cluster, _):
        await cluster.deploy(ECHO)
        answer = await client.post(path, content=body(alert("echo")), headers=given)

        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == 'Basic realm="Restricted"'
        assert cluster.writes == []


async def test_credentials_open_the_webhook() -> None:
    async with received(credentials=CREDENTIALS) as (client, cluster, _):
        await cluster.deploy(ECHO)
        answer = await client.post("/alert", content=body(alert("echo")), auth=("alertmanager", "s3cret"))

        assert answer.status_code == 200
        assert cluster.writes == [(ECHO, 5)]


async def test_metrics_and_health_are_open_and_tell_what_happened() -> None:
    async with received(credentials=CREDENTIALS) as (client, cluster, _):
        await cluster.deploy(ECHO)
        auth = ("alertmanager", "s3cret")
        await client.post("/alert", content=body(alert("echo")), auth=auth)
        await client.post("/alert", content=body(alert("echo")), auth=auth)
        await client.post("/alert", content=b"{", auth=auth)
        await client.post("/alert", content=b"{")
        await client.post("/unknown/path", content=b"{", auth=auth)

        health, metrics = await client.get("/healthz"), (await client.get("/metrics")).text
        assert (health.status_code, health.text) == (200, "OK")
        for line in (
            'springtide_alert_webhooks_total{code="200"} 2.0',
            'springtide_alert_webhooks_total{code="400"} 1.0',
            'springtide_alert_webhooks_total{code="401"} 1.0',
            'springtide_decisions_total{reason="alert_firing",writer="alert"} 1.0',
            'springtide_decisions_total{reason="redelivered",writer="alert"} 1.0',
        ):
            assert line in metrics.splitlines()
        assert 'code="404"' not in metrics  # only answers to the webhook are counted


async def test_descent_goes_on_after_a_restart(tmp_path: Path) -> None:
    """Alertmanager tells of the end only once, so what was heard must outlive the process that heard it."""
    file = tmp_path / "alerts.json"
    at_min = asyncio.Event()

    cluster = Cluster()
    await cluster.deploy(ECHO, replicas=20)
    async with receiver(cluster, state_file=file, step_interval_s=3600.0) as (client, _):
        assert (await client.post("/alert", content=body(alert("echo", "resolved")))).status_code == 200
    assert cluster.writes == [(ECHO, 16)]

    async def note() -> None:
        if await cluster.count(ECHO) == 4:
            at_min.set()

    cluster.on_write[ECHO] = note
    async with receiver(cluster, state_file=file, step_interval_s=0.1), asyncio.timeout(60):
        await at_min.wait()
    async with receiver(cluster, state_file=file, step_interval_s=0.1):
        pass

    assert cluster.writes[:4] == [(ECHO, 16), (ECHO, 12), (ECHO, 8), (ECHO, 4)]


async def test_repeat_after_a_restart_is_not_a_second_step(tmp_path: Path) -> None:
    file = tmp_path / "alerts.json"

    cluster = Cluster()
    await cluster.deploy(ECHO)
    for _ in range(2):
        async with receiver(cluster, state_file=file, step_interval_s=3600.0) as (client, _service):
            assert (await client.post("/alert", content=body(alert("echo")))).status_code == 200

    assert cluster.writes == [(ECHO, 5)]


async def test_damaged_state_file_is_set_aside_and_alerts_scale(tmp_path: Path) -> None:
    (tmp_path / "alerts.json").write_text("{")
    cluster = Cluster()
    await cluster.deploy(ECHO)
    async with receiver(cluster, state_file=tmp_path / "alerts.json") as (client, _):
        await client.post("/alert", content=body(alert("echo")))

    assert cluster.writes == [(ECHO, 5)]
    assert len(list(tmp_path.glob("alerts.json.damaged-*"))) == 1


async def test_port_in_use_stops_the_start_with_one_sentence() -> None:
    with contextlib.closing(bind("127.0.0.1", 0)) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        service = build(
            AlertReceiverSettings(port=port),
            AlertReceiverDeps(
                target=Cluster(),
                credentials=None,
                registry=CollectorRegistry(),
                recorder=Decisions(),
                clock=SystemClock(),
            ),
        )
        with pytest.raises(Unavailable, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            await service.start()
        await service.stop()


async def test_delivery_under_way_is_finished_on_stop() -> None:
    cluster, writing, go_on = Cluster(), asyncio.Event(), asyncio.Event()
    await cluster.deploy(ECHO)

    async def slowly() -> None:
        writing.set()
        await go_on.wait()

    cluster.on_write[ECHO] = slowly
    async with receiver(cluster) as (client, service):
        delivering = asyncio.create_task(client.post("/alert", content=body(alert("echo"))))
        await writing.wait()
        stopping = asyncio.create_task(service.stop())
        await asyncio.sleep(0)
        go_on.set()

        assert (await delivering).status_code == 200
        await stopping
    assert cluster.writes == [(ECHO, 5)]


async def test_more_deliveries_than_can_be_dealt_with_are_put_off() -> None:
    async def call(webhook: Webhook) -> int:
        status = 0

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": body(), "more_body": False}

        async def send(message: dict[str, object]) -> None:
            nonlocal status
            status = int(str(message.get("status", status)))

        await webhook({"path": "/alert", "method": "POST", "headers": []}, receive, send)  # type: ignore[arg-type]
        return status

    under_way, full, go_on = 0, asyncio.Event(), asyncio.Event()

    async def slowly(_: object) -> list[str]:
        nonlocal under_way
        under_way += 1
        if under_way == MAX_DELIVERIES:
            full.set()
        await go_on.wait()
        return []

    webhook = Webhook(slowly, default_namespace="ns")
    waiting = [asyncio.create_task(call(webhook)) for _ in range(MAX_DELIVERIES)]
    await full.wait()

    assert await call(webhook) == 503
    go_on.set()
    assert set(await asyncio.gather(*waiting)) == {200}
    assert await call(webhook) == 200
    assert repr(webhook) == "<Webhook 0 deliveries under way>"


async def test_sender_who_leaves_in_the_middle_of_the_body_steps_nothing() -> None:
    async with received() as (client, cluster, service):
        await cluster.deploy(ECHO)
        content = body(alert("echo"))
        with socket.create_connection(("127.0.0.1", service.port)) as connection:
            head = f"POST /alert HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content) + 1}\r\n\r\n".encode()
            connection.sendall(head + content)  # whole, but for one byte that was promised
        metrics = ""
        async with asyncio.timeout(60):
            while "webhooks_total{" not in metrics:
                metrics = (await client.get("/metrics")).text

        assert 'springtide_alert_webhooks_total{code="400"} 1.0' in metrics
        assert cluster.writes == []
