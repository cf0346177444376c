"""What ``springtide explain`` sees around a function, from real listeners."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from springtide.cli import live_status, ports
from springtide.cli.explanation import Calls
from springtide.cli.ports import PortClaims
from springtide.cli.state import Running
from springtide.runtime.basic_auth import Credentials
from springtide.scaler.core.vocabulary import FunctionRef

BUSY = FunctionRef("openfaas-fn", "busy")
METRICS = """\
gateway_function_invocation_inflight{function_name="busy.openfaas-fn"} 3.0
gateway_function_invocation_inflight{function_name="busybody.openfaas-fn"} 50.0
gateway_function_held{function_name="busy.openfaas-fn"} 1.0
gateway_function_last_active_timestamp_seconds{function_name="busy.openfaas-fn"} 1.7e+09
"""


class Part(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status = 200 if self.path in ("/healthz", "/-/ready", "/metrics") else 404
        if self.path == "/-/ready" and self.headers["Authorization"] != OURS.header:
            status = 401
        body = METRICS.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def part() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Part)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def nobody() -> str:
    return f"http://127.0.0.1:{ports.free('127.0.0.1', PortClaims())}"


OURS = Credentials("admin", "secret")


def running(**parts: Any) -> Running:
    return Running(pid=1, gateway="", metrics="", provider="", **parts)


def test_parts_that_answer_are_not_away(part: str, nobody: str) -> None:
    here = running(alert_receiver=part, scaler=part, idler=nobody, prometheus=part, alertmanager=part)

    assert live_status.away(here, OURS) == {"idler"}


def test_parts_that_a_suite_runs_without_are_away(part: str) -> None:
    assert live_status.away(running(alert_receiver=part, scaler=part), OURS) == {"prometheus", "alertmanager", "idler"}


def test_calls_of_all_gateways_are_one_number(part: str) -> None:
    urls = [f"{part}/metrics", f"{part}/metrics"]

    assert live_status.calls(urls, BUSY) == Calls(6.0, 2.0, 1.7e9)


def test_calls_are_not_known_while_one_gateway_does_not_tell(part: str, nobody: str) -> None:
    assert live_status.calls([f"{part}/metrics", f"{nobody}/metrics"], BUSY) is None
    assert live_status.calls([f"{part}/elsewhere"], BUSY) is None


def test_calls_of_a_function_that_the_gateway_does_not_know_are_not_nothing(part: str) -> None:
    assert live_status.calls([f"{part}/metrics"], FunctionRef("openfaas-fn", "nobody")) is None
