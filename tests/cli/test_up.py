"""``springtide up`` as a user starts it: real processes, in a state folder and on ports of its own."""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import nats
import pytest

from springtide.cli.tools import Tools
from springtide.runtime.basic_auth import Credentials
from tests.provider.process.world import alive

ROOT = Path(__file__).parents[2]
DEADLINE_S = 120.0


@dataclass
class Up:
    """A started suite and the JSON lines it prints."""

    process: subprocess.Popen[str]
    state: Path
    lines: list[dict[str, Any]] = field(default_factory=list)

    def until(self, event: str, **also: str) -> dict[str, Any]:
        """Read on until an event; a deadline ends the process, and with it the wait."""
        assert self.process.stdout is not None
        timer = threading.Timer(DEADLINE_S, self.process.kill)
        timer.start()
        try:
            for line in self.process.stdout:
                self.lines.append(json.loads(line))
                if {"event": event, **also}.items() <= self.lines[-1].items():
                    return self.lines[-1]
        finally:
            timer.cancel()
        raise AssertionError(f"no {event} {also}: {self.lines} {self._error()}")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        self.until("stopped")
        return self.process.wait(DEADLINE_S)

    def client(self) -> httpx.Client:
        user = Credentials.from_folder(self.state / "secrets")
        return httpx.Client(base_url=self.run["gateway"], auth=(user.user, user.password), timeout=60)

    @property
    def run(self) -> dict[str, Any]:
        return dict(json.loads((self.state / "run.json").read_text()))

    def _error(self) -> str:
        return self.process.stderr.read() if self.process.stderr is not None else ""


def command(state: Path, *options: str) -> list[str]:
    ports = ("--gateway-port", "0", "--metrics-port", "0")
    return [sys.executable, "-m", "springtide.cli", "up", "--json", *ports, "--state-dir", str(state), *options]


@contextmanager
def started(
    state: Path, *options: str, tools_dir: Path = Path("/nonexistent"), environ: Mapping[str, str] | None = None
) -> Iterator[Up]:
    """A suite that is ready; without a folder of tools it runs without the alert path."""
    process = subprocess.Popen(
        command(state, "--tools-dir", str(tools_dir), *options),
        cwd=ROOT,
        env=clean_environment() | dict(environ or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    up = Up(process, state)
    try:
        up.until("ready")
        yield up
    finally:
        if process.poll() is None:
            up.stop()
        process.communicate()


def clean_environment() -> dict[str, str]:
    """Without Prometheus on PATH, unless it lies beside the system's own programs."""
    return {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}


def refused(state: Path, *options: str, **environ: str) -> str:
    """What a suite says that cannot start."""
    result = subprocess.run(
        command(state, "--tools-dir", "/nonexistent", *options),
        cwd=ROOT,
        env=clean_environment() | environ,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert result.returncode == 1, result
    assert "Traceback" not in result.stderr
    return next(
        line for line in result.stderr.splitlines() if line.startswith("springtide: ") and "no Prometheus" not in line
    )


def names(up: Up) -> list[str]:
    with up.client() as client:
        return [function["name"] for function in client.get("/system/functions").json()]


def test_without_prometheus_the_rest_works_and_state_survives(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with started(state) as up:
        assert {"provider", "gateway", "alert-receiver", "scaler", "console", "nats"} <= up.run["parts"].keys()
        assert (up.run["prometheus"], up.run["idler"]) == (None, None)
        assert names(up) == ["hello", "wc"]
        with up.client() as client:
            assert client.post("/function/hello", content="you").text == "Hello, you!\n"
            assert client.post("/function/wc", content="a b c\n").text.split() == ["1", "3", "6"]
            assert client.post("/system/scale-function/hello", json={"serviceName": "hello", "replicas": 3}).is_success
            assert client.request("DELETE", "/system/functions", json={"functionName": "wc"}).status_code == 202
        assert up.stop() == 0
        assert not (state / "run.json").exists()

    with started(state) as up:
        assert names(up) == ["hello"], "samples are the user's after the first start"
        with up.client() as client:
            assert client.get("/system/function/hello").json()["replicas"] == 3


def test_killed_part_is_started_again_and_said_so(tmp_path: Path) -> None:
    with started(tmp_path / "state", "--no-samples") as up:
        first = up.run["parts"]["gateway"]
        os.kill(first, signal.SIGKILL)

        died = up.until("died", part="gateway")
        up.until("ready", part="gateway")

        assert died["detail"] == "ended (SIGKILL); starting again in 0.1 s"
        assert up.run["parts"]["gateway"] != first
        assert names(up) == []


def test_control_parts_share_a_process_that_is_started_again_with_all_of_them(tmp_path: Path) -> None:
    with started(tmp_path / "state", "--no-samples") as up:
        first = up.run["parts"]
        os.kill(first["console"], signal.SIGKILL)

        control = {part for part, process in first.items() if process == first["console"]}
        assert control >= {"alert-receiver", "scaler", "cron", "console"}
        died = [up.until("died") for _ in control]
        ready = [up.until("ready")["part"] for _ in control]

        assert {event["part"] for event in died} == control == set(ready)
        assert {event["detail"] for event in died} == {"ended (SIGKILL); starting again in 0.1 s"}
        assert up.run["parts"]["console"] == up.run["parts"]["alert-receiver"] != first["console"]
        assert up.run["parts"]["gateway"] == first["gateway"]
        with up.client() as client:
            assert client.get("/ui/").status_code == 200


def test_killed_broker_is_started_again_and_lost_nothing_that_it_had_acknowledged(tmp_path: Path) -> None:
    with started(tmp_path / "state", "--no-samples") as up:
        asyncio.run(publish(up, 100))
        os.kill(up.run["parts"]["nats"], signal.SIGKILL)

        assert up.until("died", part="nats")["detail"] == "ended (SIGKILL); starting again in 0.1 s"
        up.until("ready", part="nats")

        assert asyncio.run(publish(up, 1)) == 101
        assert names(up) == [], "calls need none"
        asked = [sys.executable, "-m", "springtide.cli", "doctor", "--json", "--state-dir", str(up.state)]
        told = subprocess.run(asked, cwd=ROOT, env=clean_environment(), capture_output=True, text=True, check=False)
        levels = {item["check"]: item["level"] for item in json.loads(told.stdout)["checks"]}
        for check in ("program", "reachable", "version", "jetstream", "payload", "sync", "streams", "copies"):
            assert levels[f"broker.{check}"] == "ok", told.stdout
    log = (tmp_path / "state" / "logs" / "nats.log").read_text()
    assert "Server Exiting" in log


async def publish(up: Up, count: int) -> int:
    """How many there are once so many more were acknowledged, by whom the suite's credentials let in."""
    login = Credentials.from_folder(up.state / "secrets", prefix="nats")
    client = await nats.connect(up.run["nats"], user=login.user, password=login.password)
    try:
        stream = client.jetstream()
        await stream.add_stream(name="kept", subjects=["kept"])
        await asyncio.gather(*(stream.publish("kept", b"a job") for _ in range(count)))
        return (await stream.stream_info("kept")).state.messages
    finally:
        await client.close()


def test_who_has_a_broker_gets_no_second_one(tmp_path: Path) -> None:
    with started(tmp_path / "state", "--no-samples", environ={"nats_url": "nats://127.0.0.1:1"}) as up:
        assert "nats" not in up.run["parts"]
        assert up.run["nats"] is None
        assert names(up) == []


def test_time_between_syncs_has_bounds(tmp_path: Path) -> None:
    assert refused(tmp_path / "state", "--queue-sync", "2h") == (
        "springtide: --queue-sync 2h: write always, or a time between 100ms and 1h"
    )


def test_full_disk_and_closed_output_end_nothing(tmp_path: Path) -> None:
    """A file size limit of nothing for ``up`` alone: each of its writes to a file fails, as on a disk that is full."""
    with started(tmp_path / "state", "--no-samples") as up:
        first, gateway = up.run["parts"]["gateway"], up.run["gateway"]
        assert up.process.stdout is not None
        up.process.stdout.close()
        unlimited = resource.prlimit(up.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        os.kill(first, signal.SIGKILL)

        eventually(lambda: answers(gateway))
        assert up.run["parts"]["gateway"] == first, "it could be written"
        resource.prlimit(up.process.pid, resource.RLIMIT_FSIZE, unlimited)
        eventually(lambda: up.run["parts"]["gateway"] != first)

        up.process.send_signal(signal.SIGINT)
        assert up.process.wait(DEADLINE_S) == 0
        assert not (tmp_path / "state" / "run.json").exists()


def answers(gateway: str) -> bool:
    try:
        return httpx.get(f"{gateway}/healthz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def test_parts_that_are_stopped_are_replaced(tmp_path: Path, tools: Tools) -> None:
    with started(tmp_path / "state", "--no-samples", "--fast", tools_dir=ROOT / ".tools") as up:
        first = up.run["parts"]
        stopped = {first[part] for part in ("provider", "gateway", "console", "prometheus", "alertmanager")}
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)

        waited = {part for part, pid in first.items() if pid in stopped}
        while waited:
            line = up.until("died")
            assert line["detail"].startswith("hung for 15 s and was killed; starting again in ")
            waited.remove(line["part"])
        eventually(lambda: stopped.isdisjoint(up.run["parts"].values()))

        eventually(lambda: answers(up.run["gateway"]))
        assert names(up) == []


def test_separate_parts_are_a_process_each(tmp_path: Path) -> None:
    with started(tmp_path / "state", "--no-samples", "--separate") as up:
        first = up.run["parts"]
        assert len(set(first.values())) == len(first)
        os.kill(first["console"], signal.SIGKILL)

        up.until("died", part="console")
        up.until("ready", part="console")

        assert {name for name, pid in up.run["parts"].items() if pid != first[name]} == {"console"}


def test_part_of_the_shared_process_that_cannot_start_is_said_by_name(tmp_path: Path) -> None:
    said = refused(tmp_path / "state", alert_delivery_budget="never")

    assert said.startswith("springtide: alert-receiver failed: alert_delivery_budget: 'never' is not a duration")


def test_killed_suite_leaves_no_part_behind(tmp_path: Path) -> None:
    with started(tmp_path / "state", "--no-samples") as up:
        handles = [os.pidfd_open(pid) for pid in up.run["parts"].values()]

        up.process.kill()
        up.process.wait()

        try:
            for handle in handles:
                assert select.select([handle], [], [], DEADLINE_S)[0]
        finally:
            for handle in handles:
                os.close(handle)


def test_all_parts_run_and_are_scraped(tmp_path: Path, tools: Tools) -> None:
    with started(tmp_path / "state", "--no-samples", "--fast", tools_dir=ROOT / ".tools") as up:
        run = up.run
        ours = {"provider", "gateway", "alert-receiver", "scaler", "queue-worker", "cron", "idler", "console"}
        assert {*ours, "alertmanager", "prometheus", "nats"} <= run["parts"].keys()

        def asked(path: str) -> Any:
            return httpx.get(f"{run['prometheus']}/api/v1/{path}", auth=auth, timeout=60).json()["data"]

        def targets() -> dict[str, str]:
            return {target["labels"]["job"]: target["health"] for target in asked("targets")["activeTargets"]}

        user = Credentials.from_folder(up.state / "secrets")
        auth = (user.user, user.password)
        wanted = dict.fromkeys((*ours, "prometheus"), "up")
        eventually(lambda: targets() == wanted)
        eventually(lambda: len(asked("alertmanagers")["activeAlertmanagers"]) == 1)
        with up.client() as client:
            eventually(lambda: "does not answer" not in client.get("/ui/system").raise_for_status().text)
            assert not re.search(r"\b401\b", client.get("/ui/system").text)


def test_prometheus_and_alertmanager_take_nothing_from_strangers(tmp_path: Path, tools: Tools) -> None:
    """And Alertmanager tells people as its file says."""
    pager = tmp_path / "pager.yaml"
    pager.write_text("webhook_configs:\n  - url: http://127.0.0.1:9/told\n    max_alerts: 7\n")
    options = ("--no-samples", "--fast", "--operators-receiver", str(pager))
    with started(tmp_path / "state", *options, tools_dir=ROOT / ".tools") as up:
        page = {"Origin": "http://elsewhere.example"}
        alert = [{"labels": {"alertname": "Made", "function_name": "up.openfaas-fn", "severity": "critical"}}]
        for part, path in (("prometheus", "/api/v1/query?query=up"), ("alertmanager", "/api/v2/alerts")):
            for read in (path, "/debug/pprof/", "/metrics", "/-/healthy"):
                assert httpx.get(f"{up.run[part]}{read}", headers=page).status_code == 401
        assert httpx.post(f"{up.run['alertmanager']}/api/v2/alerts", json=alert, headers=page).status_code == 401

        user = Credentials.from_folder(up.state / "secrets")
        known = httpx.get(
            f"{up.run['prometheus']}/api/v1/query?query=up", headers=page, auth=(user.user, user.password)
        )
        assert (known.status_code, known.headers.get("Access-Control-Allow-Origin")) == (200, None)
        loaded = httpx.get(f"{up.run['alertmanager']}/api/v2/status", auth=(user.user, user.password)).json()
        assert "max_alerts: 7" in loaded["config"]["original"]
        assert (up.state / "alerting" / "web.yml").stat().st_mode & 0o777 == 0o600
        assert user.password not in (up.state / "alerting" / "web.yml").read_text()


def eventually(condition: Any) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_second_suite_on_the_folder_is_refused(tmp_path: Path) -> None:
    with started(tmp_path / "state", "--no-samples"):
        assert refused(tmp_path / "state") == (
            f"springtide: a suite already runs on {tmp_path / 'state'}; stop it, or choose another --state-dir"
        )


def test_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        said = refused(tmp_path / "state", "--gateway-port", str(port))

    assert said == (
        f"springtide: cannot listen on 127.0.0.1:{port}: Address already in use; "
        "choose another port with --gateway-port"
    )


def test_bad_receiver_of_alerts_is_told_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "pager.yaml").write_text("slack: '#functions'\n")

    said = refused(tmp_path / "state", "--operators-receiver", str(tmp_path / "pager.yaml"))

    assert "pager.yaml: slack: no list of a receiver's" in said
    assert not (tmp_path / "state").exists()


def test_bad_stack_file_is_told_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "stack.yaml").write_text("functions:\n  a: {lang: node}\n")

    said = refused(tmp_path / "state", "-f", str(tmp_path / "stack.yaml"))

    assert "functions.a.image: missing" in said
    assert not (tmp_path / "state").exists()


def test_stack_file_is_deployed_at_every_start(tmp_path: Path) -> None:
    stack = tmp_path / "stack.yaml"
    stack.write_text("functions:\n  one: {fprocess: cat}\n")
    with started(tmp_path / "state", "--no-samples", "-f", str(stack)) as up:
        assert names(up) == ["one"]

    stack.write_text("functions:\n  two: {fprocess: cat}\n")
    with started(tmp_path / "state", "--no-samples", "-f", str(stack)) as up:
        assert names(up) == ["one", "two"]


def test_damaged_files_are_set_aside_told_and_replaced(tmp_path: Path, tools: Tools) -> None:
    """A password, what Alertmanager, Prometheus and the alert receiver remember, and where all of it is."""
    state = tmp_path / "state"
    for file in ("secrets/basic-auth-password", "alertmanager/nflog", "prometheus/chunks_head/000001"):
        (state / file).parent.mkdir(parents=True)
        (state / file).write_bytes(b"\xff" * 200)
    (state / "alert-receiver.json").write_bytes(b'{"version"')
    (state / "secrets/basic-auth-user").mkdir()
    (state / "alerting/prometheus.yml").mkdir(parents=True)
    (state / "logs").write_text("no folder")
    with started(state, "--no-samples", "--fast", tools_dir=ROOT / ".tools") as up:
        assert names(up) == []
        eventually(lambda: {"prometheus", "alertmanager"} <= up.run["parts"].keys())
        run = up.run
        user = Credentials.from_folder(state / "secrets")
        for part in ("prometheus", "alertmanager"):
            eventually(lambda part=part: ready(run[part], user))

        (state / "run.json").write_text("{")
        eventually(lambda: (state / "run.json").read_text() != "{")
        assert up.run["gateway"] == run["gateway"]
    aside = {file.relative_to(state).as_posix().partition(".damaged-")[0] for file in state.rglob("*.damaged-*")}
    assert aside == {
        "secrets/basic-auth-password",
        "secrets/basic-auth-user",
        "alerting/prometheus.yml",
        "logs",
        "alertmanager/nflog",
        "prometheus/chunks_head",
        "alert-receiver.json",
    }
    told = {line["part"]: line["detail"] for line in up.lines if line["event"] == "failed"}
    assert "chunks_head is damaged and was set aside as chunks_head.damaged-" in told["prometheus"]
    assert "nflog is damaged and was set aside as nflog.damaged-" in told["alertmanager"]


def test_configuration_that_cannot_be_written_costs_only_the_alerts(tmp_path: Path, tools: Tools) -> None:
    """As on a full disk, but for one folder alone."""
    state = tmp_path / "state"
    state.mkdir()
    (state / "alerting").symlink_to("/proc")
    with started(state, "--no-samples", tools_dir=ROOT / ".tools") as up:
        assert names(up) == []
        assert up.run["prometheus"] is up.run["alertmanager"] is None


def ready(url: str, user: Credentials) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", auth=(user.user, user.password), timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


SLOW = """
import os, pathlib, time

def handle(event, context):
    pathlib.Path(os.environ["BEGUN"]).write_text(str(os.getpid()))
    time.sleep(float(os.environ.get("TAKES", 1.5)))
    return {"statusCode": 200, "body": "finished"}
"""


def test_call_in_flight_finishes_while_the_suite_stops(tmp_path: Path) -> None:
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / "handler.py").write_text(SLOW)
    (tmp_path / "stack.yaml").write_text(
        f"functions:\n  slow: {{lang: python3-http, handler: ./slow, environment: {{BEGUN: {tmp_path / 'begun'}}},"
        " labels: {com.springtide.isolation: none}}\n"
    )
    with started(tmp_path / "state", "--no-samples", "-f", str(tmp_path / "stack.yaml")) as up:
        answers: list[httpx.Response] = []
        client = up.client()
        call = threading.Thread(target=lambda: answers.append(client.get("/function/slow")))
        call.start()
        eventually((tmp_path / "begun").exists)

        assert up.stop() == 0

        call.join(DEADLINE_S)
        client.close()
    assert [(answer.status_code, answer.text) for answer in answers] == [(200, "finished")]


def test_second_interrupt_ends_what_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / "handler.py").write_text(SLOW)
    (tmp_path / "stack.yaml").write_text(
        "functions:\n  slow:\n    lang: python3-http\n    handler: ./slow\n    environment:\n"
        f"      BEGUN: {tmp_path / 'begun'}\n      TAKES: 1000\n"
        '    labels: {com.springtide.isolation: none}\n    annotations:\n      com.springtide.timeout: "0"\n'
    )
    graces = {"grace": "1000s", "function_grace": "1000s", "queue_worker_grace": "1000s"}
    with started(tmp_path / "state", "--no-samples", "-f", str(tmp_path / "stack.yaml"), environ=graces) as up:
        client = up.client()
        call = threading.Thread(target=lambda: unanswered(client, "/function/slow"))
        call.start()
        eventually(lambda: (tmp_path / "begun").exists() and bool((tmp_path / "begun").read_text()))
        function = int((tmp_path / "begun").read_text())

        up.process.send_signal(signal.SIGINT)
        waits = up.until("waiting")
        assert "gateway" in waits["detail"]
        assert "1 of slow. Ctrl-C again ends all at once" in waits["detail"]
        assert up.stop() == 0

        eventually(lambda: not alive(function))
        call.join(DEADLINE_S)
        client.close()


def unanswered(client: httpx.Client, path: str) -> None:
    with pytest.raises(httpx.HTTPError):
        client.get(path, timeout=1000)


def test_interrupt_while_starting_stops_what_has_started(tmp_path: Path) -> None:
    state = tmp_path / "state"
    process = subprocess.Popen(
        command(state, "--no-samples", "--tools-dir", "/nonexistent"),
        cwd=ROOT,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    eventually((state / "logs" / "provider.log").exists)

    process.send_signal(signal.SIGINT)

    out, _ = process.communicate(timeout=DEADLINE_S)
    told = [json.loads(line)["event"] for line in out.splitlines()]
    assert (process.returncode, told[-1]) == (0, "stopped")
    assert set(told[:-1]) <= {"waiting"}, "a slow machine needs more than a second to stop"
    assert not (state / "run.json").exists()


def test_sample_that_is_not_there_is_not_advised_to_be_called(tmp_path: Path) -> None:
    """The user removed it after the first start, or never wanted it."""
    state = tmp_path / "state"
    state.mkdir()
    (state / "samples-deployed").touch()
    words = [word for word in command(state, "--tools-dir", "/nonexistent", "--no-samples") if word != "--json"]
    process = subprocess.Popen(words, cwd=ROOT, env=clean_environment(), stdout=subprocess.PIPE, text=True)
    timer = threading.Timer(DEADLINE_S, process.kill)
    timer.start()
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line == "Try:\n":
                hint = next(process.stdout)
                break
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    finally:
        timer.cancel()
        process.wait(DEADLINE_S)

    assert " list" in hint
    assert "/function/" not in hint + rest


def test_info_names_a_build(tmp_path: Path) -> None:
    with started(tmp_path / "state", "--no-samples") as up, up.client() as client:
        info = client.get("/system/info").json()

    assert info["version"]["sha"]
    assert info["provider"]["version"]["sha"]
