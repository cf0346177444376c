"""``springtide top`` before a real gateway, and on a real pseudo-terminal."""

from __future__ import annotations

import contextlib
import fcntl
import http.server
import io
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from springtide.cli.gateway_client import GatewayClient
from springtide.cli.top.gateway_poller import GatewayPoller
from springtide.cli.top.keyboard import Keyboard
from springtide.cli.top.rows import to_json
from springtide.cli.top.screen import Order, screen

ROOT = Path(__file__).parents[2]
DEADLINE_S = 120.0
STYLES = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def busy(springtide: Any) -> Any:
    """One function that was scaled and called, one that sleeps."""
    for name in ("busy", "asleep"):
        assert springtide("deploy", name, "--fprocess", "cat").status == 0
    springtide("scale", "busy", "3")
    springtide("scale", "asleep", "0")
    springtide("invoke", "busy", piped=b"x")
    return springtide


def test_once_prints_one_table(busy: Any, api: Any) -> None:
    outcome = busy("top", "--once", "--every", "0.2", "--metrics-url", api.metrics_url, "--sort", "name")

    assert (outcome.status, outcome.err) == (0, "")
    title, head, asleep, running = (line.split() for line in outcome.out.splitlines())
    assert title[0] == api.url
    assert head[:3] == ["FUNCTION", "READY", "RATE/s"]
    assert asleep[:3] == ["asleep", "0/0", "0.0"]
    assert running[:3] == ["busy", "3/3", "0.0"]
    assert "\x1b" not in outcome.out


def test_json_tells_numbers_and_the_last_decision(busy: Any, api: Any) -> None:
    outcome = busy("top", "--once", "--json", "--every", "0.2", "--metrics-url", api.metrics_url, "--sort", "replicas")

    (line,) = outcome.out.splitlines()
    first, second = json.loads(line)["functions"]
    assert (first["function"], first["desired"], first["ready"], first["rate"]) == ("busy", 3, 3, 0.0)
    assert (first["in_flight"], first["held"]) == (0, 0)
    assert (first["last_decision"]["before"], first["last_decision"]["after"]) == (1, 3)
    assert (second["function"], second["last_decision"]["reason"]) == ("asleep", "manual")


class Suite(http.server.BaseHTTPRequestHandler):
    """A gateway and a scaler in one, with a function that the loop follows by three loads and one that nobody has."""

    annotations = {"com.springtide.scale.also": "cpu=50m,jobs=4"}  # noqa: RUF012 - never changed
    labels = {"com.openfaas.scale.type": "capacity", "com.openfaas.scale.target": "2"}  # noqa: RUF012

    def do_GET(self) -> None:
        followed = {"name": "followed", "namespace": "fn", "replicas": 3, "availableReplicas": 2, "owner": "scaler"}
        followed |= {"labels": self.labels, "annotations": self.annotations}
        nobodys = {"name": "nobodys", "namespace": "fn", "replicas": 1, "availableReplicas": 1, "owner": "none"}
        answers = {
            "/system/functions": json.dumps([followed, nobodys]),
            "/gateway": 'gateway_function_invocation_inflight{function_name="followed.fn"} 3.0\n',
            "/scaler": 'springtide_function_load{function_name="followed.fn",scaling_type="cpu"} 120.0\n',
        }
        text = answers.get(self.path.partition("?")[0])
        self.send_response(404 if text is None else 200)
        self.end_headers()
        self.wfile.write((text or "").encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def suite() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Suite)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("scaler", "cpu", "cell"),
    [
        pytest.param("/scaler", 120.0, "Scaler cpu 120/100", id="as the scaler knows it"),
        pytest.param("/away", None, "Scaler capacity 3/4", id="calls only, as the gateway tells, without a scaler"),
    ],
)
def test_owner_and_load_against_target_are_shown(suite: str, scaler: str, cpu: float | None, cell: str) -> None:
    client = GatewayClient(suite, None)
    with GatewayPoller(client, [f"{suite}/gateway"], None, scaler_url=f"{suite}{scaler}") as poller:
        look = poller.look(now=1.0, wall=1.0)
    told = to_json(look)["functions"]
    console = Console(width=140, file=io.StringIO(), highlight=False)
    console.print(screen(look, console, Order("name"), look.rows))
    drawn = console.file.getvalue()  # type: ignore[attr-defined]

    assert (told[0]["owner"], told[1]["owner"], told[1]["loads"]) == ("scaler", "none", [])
    assert told[0]["loads"] == [
        {"type": "capacity", "load": 3.0, "target": 2.0},
        {"type": "cpu", "load": cpu, "target": 50.0},
        {"type": "jobs", "load": None, "target": 4.0},
    ]
    assert cell in drawn, "of what two ready replicas carry"
    assert "Nobody" in drawn


def test_without_metrics_it_says_so_in_a_line_and_shows_the_rest(busy: Any) -> None:
    outcome = busy("top", "--once", "--every", "0.2", "--metrics-url", "http://127.0.0.1:1/metrics", "--sort", "name")

    assert outcome.status == 0
    lines = outcome.out.splitlines()
    assert lines[1].startswith("no rates: http://127.0.0.1:1/metrics cannot be reached")
    assert lines[4].split()[:3] == ["busy", "3/3", "–"]


def test_address_that_shows_something_else_is_told_of(busy: Any, api: Any) -> None:
    outcome = busy("top", "--once", "--json", "--every", "0.2", "--metrics-url", f"{api.url}/metrics-not")

    assert json.loads(outcome.out)["notes"][0].startswith(f"no rates: {api.url}/metrics-not answered 40")


def test_gateway_that_is_away_is_an_error(terminal: Any) -> None:
    outcome = terminal("top", "--once", "-g", "http://127.0.0.1:1")

    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err.startswith("springtide: no gateway answers at http://127.0.0.1:1")


def test_order_that_there_is_none_of_is_refused(terminal: Any) -> None:
    assert terminal("top", "--sort", "colour").status == 2


@dataclass
class Screen:
    """A command on a terminal of its own."""

    process: subprocess.Popen[bytes]
    fd: int
    seen: str = ""

    def until(self, pattern: str) -> str:
        """Everything since the last call up to what matches; fails when that does not come."""
        deadline = time.monotonic() + DEADLINE_S
        while not (match := re.search(pattern, self.seen, re.DOTALL)):
            assert select.select([self.fd], [], [], deadline - time.monotonic())[0], self.seen[-2000:]
            self.seen = STYLES.sub("", self.seen + os.read(self.fd, 65536).decode())
        told, self.seen = self.seen[: match.end()], self.seen[match.end() :]
        return told

    def press(self, key: str) -> None:
        os.write(self.fd, key.encode())

    def resize(self, columns: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))


@contextlib.contextmanager
def on_a_terminal(environ: dict[str, str], *words: str) -> Iterator[Screen]:
    main, other = pty.openpty()
    fcntl.ioctl(main, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "springtide.cli", "top", "--every", "0.2", "--sort", "name", *words],
        stdin=other,
        stdout=other,
        stderr=other,
        env={**environ, "TERM": "xterm-256color", "PATH": os.environ["PATH"]},
        start_new_session=True,
        # Its controlling terminal, so that Ctrl-C reaches it as it does for people.
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - takes no lock
    )
    try:
        yield Screen(process, main)
    finally:
        process.kill()
        process.wait(DEADLINE_S)
        os.close(main)
        os.close(other)


@pytest.fixture
def live(busy: Any, api: Any) -> Iterator[Screen]:
    with on_a_terminal(busy.environ, "--metrics-url", api.metrics_url) as screen:
        yield screen


class Foreign(http.server.BaseHTTPRequestHandler):
    """A gateway that lists one function and has neither decisions nor metrics."""

    def do_GET(self) -> None:
        listed = self.path.startswith("/system/functions")
        body = json.dumps([{"name": "strange", "namespace": "ns", "replicas": 1, "availableReplicas": 1}]).encode()
        self.send_response(200 if listed else 404)
        self.end_headers()
        self.wfile.write(body if listed else b"")

    def log_message(self, *_: Any) -> None:
        pass


ALTERNATE, BACK, HIDDEN, SHOWN = r"\x1b\[\?1049h", r"\x1b\[\?1049l", r"\x1b\[\?25l", r"\x1b\[\?25h"


def test_live_view_shows_calls_and_changes_and_ctrl_c_leaves_the_terminal_as_it_was(live: Screen, busy: Any) -> None:
    before = termios.tcgetattr(live.fd)
    live.until(ALTERNATE)
    live.until(r"busy\s.*?3/3")

    for _ in range(5):
        busy("invoke", "busy", piped=b"x")
    live.until(r"busy\s+3/3\s+(0\.[1-9]|[1-9])\S*\s+0\s+0\s+\d+ ms\s+0\.0")
    busy("scale", "busy", "2")

    live.until(r"busy\s.*?2/2.*?3→2 manual, \d+ s ago")
    assert termios.tcgetattr(live.fd)[3] != before[3], "keys are not echoed"
    live.press("\x03")
    ending = live.until(SHOWN)
    assert live.process.wait(DEADLINE_S) == 130
    assert re.search(BACK, ending + live.seen)
    assert "Traceback" not in ending
    assert termios.tcgetattr(live.fd) == before


def test_interrupt_that_comes_in_a_finalizer_is_not_lost() -> None:
    """What is raised there goes nowhere: Python only prints it."""

    class Finalized:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    with Keyboard() as keyboard:
        Finalized()
        with pytest.raises(KeyboardInterrupt):
            keyboard.pressed(0)


def test_keys_change_the_order_and_q_ends(live: Screen) -> None:
    live.until(r"asleep\s.*?busy\s")

    live.press("c")
    live.until(r"READY↓.*?busy\s.*?asleep\s")
    live.press("q")

    live.until(BACK)
    assert live.process.wait(DEADLINE_S) == 0


def test_sigterm_leaves_the_terminal_as_it_was(live: Screen) -> None:
    before = termios.tcgetattr(live.fd)
    live.until(r"asleep\s.*?busy\s")

    live.process.terminate()

    ending = live.until(SHOWN)
    assert live.process.wait(DEADLINE_S) == 143
    assert re.search(BACK, ending + live.seen)
    assert termios.tcgetattr(live.fd) == before


def test_live_view_takes_to_a_terminal_that_becomes_narrow(live: Screen) -> None:
    live.until("LAST DECISION")

    live.resize(36)

    live.until(r"FUNCTION\s+READY\s+RATE/s\s*\r?\n")


def test_lines_for_a_script_go_on_while_the_gateway_is_away(terminal: Any) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Foreign)
    url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    command = [
        sys.executable,
        "-m",
        "springtide.cli",
        "top",
        "--json",
        "--every",
        "0.2",
        "-g",
        url,
        "--metrics-url",
        url,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**terminal.environ}, text=True) as process:
        assert process.stdout is not None
        try:
            first = json.loads(process.stdout.readline())
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
        later = next(look for line in process.stdout if (look := json.loads(line))["notes"][0].startswith("not up"))
        process.terminate()

    assert later["functions"] == first["functions"]


def test_gateway_that_goes_away_leaves_the_last_look_on_the_screen(terminal: Any) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Foreign)
    url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    with on_a_terminal(terminal.environ, "-g", url, "--metrics-url", f"{url}/metrics") as screen:
        try:
            told = screen.until(r"strange.ns\s.*?1/1")
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

        assert f"no rates: {url}/metrics answered 404" in told
        assert f"the provider behind {url} keeps no decisions" in told
        screen.until(rf"not up to date: no gateway answers at {url}.*?strange.ns\s.*?1/1")
        screen.press("q")
        assert screen.process.wait(DEADLINE_S) == 0
