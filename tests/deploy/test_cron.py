"""The shipped cron part on a cluster: two copies with the rights and the environment of their pods, one of which is
killed while functions are due, one of them asleep and slow to start."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.deploy import broker
from tests.deploy.parts import Running, granted, refused, running, used
from tests.kubernetes.emulator import EmulatorSettings, Image, ThreadedEmulator, running_in_thread
from tests.kubernetes.stories import handler

PATIENCE_S = 120.0
START_S = 3.0
QUICK_LEASE = {"lease_duration": "4s", "lease_renew_deadline": "3s", "lease_retry": "500ms"}
OFTEN, SELDOM = "often", "seldom"
SCHEDULES = {OFTEN: "@every 1s", SELDOM: "@every 16s"}
NOTES_ITS_TICKS = """
from pathlib import Path

def handle(event, context):
    with Path({file!r}).open("a") as file:
        file.write(event.headers["X-Springtide-Scheduled"] + "\\n")
"""


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[ThreadedEmulator]:
    images = {}
    for name, start_s in ((OFTEN, 0.0), (SELDOM, START_S)):
        (tmp_path / name).mkdir()
        made = handler(tmp_path / name, NOTES_ITS_TICKS.format(file=str(_file(tmp_path, name))))
        images[name] = Image(handler=made.handler, start_s=start_s)
    with running_in_thread(EmulatorSettings(hpa_period_s=3600.0), images=images) as started:
        yield started


@pytest.mark.usefixtures("pod_network")
def test_no_tick_is_lost_doubled_or_cold_when_the_leader_is_killed(emulator: ThreadedEmulator, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:

        def start(part: str, name: str, **more: str) -> Running:
            return stack.enter_context(running(emulator, "defaults", part, tmp_path / name, more))

        (server,) = stack.enter_context(broker.running("defaults", tmp_path))
        provider = start("provider", "provider")
        told = {
            "functions_provider_url": str(provider.http.base_url),
            "nats_url": server.url,
            "nats_credentials_path": str(broker.login("defaults", tmp_path / "login")),
        }
        gateway = start("gateway", "gateway", metrics_port="0", grace="1s", prometheus_url="", **told)
        told["gateway_url"] = str(gateway.http.base_url)
        worker = start("queue-worker", "worker", **told)
        copies = [start("cron", f"cron-{number}", **told, **QUICK_LEASE) for number in range(2)]
        parts = (provider, gateway, worker, *copies)
        _until(lambda: any(_leads(one) for one in copies), *copies)
        _deploy(provider, SELDOM, {"com.openfaas.scale.zero": "true"})
        _to_zero(provider, SELDOM)
        _deploy(provider, OFTEN, {})

        _until(lambda: len(_ticks(tmp_path, SELDOM)) == 1, *parts)
        leader = _leader(copies)
        (other,) = (one for one in copies if one is not leader)
        leader.process.kill()
        _to_zero(provider, SELDOM)
        _until(lambda: len(_ticks(tmp_path, SELDOM)) == 2, *parts)
        assert other.http.post(f"/system/schedules/{OFTEN}/pause").status_code == 200
        _until(lambda: _all_ended(gateway, OFTEN), *parts)

        # One call each second, whoever leads.
        ticks = _ticks(tmp_path, OFTEN)
        assert len(ticks) == len(set(ticks))
        assert sorted(ticks) == [min(ticks) + timedelta(seconds=number) for number in range(len(ticks))]
        assert len(ticks) > 15
        # No call had to wake it: of the second tick the other copy knew how long before, for the provider had kept it.
        assert _wakes(provider, SELDOM) == [("person", 0, 1), ("prewarm", 0, 1), ("prewarm", 0, 1)]
        assert _longest_start_s(provider, SELDOM) >= START_S
        assert 'springtide_expected_calls_total{met="cold",source="schedule"} 0' in _metrics(other)
        assert refused(emulator) == 0
        assert used(emulator, "cron") <= granted("defaults", "cron")


# What people and the suite say.


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}-ticks"


def _ticks(folder: Path, name: str) -> list[datetime]:
    file = _file(folder, name)
    return [datetime.fromisoformat(line) for line in file.read_text().splitlines()] if file.is_file() else []


def _deploy(provider: Running, name: str, labels: Mapping[str, str]) -> None:
    annotations = {"topic": "cron-function", "schedule": SCHEDULES[name]}
    body = {"service": name, "image": name, "labels": dict(labels), "annotations": annotations}
    answer = provider.http.post("/system/functions", json=body)
    assert answer.status_code == 202, answer.text


def _to_zero(provider: Running, name: str) -> None:
    answer = provider.http.post(f"/system/scale-function/{name}", json={"serviceName": name, "replicas": 0})
    assert answer.status_code in (200, 202), answer.text


def _wakes(provider: Running, name: str) -> list[tuple[str, int, int]]:
    answer = provider.http.get("/system/scaling/decisions", params={"function": name})
    assert answer.status_code == 200, answer.text
    told = [json.loads(line) for line in answer.text.splitlines()]
    return [(one["writer"], one["before"], one["after"]) for one in told if one["before"] == 0 != one["after"]]


def _longest_start_s(provider: Running, name: str) -> float:
    found: float = provider.http.get(f"/system/function/{name}").json()["longestStartSeconds"]
    return found


def _all_ended(gateway: Running, name: str) -> bool:
    jobs = gateway.http.get("/system/jobs", params={"function": name, "limit": "1000"}).json()["jobs"]
    return all(one["state"] == "done" for one in jobs)


def _metrics(part: Running) -> str:
    return part.http.get("/metrics").text


def _leads(part: Running) -> bool:
    return "springtide_leader 1.0" in _metrics(part)


def _leader(copies: Sequence[Running]) -> Running:
    """On a slow machine one may lose its lease, and then nobody leads for a moment."""
    found: list[Running] = []

    def one_leads() -> bool:
        found[:] = [one for one in copies if _leads(one)]
        return len(found) == 1

    _until(one_leads, *copies)
    return found[0]


def _until(holds: Callable[[], bool], *parts: Running) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, "\n".join(part.log.read_text()[-3000:] for part in parts)
        time.sleep(0.05)
