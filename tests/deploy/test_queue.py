"""Asynchronous calls on a cluster: the NATS server's configuration at a real one, and what the parts are told of it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.rendering import Object
from springtide.cli.parts import gateway, queue_worker
from springtide.gateway.asynchronous.accepting import callback_rules as gateways_rules
from springtide.queue_worker.settings import callback_rules as workers_rules
from springtide.runtime.errors import BadInput, Unavailable
from springtide.wire.jobs.bounds import Bounds
from springtide.wire.jobs.callback_address import CallbackRules
from springtide.wire.jobs.nats.connection import Connection
from springtide.wire.jobs.nats.inspection import inspect
from springtide.wire.jobs.nats.streams import Streams
from springtide.wire.jobs.settings import BrokerSettings
from tests.deploy import broker
from tests.deploy.broker import Server
from tests.deploy.installations import INSTALLATIONS, containers, environment, named, of_kind, workloads
from tests.deploy.parts import running
from tests.kubernetes.emulator import EmulatorSettings, ThreadedEmulator, running_in_thread
from tests.kubernetes.stories import handler

PATIENCE_S = 90.0
PARTS = ("gateway", "queue-worker")
HANDLER = """
from pathlib import Path

def handle(event, context):
    with Path({file!r}).open("a") as file:
        file.write(event.body.decode() + "\\n")
"""

with_nats = pytest.mark.parametrize(
    "installation", [name for name in INSTALLATIONS if any(of_kind(name, "StatefulSet"))]
)


# The server.


@pytest.mark.parametrize("installation", ["defaults", "IPv6", "a NATS for trying out"])
def test_the_server_keeps_calls_as_the_values_say(installation: str, tmp_path: Path) -> None:
    with broker.running(installation, tmp_path) as (server,):
        told = server.ask("/varz").json()

    jetstream = told["jetstream"]["config"]
    size = {"defaults": 9216, "IPv6": 9216, "a NATS for trying out": 450}[installation]
    assert told["server_name"] == "nats-0"
    assert told["auth_required"] is True
    assert jetstream["sync_always"] is True
    assert jetstream["max_storage"] == size * 1024 * 1024
    assert told["max_payload"] == 8 * 1024 * 1024


def test_nobody_comes_in_without_the_password(tmp_path: Path) -> None:
    folder = broker.login("defaults", tmp_path / "login")

    async def seen(server: Server, credentials: str) -> str:
        connection = Connection(
            BrokerSettings(nats_url=(server.url,), nats_credentials_path=credentials), name="a test"
        )
        try:
            return (await inspect(connection)).id
        finally:
            await connection.aclose()

    with broker.running("defaults", tmp_path) as (server,):
        assert asyncio.run(seen(server, str(folder)))
        with pytest.raises(Unavailable, match="Authorization"):
            asyncio.run(seen(server, ""))
        (folder / "nats-password").write_text("wrong")
        with pytest.raises(Unavailable, match="Authorization"):
            asyncio.run(seen(server, str(folder)))


def test_three_servers_find_each_other_and_each_keeps_every_call(tmp_path: Path) -> None:
    """With a password of digits alone, which the server would take for a number."""
    folder = broker.login("most", tmp_path / "login")
    given = environment(containers(named("most", "Deployment", "gateway"))[0])
    settings = gateway.BROKER.read(given, {})

    async def kept(servers: list[Server]) -> tuple[int, int]:
        told = replace(settings, nats_url=(servers[0].url,), nats_credentials_path=str(folder))
        connection = Connection(told, name="a test")
        try:
            streams = Streams(connection, Bounds(), replicas=told.queue_replicas)
            end = time.monotonic() + PATIENCE_S
            while True:
                with contextlib.suppress(Unavailable):  # as long as they elect who leads
                    await streams.queue("faas-request")
                    (stream,) = (await inspect(connection)).streams
                    if not stream.leaderless and stream.behind == 0:
                        return stream.replicas, stream.behind
                assert time.monotonic() < end
                await asyncio.sleep(0.1)
        finally:
            await connection.aclose()

    with broker.running("most", tmp_path) as servers:
        assert [server.ask("/routez").json()["num_routes"] > 0 for server in servers] == [True, True, True]
        assert asyncio.run(kept(list(servers))) == (3, 0)
        assert servers[0].ask("/varz").json()["jetstream"]["config"]["sync_interval"] == 120 * 10**9


@with_nats
def test_what_calls_are_kept_in_outlives_the_pod_unless_it_is_for_trying_out(installation: str) -> None:
    spec = named(installation, "StatefulSet", "nats")["spec"]
    mounted = {mount["name"]: mount["mountPath"] for mount in containers({"spec": spec})[0]["volumeMounts"]}
    claims = {claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", ())}
    scratch = {volume["name"] for volume in spec["template"]["spec"]["volumes"] if "emptyDir" in volume}

    assert mounted["data"] == "/data"
    assert "store_dir: /data\n" in broker.configuration(installation)
    assert (claims, scratch) == ((set(), {"data"}) if installation == "a NATS for trying out" else ({"data"}, set()))


@with_nats
def test_a_change_of_the_configuration_replaces_the_pods(installation: str) -> None:
    template = named(installation, "StatefulSet", "nats")["spec"]["template"]

    assert len(template["metadata"]["annotations"]["checksum/configuration"]) == 64


# What the parts are told.


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    ("installation", "urls", "login", "replicas"),
    [
        ("defaults", ("nats://nats.openfaas:4222",), "/var/nats", 1),
        ("no authentication", ("nats://nats.openfaas:4222",), "/var/nats", 1),
        ("most", ("nats://nats.openfaas:4222",), "/var/nats", 3),
        (
            "one's own NATS",
            ("tls://nats-0.example.org:4222", "tls://nats-1.example.org:4222"),
            "/var/nats/app.creds",
            3,
        ),
    ],
)
def test_the_parts_know_the_broker_and_have_its_login(
    installation: str, urls: tuple[str, ...], login: str, replicas: int, part: str
) -> None:
    deployment = named(installation, "Deployment", part)
    container = containers(deployment)[0]
    settings = gateway.BROKER.read(environment(container), {})
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    secrets = _secrets(deployment)

    assert (settings.nats_url, settings.nats_credentials_path) == (urls, login)
    assert settings.queue_replicas == replicas
    assert secrets[mounts["/var/nats"]] == INSTALLATIONS[installation].get("nats", {}).get(
        "credentialsSecret", "nats-auth"
    )
    assert (settings.nats_ca_path == "/var/nats-ca/ca.crt") is (installation == "one's own NATS")
    if settings.nats_ca_path:
        assert secrets[mounts["/var/nats-ca"]] == "broker-ca"


@pytest.mark.parametrize("installation", ["least", "no NATS"])
def test_without_a_broker_there_is_no_worker_and_the_gateway_knows_none(installation: str) -> None:
    given = environment(containers(named(installation, "Deployment", "gateway"))[0])

    assert {one["metadata"]["name"] for one in workloads(installation)} & {"nats", "queue-worker"} == set()
    assert not {name for name in given if name.startswith(("nats_", "callback_"))}


def test_callbacks_are_signed_with_the_secret_that_is_named() -> None:
    deployment = named("most", "Deployment", "queue-worker")
    container = containers(deployment)[0]
    settings = queue_worker.SETTINGS.read(environment(container), {})

    assert settings.callback_secret_path == "/var/callbacks/secret"
    assert _secrets(deployment)["callbacks"] == "hooks"
    assert {"name": "callbacks", "mountPath": "/var/callbacks", "readOnly": True} in container["volumeMounts"]


def _rules(installation: str, part: str) -> CallbackRules:
    given = environment(containers(named(installation, "Deployment", part))[0])
    callbacks = gateway.CALLBACKS.read(given, {})
    if part == "gateway":
        return gateways_rules(gateway.SETTINGS.read(given, {}, callbacks=callbacks))
    return workers_rules(queue_worker.SETTINGS.read(given, {}, callbacks=callbacks))


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    "url",
    [
        "http://gateway:8080/function/told",
        "http://gateway.openfaas:8080/function/told",
        "http://gateway.openfaas.svc:8080/function/told",
        "http://gateway.openfaas.svc.cluster.local:8080/function/told",
        "http://hook.team.svc:8081/",
        "http://provider.team:8081/",
        "https://hooks.example.org/x",
    ],
)
def test_callbacks_go_to_functions_and_outside(part: str, url: str) -> None:
    _rules("defaults", part).check(url)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    "url",
    [
        "http://gateways:8082/metrics",
        "http://provider:8081/system/functions",
        "http://provider.openfaas:8081/system/functions",
        "http://PROVIDER.openfaas.svc.cluster.local.:8081/system/functions",
        "http://alert-receiver.openfaas.svc:8083/system/alert",
        "http://scaler.openfaas:8086/",
        "http://idler.openfaas:8084/",
        "http://console.openfaas:8085/",
        "http://queue-worker.openfaas:8087/",
        "http://prometheus.openfaas:9090/-/quit",
        "http://alertmanager.openfaas.svc:9093/api/v2/alerts",
        "http://nats.openfaas:8222/",
        "http://nats-0.nats-peers.openfaas.svc:8222/",
        "https://kubernetes.default.svc/api",
        "https://kubernetes/api",
        "http://127.0.0.1:8087/metrics",
        "http://169.254.169.254/latest/meta-data",
    ],
)
def test_callbacks_never_go_to_the_suite_or_the_node(part: str, url: str) -> None:
    with pytest.raises(BadInput, match="X-Callback-Url"):
        _rules("defaults", part).check(url)


@pytest.mark.parametrize("part", PARTS)
def test_where_else_callbacks_may_and_may_not_go_is_a_value(part: str) -> None:
    rules = _rules("most", part)

    rules.check("http://a.example.org/")
    rules.check("http://10.1.2.3:8443/")
    rules.check("http://gateway.openfaas:8080/function/told")
    for url in ("http://db.team/", "http://elsewhere.test/", "http://provider.openfaas:8081/"):
        with pytest.raises(BadInput, match="X-Callback-Url"):
            rules.check(url)


# All of it together.


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[ThreadedEmulator]:
    folder = tmp_path / "noted"
    folder.mkdir()
    images = {"noted": handler(folder, HANDLER.format(file=str(tmp_path / "ran")))}
    with running_in_thread(EmulatorSettings(hpa_period_s=3600.0), images=images) as started:
        yield started


@pytest.mark.usefixtures("pod_network")
def test_a_call_that_the_gateway_accepts_is_run_by_the_worker(emulator: ThreadedEmulator, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    with contextlib.ExitStack() as stack:
        (server,) = stack.enter_context(broker.running("defaults", tmp_path))
        provider = stack.enter_context(running(emulator, "defaults", "provider", tmp_path / "provider", {}))
        told = {
            "functions_provider_url": str(provider.http.base_url),
            "nats_url": server.url,
            "nats_credentials_path": str(broker.login("defaults", tmp_path / "login")),
        }
        more = {"metrics_port": "0", "grace": "1s", "prometheus_url": "", **told}
        gateways = stack.enter_context(running(emulator, "defaults", "gateway", tmp_path / "gateway", more))
        answer = provider.http.post("/system/functions", json={"service": "noted", "image": "noted"})
        assert answer.status_code == 202, answer.text
        _until(lambda: gateways.http.get("/function/noted").status_code == 200, gateways.log)
        ran.unlink()

        accepted = gateways.http.post("/async-function/noted", content="before there is a worker")
        refused = gateways.http.post(
            "/async-function/noted", headers={"X-Callback-Url": "http://alertmanager.openfaas:9093/api/v2/alerts"}
        )
        assert (accepted.status_code, refused.status_code) == (202, 400)
        assert not ran.exists()

        at = {**told, "gateway_url": str(gateways.http.base_url)}
        worker = stack.enter_context(running(emulator, "defaults", "queue-worker", tmp_path / "worker", at))
        _until(lambda: ran.exists() and ran.read_text() == "before there is a worker\n", worker.log)


def _secrets(deployment: Object) -> dict[str, str]:
    """Volume → Secret."""
    volumes = deployment["spec"]["template"]["spec"]["volumes"]
    return {volume["name"]: volume["secret"]["secretName"] for volume in volumes if "secret" in volume}


def _until(holds: Callable[[], bool], log: Path) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, log.read_text()[-5000:]
        time.sleep(0.05)
