"""From a counter to a webhook through the real Prometheus and the real Alertmanager, at intervals of half a second."""

from __future__ import annotations

import base64
import json
import queue
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import bcrypt
import httpx
import pytest

from springtide.alert_receiver.payload import LOAD
from springtide.cli.tools import Tools
from springtide.rules import (
    BasicAuth,
    Login,
    Targets,
    Timing,
    Webhook,
    alertmanager_arguments,
    local_configuration,
    prometheus_arguments,
)
from springtide.scaler.core import catalogue

TIMING = Timing(
    gateway_scrape_s=0.4, parts_scrape_s=1, evaluation_s=0.4, window_s=2, group_interval_s=0.5, repeat_s=0.7
)
DEADLINE_S = 120
BUSY = 40.0
"""Calls a second, far above the threshold."""


class Gateway:
    """The metrics of a gateway whose functions are called at the rates set; ``scrapable`` off is an outage."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rates: dict[str, float] = {}
        self._counts: dict[str, float] = {}
        self._counted_to = time.monotonic()
        self.scrapable = True

    def call(self, function: str, rate: float) -> None:
        self._count()
        with self._lock:
            self._rates[function] = rate
            self._counts.setdefault(function, 0.0)

    def metrics(self) -> str:
        self._count()
        name = catalogue.STARTED.name
        lines = [f'{name}{{function_name="{function}"}} {int(count)}' for function, count in self._counts.items()]
        return "\n".join([f"# TYPE {name} counter", *lines, ""])

    def _count(self) -> None:
        with self._lock:
            now = time.monotonic()
            for function, rate in self._rates.items():
                self._counts[function] += rate * (now - self._counted_to)
            self._counted_to = now


@dataclass
class Delivery:
    """One webhook request of Alertmanager."""

    authorization: str | None
    payload: dict[str, Any]

    @property
    def function(self) -> str:
        return str(self.payload["groupLabels"]["function_name"])

    @property
    def group(self) -> str:
        return str(self.payload["groupKey"])

    @property
    def alert(self) -> dict[str, Any]:
        [alert] = self.payload["alerts"]
        return dict(alert)


@dataclass
class AlertPath:
    gateway: Gateway
    arrived: queue.Queue[Delivery]
    all: list[Delivery] = field(default_factory=list)

    def next(self, function: str, status: str = "firing") -> Delivery:
        """The next delivery about the function with that status; what comes before it is kept in ``all`` too."""
        while True:
            delivery = self.arrived.get(timeout=DEADLINE_S)
            self.all.append(delivery)
            if delivery.function == function and delivery.payload["status"] == status:
                return delivery


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def metrics_handler(gateway: Gateway) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = gateway.metrics().encode()
            self.send_response(200 if gateway.scrapable else 500)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def webhook_handler(arrived: queue.Queue[Delivery]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()
            arrived.put(Delivery(self.headers["Authorization"], payload))

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@contextmanager
def running(program: Path, arguments: list[str], listen: str, log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen([program, *arguments], stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + DEADLINE_S
        while not is_ready(f"http://{listen}/-/ready"):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=120)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def is_ready(url: str) -> bool:
    try:
        return httpx.get(url, auth=("admin", "open sesame"), timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def free_address() -> str:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture
def path(tools: Tools, tmp_path: Path) -> Iterator[AlertPath]:
    alert_path = AlertPath(Gateway(), queue.Queue())
    with ExitStack() as stack:
        gateway = stack.enter_context(serving(metrics_handler(alert_path.gateway)))
        receiver = stack.enter_context(serving(webhook_handler(alert_path.arrived)))
        targets = Targets(
            gateway_metrics=gateway,
            provider=receiver,  # answers no scrape, as parts do that are down; only the gateway's metrics count here
            alert_receiver=receiver,
            idler=receiver,
            scaler=receiver,
            cron=receiver,
            console=receiver,
            prometheus=free_address(),
            alertmanager=free_address(),
        )
        (tmp_path / "password").write_text("open sesame\n")
        auth = BasicAuth("admin", str(tmp_path / "password"))
        login = Login(auth=auth, password_hash=bcrypt.hashpw(b"open sesame", bcrypt.gensalt(4)).decode())
        for name, text in local_configuration(TIMING, targets, Webhook(f"http://{receiver}/", auth), login).items():
            (tmp_path / name).write_text(text)
        for program, arguments, listen in (
            (tools.alertmanager, alertmanager_arguments, targets.alertmanager),
            (tools.prometheus, prometheus_arguments, targets.prometheus),
        ):
            log = tmp_path / f"{program.name}.log"
            command = arguments(tmp_path, tmp_path / f"{program.name}-data", listen)
            stack.enter_context(running(program, command, listen, log))
        yield alert_path


def test_each_function_is_told_of_by_itself_again_and_again_until_its_load_ends(path: AlertPath) -> None:
    path.gateway.call("a.openfaas-fn", BUSY)
    path.gateway.call("b.openfaas-fn", 0)
    path.gateway.call("calm.openfaas-fn", 1)
    first = path.next("a.openfaas-fn")
    repeated = path.next("a.openfaas-fn")
    path.gateway.call("b.openfaas-fn", BUSY)
    other = path.next("b.openfaas-fn")
    after_other = path.next("a.openfaas-fn")
    path.gateway.call("a.openfaas-fn", 0)
    ended = path.next("a.openfaas-fn", "resolved")
    other_still = path.next("b.openfaas-fn")

    assert first.alert["labels"]["alertname"] == "APIHighInvocationRate"
    assert first.alert["labels"]["function_name"] == "a.openfaas-fn"
    assert first.authorization == "Basic " + base64.b64encode(b"admin:open sesame").decode()
    assert first.payload["version"] == "4"
    # What the alert receiver reads from it: a measured value, the threshold, and when that was.
    told = LOAD.fullmatch(first.alert["annotations"]["load"])
    assert told is not None
    assert (float(told[1]) > 5, told[2], told[3]) == (True, "calls/s", "5")
    assert abs(time.time() - float(told[4])) < DEADLINE_S
    # The same occurrence of the same alert throughout: the receiver tells a repeat from a new one by these.
    identities = {
        (delivery.group, delivery.alert["fingerprint"], delivery.alert["startsAt"])
        for delivery in (first, repeated, after_other, ended)
    }
    assert len(identities) == 1
    assert other.group != first.group
    assert other_still.alert["startsAt"] == other.alert["startsAt"]
    assert all(delivery.alert["labels"]["function_name"] == delivery.function for delivery in path.all)
    assert {delivery.function for delivery in path.all} == {"a.openfaas-fn", "b.openfaas-fn"}


def test_an_outage_of_the_gateways_metrics_resolves_nothing_and_the_return_without_load_does(path: AlertPath) -> None:
    path.gateway.call("a.openfaas-fn", BUSY)
    before = path.next("a.openfaas-fn")

    path.gateway.scrapable = False
    path.gateway.call("a.openfaas-fn", 0)
    # One repeat takes step_every_s (1 s): these span four times the window that the load was measured over.
    during = [path.next("a.openfaas-fn") for _ in range(8)]
    path.gateway.scrapable = True
    after = path.next("a.openfaas-fn", "resolved")

    assert {delivery.payload["status"] for delivery in path.all[:-1]} == {"firing"}
    assert {delivery.alert["startsAt"] for delivery in (before, *during, after)} == {before.alert["startsAt"]}
