"""The NATS servers of an installation as processes: by the configuration and the environment of their pods."""

from __future__ import annotations

import base64
import contextlib
import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from springtide.cli import nats_server, ports
from springtide.cli.nats_server import NatsServer
from springtide.cli.ports import PortClaims
from tests.deploy.installations import containers, named

PATIENCE_S = 60.0


@dataclass(frozen=True)
class Server:
    """One pod's."""

    name: str
    client: int
    monitoring: int
    peers: int
    folder: Path

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.client}"

    def ask(self, path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.monitoring}{path}", timeout=10, trust_env=False)


def configuration(installation: str) -> str:
    return str(named(installation, "ConfigMap", "nats-config")["data"]["nats.conf"])


def login(installation: str, folder: Path) -> Path:
    """A folder as the Secret is mounted."""
    secret = _secret(installation)
    folder.mkdir(exist_ok=True)
    for key, text in secret.items():
        (folder / key).write_text(text)
    return folder


@contextlib.contextmanager
def running(installation: str, folder: Path) -> Iterator[Sequence[Server]]:
    """As many as there are pods, ready when entered."""
    count = named(installation, "StatefulSet", "nats")["spec"]["replicas"]
    with PortClaims() as claims, contextlib.ExitStack() as stack:
        servers = [_server(f"nats-{number}", folder, claims) for number in range(count)]
        for server in servers:
            stack.enter_context(_process(installation, server, servers))
        for server in servers:
            _wait_until_ready(installation, server)
        yield servers


def _server(name: str, folder: Path, claims: PortClaims) -> Server:
    client, monitoring, peers = (ports.free("127.0.0.1", claims) for _ in range(3))
    return Server(name, client, monitoring, peers, folder / name)


@contextlib.contextmanager
def _process(installation: str, server: Server, servers: Sequence[Server]) -> Iterator[None]:
    program = nats_server.find("")
    assert isinstance(program, NatsServer)
    server.folder.mkdir()
    (server.folder / "nats.conf").write_text(_here(configuration(installation), server))
    given = {name: _at_ports(value, servers) for name, value in environment(installation, server.name).items()}
    with (server.folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program.program, "--config", server.folder / "nats.conf"], env=given, stdout=log, stderr=log
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(120)


def environment(installation: str, pod: str) -> dict[str, str]:
    """What the kubelet makes of the container's: of the pod, of the Secret, and of what came before."""
    found: dict[str, str] = {}
    for one in containers(named(installation, "StatefulSet", "nats"))[0]["env"]:
        source = one.get("valueFrom", {})
        if "secretKeyRef" in source:
            found[one["name"]] = _secret(installation)[source["secretKeyRef"]["key"]]
        elif "fieldRef" in source:
            assert source["fieldRef"]["fieldPath"] == "metadata.name"
            found[one["name"]] = pod
        else:
            found[one["name"]] = re.sub(r"\$\((\w+)\)", lambda name: found[name[1]], one["value"])
    return found


def _secret(installation: str) -> Mapping[str, str]:
    """The one that is made; of one's own whatever it may hold."""
    name = "nats-auth"
    with contextlib.suppress(StopIteration):
        data = named(installation, "Secret", name)["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}
    return {"nats-user": "somebody", "nats-password": "12345678"}


def _here(text: str, server: Server) -> str:
    """On this machine alone, and in a folder of its own."""
    text = text.replace("store_dir: /data", f'store_dir: "{server.folder / "data"}"')
    told = {4222: server.client, 8222: server.monitoring, 6222: server.peers}
    return re.sub(r'"[^"\s]*:(4222|8222|6222)"', lambda found: f'"127.0.0.1:{told[int(found[1])]}"', text)


def _at_ports(value: str, servers: Sequence[Server]) -> str:
    for server in servers:
        value = value.replace(f"{server.name}.nats-peers.openfaas:6222", f"127.0.0.1:{server.peers}")
    return value


def _wait_until_ready(installation: str, server: Server) -> None:
    """By the question that the kubelet asks."""
    asked = containers(named(installation, "StatefulSet", "nats"))[0]["readinessProbe"]["httpGet"]["path"]
    end = time.monotonic() + PATIENCE_S
    while True:
        with contextlib.suppress(httpx.HTTPError):
            if server.ask(asked).status_code == 200:
                return
        assert time.monotonic() < end, (server.folder / "log").read_text()
        time.sleep(0.05)
