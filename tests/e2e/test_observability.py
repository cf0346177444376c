"""What the suite tells of itself is what it says it tells, and every panel of every dashboard shows something of it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from springtide.dashboards.committed import committed
from springtide.scaler.core import catalogue
from springtide.scaler.core.catalogue import Kind, Metric, Part
from springtide.scaler.core.vocabulary import Writer
from tests.fakes.grafana import Grafana, queries_of, variables_of
from tests.free_ports import free_port

ROOT = Path(__file__).parents[2]

RIGHTLY_EMPTY: Mapping[tuple[str, str, str], str] = {
    (
        "Springtide autoscaling",
        "From alert to more replicas ready",
        "{{function_name}} waiting",
    ): "A local replica is ready sooner after its alert than the next scrape comes.",
    ("Springtide health", "annotations", "Alert"): "No alert for people has to fire within a minute.",
    (
        "Springtide autoscaling",
        "Held because a load is not known",
        "{{function_name}}: {{reason}}",
    ): "Every load is known here.",
    ("Springtide queues", "annotations", "Alert"): "Neither has one about queues.",
    ("Springtide triggers", "annotations", "Alert"): "Neither has one about triggers.",
    (
        "Springtide triggers",
        "Events that failed, or were refused",
        "{{function_name}} {{outcome}}",
    ): "All are taken here.",
}
"""Board, panel and legend of queries that may find nothing in this run, and why."""

NOT_IN_THIS_RUN: Mapping[tuple[Part, Metric], str] = {
    (Part.SCALER, catalogue.HOLD_SECONDS): "Every load is known here.",
}
"""What a part declares and does not emit here, and why."""

RUN_BY_PEOPLE = (Part.CONNECTOR,)
"""Parts that no suite starts by itself; their own tests compare what they tell with the catalogue."""

INBOX = "inbox"
"""A folder whose files are events."""

HANDLER = """
import os
import time

def handle(event, context):
    eaten = bytearray(int(event.query.get("eat", 0)))
    if "crash" in event.query:
        os._exit(3)
    time.sleep(float(event.query.get("seconds", 0)))
    return {"statusCode": int(event.query.get("status", 200)), "body": "answered"}
"""


@dataclass(frozen=True)
class Observed:
    """What Prometheus saw between two instants, and what each part told at the second."""

    prometheus: str
    start: float
    end: float
    told: Mapping[Part, str]


@pytest.fixture(scope="module")
def observed(fast_suite: Any, tmp_path_factory: pytest.TempPathFactory) -> Observed:
    folder = tmp_path_factory.mktemp("handlers")
    for name, code in (("sound", HANDLER), ("broken", "raise RuntimeError('does not start')\n")):
        (folder / name).mkdir()
        (folder / name / "handler.py").write_text(code)
    inbox = folder / "events" / INBOX
    inbox.mkdir(parents=True)
    with connector(fast_suite, inbox.parent):
        return asyncio.run(play(fast_suite, folder / "sound", folder / "broken", inbox))


async def play(suite: Any, sound: Path, broken: Path, inbox: Path) -> Observed:
    """Load, climbing, errors, falling asleep, a cold start, replicas that die, and everything that is refused."""
    start = time.time()
    suite.deploy("web", sound, min="1", max="4", factor="25", zero="true", zero_duration="12s")
    suite.deploy("steady", sound, type="capacity", target="2", max="2")
    deploy(suite, "broken", broken, labels={"com.openfaas.scale.zero": "true"})
    deploy(suite, "hungry", sound, limits={"memory": "40Mi"})
    deploy(suite, "lost", sound, annotations={"com.openfaas.retry.attempts": "1"})
    deploy(suite, "told", sound, annotations={"com.springtide.webhook": "none"})
    deploy(suite, "ticked", sound, annotations={"topic": "cron-function", "schedule": "@every 2s"})
    deploy(suite, "informed", sound, annotations={"topic": INBOX})
    # It stays awake until the call that it is woken for comes: longer than the ten seconds of a start never seen.
    sleepy = {"com.openfaas.scale.zero": "true", "com.openfaas.scale.zero-duration": "30s"}
    deploy(suite, "foreseen", sound, labels=sleepy)
    for asleep in ("broken", "foreseen"):
        suite.scale(asleep, 0)
    stop, ebb = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as calls:
        for call, per_second in (("steady", 2), ("steady?status=500", 1), ("steady?seconds=0.3", 1)):
            calls.create_task(suite.load(call, per_second=per_second, stop=stop))
        calls.create_task(suite.load("web", per_second=20, stop=ebb))
        calls.create_task(queue(suite, stop))
        calls.create_task(put_files(inbox, stop))
        await asyncio.to_thread(suite.eventually, lambda: suite.replicas("web") == 4, "web climbs")
        ebb.set()
        await asyncio.to_thread(refuse_and_break, suite)
        await asyncio.to_thread(suite.eventually, lambda: suite.replicas("web") == 0, "web falls asleep", 60)
        await asyncio.to_thread(suite.eventually, partial(seen, suite.prometheus, ASLEEP), "it is seen asleep")
        async with suite.async_client() as client:
            assert (await client.get("/function/web")).status_code == 200
            assert (await client.get("/function/broken")).status_code >= 500
            await asyncio.gather(*(client.get("/function/steady?seconds=1.5") for _ in range(8)))
        for sign in SIGNS:
            await asyncio.to_thread(suite.eventually, partial(seen, suite.prometheus, sign), sign)
        end = time.time()
        told = await asyncio.to_thread(exposed, suite.prometheus)
        stop.set()
    # Whole minutes, which every step divides, so that each query looks at the last instant, too.
    return Observed(suite.prometheus, end - 60 * math.ceil((end - start) / 60), end, told)


ASLEEP = 'gateway_service_count{function_name="web.openfaas-fn"} == 0'
SIGNS = (
    'sum(gateway_cold_start_seconds_count{function_name="web.openfaas-fn"}) > 0',
    'sum(gateway_refused_total{function_name="broken.openfaas-fn"}) > 0',
    'sum(gateway_refused_total{function_name="_unknown"}) > 0',
    'sum(provider_replica_restarts_total{function_name="steady.openfaas-fn"}) > 0',
    "sum(provider_replica_out_of_memory_total) > 0",
    'sum(provider_scale_writes_total{outcome="conflict"}) > 0',
    "sum(queue_worker_dead_letters) > 0",
    "sum(queue_worker_retries_total) > 0",
    'sum(queue_worker_callbacks_total{outcome="told"}) > 0',
    "sum(gateway_webhook_deliveries_total) > 0",
    "sum(springtide_prewarm_early_seconds_count) > 0",
    "sum(springtide_schedule_lateness_seconds_count) > 0",
    f'sum(rate(springtide_connector_events_total{{source="{INBOX}"}}[30s])) > 0',
)
"""Has values once the last of what happened has been scraped."""


def deploy(suite: Any, name: str, handler: Path, **more: Any) -> None:
    annotations = {"com.springtide.handler": str(handler), **more.pop("annotations", {})}
    body = {"service": name, "image": "springtide/python", "annotations": annotations}
    with suite.client() as client:
        assert client.post("/system/functions", json=body | more).status_code == 202


async def queue(suite: Any, stop: asyncio.Event) -> None:
    """Asynchronous calls: one that is given up, one that is repeated, one that is told, two put off, and many."""
    told = {"X-Callback-Url": f"{suite.gateway}/function/steady"}
    first: tuple[tuple[str, dict[str, str]], ...] = (
        ("lost?status=502", {}),
        ("steady?status=502", {}),
        ("steady", told),
        ("steady", {"X-Delay": "1h"}),
        ("foreseen", {"X-Delay": "30s"}),
    )
    async with suite.async_client() as client:
        for call, headers in first:
            assert (await client.post(f"/async-function/{call}", headers=headers)).status_code == 202
        while not stop.is_set():
            assert (await client.post("/async-function/steady")).status_code == 202
            await asyncio.sleep(0.5)


@contextlib.contextmanager
def connector(suite: Any, folder: Path) -> Iterator[None]:
    """Watches a folder, as somebody would have it do beside the suite."""
    settings = folder / "events.yaml"
    settings.write_text(
        f"sources: [{{name: {INBOX}, kind: directory, path: {folder}, topics: [{INBOX}], settle: 100ms}}]"
    )
    command = [sys.executable, "-m", "springtide.cli", "connector", str(settings), "--port", str(free_port())]
    environment = dict(os.environ, SPRINGTIDE_STATE_DIR=str(suite.state))
    process = subprocess.Popen(command, env=environment, cwd=ROOT)
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(600)


async def put_files(inbox: Path, stop: asyncio.Event) -> None:
    for number in itertools.count():
        if stop.is_set():
            return
        (inbox / f"{number}.txt").write_text("something")
        await asyncio.sleep(0.5)


def refuse_and_break(suite: Any) -> None:
    """An unknown function, a webhook, replicas that die, a person's write and one that comes too late."""
    with suite.client() as client:
        assert client.get("/function/nobody").status_code == 404
        assert client.post("/webhook/told").is_success
        assert client.get("/function/steady?crash").status_code >= 500
        assert client.get("/function/hungry", params={"eat": 80_000_000, "seconds": 5}).status_code >= 500
        body = {"serviceName": "steady", "replicas": 2}
        assert client.post("/system/scale-function/steady", json=body).status_code == 202
        late = client.post("/system/scale-function/steady", json=body, headers={"If-Match": '"long-ago"'})
        assert late.status_code == 412, late.text


def seen(prometheus: str, expr: str) -> bool:
    answer = httpx.get(f"{prometheus}/api/v1/query", params={"query": expr}, timeout=10).json()
    return bool(answer["data"]["result"])


def exposed(prometheus: str) -> dict[Part, str]:
    """What each part shows to Prometheus, read where Prometheus reads it."""
    targets = httpx.get(f"{prometheus}/api/v1/targets", timeout=10).json()["data"]["activeTargets"]
    return {
        Part(target["labels"]["job"]): httpx.get(target["scrapeUrl"], timeout=10).text
        for target in targets
        if target["labels"]["job"] in set(Part)
    }


TOLD = re.compile(r"web\.openfaas-fn to \d+\. Writer: (.+)\. Why: .+\.")
BOARDS = [json.loads(text) for text in committed().values()]


@pytest.mark.parametrize("board", [pytest.param(board, id=board["uid"]) for board in BOARDS])
def test_every_query_of_every_panel_returns_series(
    board: Mapping[str, Any], observed: Observed, record_testsuite_property: Any
) -> None:
    grafana = Grafana(observed.prometheus, observed.start, observed.end)
    chosen: dict[str, str] = {}
    pages = [""]
    for variable in variables_of(board):
        values = grafana.values_of(variable, chosen)
        assert values, f"variable {variable['name']} has no values"
        if variable.get("includeAll"):
            chosen[variable["name"]] = variable["allValue"]
        else:
            pages = values  # One value at a time: what one function's page leaves empty another's must show.
    queries = list(queries_of(board))

    answers = {
        query: [series for page in pages for series in grafana.ask(query, {"function": page, **chosen})]
        for query in queries
    }

    empty = [query for query, answer in answers.items() if not any(map(math.isfinite, chain(*answer)))]
    assert [str(query) for query in empty if query.key not in RIGHTLY_EMPTY] == []
    assert [str(query) for query, answer in answers.items() if any(map(math.isinf, chain(*answer)))] == []
    shown = sum("targets" in panel for panel in board["panels"])
    series = sum(map(len, answers.values()))
    figures = f"{shown} panels, {len(queries)} queries, {series} series, empty: {[str(query) for query in empty]}"
    record_testsuite_property(board["title"], figures)


def test_marks_on_the_time_axis_tell_who_changed_the_replicas(observed: Observed) -> None:
    [board] = (board for board in BOARDS if board["uid"] == "springtide-function")
    grafana = Grafana(observed.prometheus, observed.start, observed.end)
    chosen = {"function": "web.openfaas-fn", "namespace": "[^.]+"}

    marks = [mark for one in board["annotations"]["list"] for mark in grafana.marks(one, chosen)]

    told = {(mark.name, text[1]) for mark in marks if (text := TOLD.fullmatch(mark.text))}
    assert told >= {("Woke", Writer.WAKE), ("Fell asleep", Writer.IDLER), ("Scaled up", Writer.ALERT)}
    assert sorted(writer for _, writer in told if writer not in set(Writer)) == []


def test_link_of_a_functions_board_opens_its_page_in_the_console(fast_suite: Any, observed: Observed) -> None:
    [board] = (board for board in BOARDS if board["uid"] == "springtide-function")
    [url] = (link["url"] for link in board["links"] if link["type"] == "link")
    for variable, value in {"gateway": fast_suite.gateway, "function": "web.openfaas-fn"}.items():
        url = url.replace(f"${{{variable}:raw}}", value)

    with fast_suite.client() as browser:
        page = browser.get(url)

    assert page.status_code == 200
    assert "web.openfaas-fn" in page.text


def test_list_of_empty_panels_names_only_queries_that_exist() -> None:
    assert RIGHTLY_EMPTY.keys() <= {query.key for board in BOARDS for query in queries_of(board)}
    assert all(reason.endswith(".") for reason in RIGHTLY_EMPTY.values())


@pytest.mark.parametrize("part", [part for part in Part if part not in RUN_BY_PEOPLE])
def test_part_emits_what_the_catalogue_declares_and_nothing_else(part: Part, observed: Observed) -> None:
    declared = {metric.name: metric for metric in catalogue.ALL if part in metric.parts}

    emitted = families(observed.told[part])

    assert sorted(emitted.keys() - declared.keys()) == []
    absent = {metric for name, metric in declared.items() if name not in emitted}
    assert sorted(metric.name for metric in absent if (part, metric) not in NOT_IN_THIS_RUN) == []
    assert {name: (kind, labels) for name, (kind, labels) in emitted.items()} == {
        name: (declared[name].kind, frozenset(declared[name].labels)) for name in emitted
    }


def families(text: str) -> dict[str, tuple[Kind, frozenset[str]]]:
    """Each family with samples: its name as PromQL knows it, its kind, the labels of its samples."""
    found = {}
    for family in text_string_to_metric_families(text):
        samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
        if not samples or family.name.startswith("python_"):
            continue
        name = family.name if family.type == "histogram" else samples[0].name
        # OpenFaaS's name of a counter lacks _total, which the format asks for: it goes out without a type.
        kind = Kind.COUNTER if family.type == "unknown" else Kind(family.type)
        found[name] = (kind, frozenset(label for sample in samples for label in sample.labels) - {"le"})
    return found
