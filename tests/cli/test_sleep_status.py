"""When functions whose sleep is learned sleep and wake, in lists of functions."""

from __future__ import annotations

import io
import json
import math
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from rich.console import Console

from springtide.cli.gateway_client import GatewayClient
from springtide.cli.sleep_status import SOON_S, SleepStatus, statuses
from springtide.cli.top.gateway_poller import GatewayPoller
from springtide.cli.top.rows import to_json
from springtide.cli.top.screen import Order, screen
from springtide.scaler.core.keepalive.rule import Basis, NotLearned, Why, Window
from springtide.scaler.core.learned_silence import LearnedSilence
from springtide.scaler.core.vocabulary import FunctionRef, Instant
from springtide.wire import learned_sleep

NOW = 1_700_000_000.0
LEARNED = {"com.openfaas.scale.zero": "true", "com.springtide.scale.zero-policy": "learned"}
WHY = Why(Basis.PAUSES, pauses=9, worth_s=900, within_s=540, ended_share=0.71)


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def ref(name: str) -> FunctionRef:
    return FunctionRef("fn", name)


def plan(*ages: tuple[float, float], forecasts: bool = True) -> LearnedSilence:
    """Windows in seconds since ``NOW``, in a pause that began a minute before."""
    windows = (Window(NOW - 60, NOW + ages[0][1]), *(Window(NOW + since, NOW + until) for since, until in ages[1:]))
    return LearnedSilence(windows, Instant(NOW - 60), WHY, forecasts)


TOLD: learned_sleep.Silences = {
    ref("awake"): plan((0, 600)),
    ref("ever"): plan((0, math.inf)),
    ref("likely"): plan((-30, -10), (3600, 7200)),
    ref("rare"): plan((-30, -10), (2 * SOON_S, 3 * SOON_S)),
    ref("asleep"): plan((-30, -10)),
    ref("distrusted"): plan((-30, -10), (3600, 7200), forecasts=False),
    ref("new"): NotLearned("none of its pauses is known"),
    ref("by default"): NotLearned("its sleep is not learned"),
}
SAID = {
    "awake": "at 22:23",
    "ever": "never",
    "likely": "until ~23:13",
    "rare": "until ~Thu 14:13",
    "asleep": "until called",
    "distrusted": "until called",
    "new": "–",
}
AWAKE = ("awake", "ever", "new")


class Suite(BaseHTTPRequestHandler):
    """A gateway with a function of each kind, and one that may not sleep."""

    asked: list[Any]

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        listed = [
            {"name": one.name, "namespace": "fn", "replicas": int(one.name in AWAKE), "labels": self._labels(one.name)}
            for one in (*TOLD, ref("steady"))
        ]
        self._answer(json.dumps(listed) if path == "/system/functions" else "")

    def do_POST(self) -> None:
        self.asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self._answer(learned_sleep.encode(TOLD, {}, NOW).decode())

    def _labels(self, name: str) -> dict[str, str]:
        if name == "steady":
            return {}
        return LEARNED if name != "by default" else {"com.openfaas.scale.zero": "true"}

    def _answer(self, text: str) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def suite() -> Iterator[str]:
    Suite.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Suite)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_each_is_told_in_a_few_letters(suite: str) -> None:
    with GatewayClient(suite, None) as client:
        functions = {FunctionRef("fn", each["name"]): each for each in client.functions(None)}
        found = statuses(client, functions, NOW)

    assert {one.name: status.said(NOW) for one, status in found.items()} == SAID
    assert sorted(Suite.asked[0]["functions"]) == sorted(str(one) for one in TOLD), "of who may sleep, and of no other"


@pytest.mark.parametrize(
    ("status", "told"),
    [
        pytest.param(SleepStatus(True, Instant(NOW)), {"asleep": True, "until": NOW}, id="until a likely call"),
        pytest.param(SleepStatus(False), {"asleep": False, "until": None}, id="awake for ever"),
        pytest.param(SleepStatus(False, why="no"), {"asleep": False, "until": None, "why": "no"}, id="not learned"),
    ],
)
def test_for_programs_it_is_an_instant(status: SleepStatus, told: dict[str, Any]) -> None:
    assert status.json() == {"policy": "learned", **told}


def test_nobody_is_asked_where_nobody_may_sleep_by_learning(suite: str) -> None:
    fixed = {"com.openfaas.scale.zero": "true", "com.springtide.scale.zero-policy": "fixed"}
    with GatewayClient(suite, None) as client:
        assert statuses(client, {ref("a"): {"labels": fixed}, ref("b"): {"labels": None}, ref("c"): {}}, NOW) == {}

    assert Suite.asked == []


def test_nothing_is_told_where_nobody_learns() -> None:
    with GatewayClient("http://127.0.0.1:1", None) as client:
        assert statuses(client, {ref("a"): {"labels": LEARNED}}, NOW) == {}


def test_list_has_a_column_of_it_and_json_the_instants(suite: str, terminal: Any) -> None:
    head, *lines = terminal("list", "-g", suite).out.splitlines()
    told = {each["name"]: each.get("sleep") for each in json.loads(terminal("list", "--json", "-g", suite).out)}

    assert head.split() == ["Function", "Invocations", "Replicas", "Ready", "Sleeps"]
    cells = {line[: head.index("Invocations")].strip(): line[head.index("Sleeps") :] for line in lines}
    assert (cells["ever"], cells["asleep"], cells["steady"]) == ("never", "until called", "")
    assert told["awake"] == {"policy": "learned", "asleep": False, "until": NOW + 600}
    assert told["steady"] is None


def test_top_has_a_column_of_it(suite: str) -> None:
    with GatewayPoller(GatewayClient(suite, None), [f"{suite}/metrics"], None) as poller:
        look = poller.look(now=1.0, wall=NOW)
    console = Console(width=120, file=io.StringIO(), highlight=False)
    console.print(screen(look, console, Order("name"), look.rows))
    drawn = console.file.getvalue()  # type: ignore[attr-defined]

    assert "SLEEPS" in drawn
    assert "until ~23:13" in drawn
    told = {each["function"]: each.get("sleep") for each in to_json(look)["functions"]}
    assert told["awake"] == {"policy": "learned", "asleep": False, "until": NOW + 600}
    assert (told["steady"], told["by default"]) == (None, None)
