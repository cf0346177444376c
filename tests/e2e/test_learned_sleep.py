"""Learned sleep in a whole suite: the rule's own time passes thirty times as fast: nine minutes are 18 seconds."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import pytest

from springtide.scaler.core.keepalive.history import BINS, INTERVALS, bin_of
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.triggers.sleep.file_store import FileStore
from springtide.triggers.sleep.kept import from_record

SCALE = 30
INTERVAL_S = 540 / SCALE
"""Not the six minutes that are enough for the rule: a start does not take a thirtieth of its time."""
LEARNED_FROM, CALLS = 4, 9
QUICK = {
    "sleep_time_scale": f"{SCALE}",
    "sleep_interval": "500ms",
    "sleep_save_interval": "2s",
    "sleep_default_start": "300ms",
}
LABELS = {"zero": "true", "zero_duration": "4s"}
TIMER = FunctionRef("openfaas-fn", "timer")


@pytest.fixture
def handler(tmp_path: Path) -> Path:
    folder = tmp_path / "timer"
    folder.mkdir()
    (folder / "handler.py").write_text("def handle(event, context):\n    return 'on time'\n")
    return folder


class Looks:
    """The function's replicas, looked at all the time: how long there were some, and whether there were none."""

    def __init__(self, suite: Any, name: str) -> None:
        self._suite, self._name = suite, name
        self._over = Event()
        self.replica_s, self.asleep_s = 0.0, 0.0

    @contextmanager
    def going_on(self) -> Iterator[None]:
        thread = Thread(target=self._look)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _look(self) -> None:
        looked_at = time.monotonic()
        while not self._over.wait(0.1):
            replicas, now = self._suite.replicas(self._name), time.monotonic()
            self.replica_s += replicas * (now - looked_at)
            self.asleep_s += (now - looked_at) * (replicas == 0)
            looked_at = now


def call_on_time(suite: Any, number: int, begun: float) -> None:
    time.sleep(max(0.0, begun + number * INTERVAL_S - time.monotonic()))
    with suite.client() as client:
        answer = client.get("/function/timer")
    assert (answer.status_code, answer.text) == (200, "on time")


def cold_calls(suite: Any) -> int:
    """Those that had to wait for a replica, by the wakes of callers."""
    return sum(each["writer"] == "wake" and each["after"] > each["before"] for each in suite.decisions("timer"))


def woken_ahead(suite: Any) -> int:
    return sum(each["reason"] == "forecast" and each["after"] > each["before"] for each in suite.decisions("timer"))


def test_timer_sleeps_between_its_calls_and_is_not_cold_once_it_is_known(
    start_suite: Any, handler: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with start_suite(tmp_path / "state", "--fast", "--no-samples", zero_policy="learned", **QUICK) as suite:
        suite.deploy("timer", handler, **LABELS)
        begun = time.monotonic()
        for number in range(LEARNED_FROM):
            call_on_time(suite, number, begun)
        # Whether it sleeps before its plan is known depends on how fast it is looked at; from here on all is known.
        call_on_time(suite, LEARNED_FROM, begun)
        cold, looks = cold_calls(suite), Looks(suite, "timer")
        with looks.going_on():
            for number in range(LEARNED_FROM + 1, CALLS):
                call_on_time(suite, number, begun)
        later = CALLS - LEARNED_FROM - 1

        assert cold_calls(suite) == cold, suite.decisions("timer")
        told = suite.springtide("explain", "timer").stdout
        assert woken_ahead(suite) >= later, told
        assert looks.asleep_s > later * INTERVAL_S / 4
        assert "a call is likely" in told
        with capsys.disabled():
            print(  # noqa: T201 - a figure for people
                f"\n{looks.replica_s / later:.2f} replica-seconds a call of {INTERVAL_S:g} s, {looks.asleep_s:.1f} s "
                f"of {later * INTERVAL_S:g} s asleep, {cold_calls(suite) - cold} of {later} calls cold"
            )
    records = asyncio.run(FileStore(tmp_path / "state" / "cron").load()).records
    account = from_record(records[TIMER])[2]
    assert account is not None, "what learning has cost today is kept beside the history"
    assert account.windows


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


@contextmanager
def part(suite: Any, log: Path, *words: str) -> Iterator[None]:
    """Another part of ours beside a suite, until it has ended in order."""
    secrets = ("--basic-auth", "--secret-mount-path", str(suite.state / "secrets"))
    command = [sys.executable, "-P", "-m", "springtide.cli", *words, *secrets]
    with log.open("ab") as told:
        process = subprocess.Popen(command, env=dict(os.environ) | QUICK, stdout=told, stderr=told)
        try:
            yield
        finally:
            process.terminate()
            process.wait(120)


@contextmanager
def two_gateways_and_who_learns(start_suite: Any, folder: Path) -> Iterator[tuple[Any, tuple[str, str]]]:
    """A suite, a second gateway beside its own, and a part that learns from both; the addresses of the gateways."""
    with start_suite(folder / "state", "--fast", "--no-samples", **QUICK) as suite:
        ports = [free_port() for _ in range(3)]
        other, metrics = f"http://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}"
        provider = suite.run["provider"]
        gateway = ("gateway", "--port", f"{ports[0]}", "--metrics-port", f"{ports[1]}", "--provider-url", provider)
        learner = (
            *("cron", "--port", f"{ports[2]}", "--state-dir", str(folder / "learner"), "--provider-url", provider),
            *("--gateway-url", suite.gateway, "--gateway-metrics-urls", f"{suite.run['metrics']},{metrics}"),
        )
        with part(suite, folder / "gateway.log", *gateway), part(suite, folder / "learner.log", *learner):
            suite.eventually(lambda: httpx.get(f"{other}/healthz").status_code == 200, "both gateways serve")
            yield suite, (suite.gateway, other)


def call(url: str) -> tuple[float, float]:
    """When it began and ended, for who made it."""
    begun = time.time()
    assert httpx.get(f"{url}/function/timer", timeout=60).status_code == 200
    return begun, time.time()


async def test_two_gateways_and_a_restart_of_everything_give_the_history_that_there_was(
    start_suite: Any, handler: Path, tmp_path: Path
) -> None:
    pauses_s, calls = (3.0, 6.0, 3.0, 3.0, 6.0), []
    for life in range(2):
        with two_gateways_and_who_learns(start_suite, tmp_path) as (suite, gateways):
            if not life:
                suite.deploy("timer", handler, zero="true", zero_duration="1h")
            for number, pause_s in enumerate(pauses_s):
                calls.append(call(gateways[number % 2]))
                time.sleep(pause_s)
    records = (await FileStore(tmp_path / "learner").load()).records
    found = from_record(records[TIMER])[0].history

    between = [later[0] - earlier[1] for earlier, later in itertools.pairwise(calls)]
    wanted = [0] * BINS
    for pause_s in between:
        wanted[bin_of(pause_s * SCALE)] += 1
    assert found.calls == len(calls)
    assert [sum(page.ended[bin_] for page in found.pages) for bin_ in range(BINS)] == wanted, between
    last = [later[0] - earlier[0] for earlier, later in itertools.pairwise(calls)][-INTERVALS:]
    assert [interval_s / SCALE for interval_s in found.recent.intervals_s] == pytest.approx(last, abs=0.5)
