from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from springtide.cli.tools import Tools
from springtide.dashboards import __main__ as dashboards_command
from springtide.dashboards.all_dashboards import DASHBOARDS
from springtide.dashboards.committed import committed
from springtide.rules.alerts import CALLS_STARTED
from springtide.rules.function_alerts import DIRECTION
from springtide.rules.promql import TARGET_LABELS, known_series, names_in, problems
from springtide.rules.timing import DEFAULT
from springtide.scaler.core import catalogue
from tests.fakes.grafana import Query, queries_of, substituted, variables_of

FOLDER = Path(dashboards_command.__file__).parent
DATA_SOURCES = FOLDER / "provisioning/datasources/springtide.yaml"
DOCUMENTS = [json.loads(text) for text in committed().values()]
ALERT_LABELS = frozenset({"alertname", "alertstate", "function_name", "service", "severity"})
KNOWN = known_series() | {
    CALLS_STARTED: frozenset({"function_name"}),
    DIRECTION: frozenset({"function_name"}),
    "ALERTS": ALERT_LABELS,
    "ALERTS_FOR_STATE": ALERT_LABELS,
    "up": TARGET_LABELS,
    "scrape_duration_seconds": TARGET_LABELS,
    "prometheus_rule_evaluation_failures_total": TARGET_LABELS,
    "prometheus_notifications_errors_total": TARGET_LABELS,
}
"""The catalogue's series, the scaling rules' and Prometheus's own."""

NOT_SHOWN = {
    catalogue.LAST_ACTIVE: "The idler reads it; a person sees calls, and when a function fell asleep.",
}
"""Metrics that no panel shows, and why."""

TRACED = (catalogue.SECONDS, catalogue.COLD_START, catalogue.COLD_START_PART)
"""Metrics whose buckets name the trace of a call."""
WITH_DURATIONS = {"springtide-overview", "springtide-function", "springtide-cold-starts"}

VARIABLES = {"__rate_interval": "1m", "__interval_ms": "15000", "__interval": "15s", "__range": "30m"}
CHOICES = {"function": ".+", "namespace": "[^.]+"}


def as_sent(expr: str) -> str:
    return substituted(expr, VARIABLES | CHOICES)


def every_query() -> Iterator[Query]:
    for document in DOCUMENTS:
        yield from queries_of(document)


def panels() -> Iterator[Any]:
    for document in DOCUMENTS:
        for panel in document["panels"]:
            if panel["type"] != "row":
                yield pytest.param(panel, id=f"{document['uid']}: {panel['title']}")


all_dashboards = pytest.mark.parametrize("document", [pytest.param(one, id=one["uid"]) for one in DOCUMENTS])


def test_committed_dashboards_are_what_the_source_gives() -> None:
    result = CliRunner().invoke(dashboards_command.main, ["--check"])

    assert result.output == ""
    assert result.exit_code == 0
    assert [f"{board.uid}.json" for board in DASHBOARDS] != []
    assert sorted(committed()) == sorted(f"{board.uid}.json" for board in DASHBOARDS)


@pytest.mark.parametrize("query", [pytest.param(query, id=str(query)) for query in every_query()])
def test_query_names_series_and_labels_that_exist(query: Query) -> None:
    assert problems(as_sent(query.expr), KNOWN) == []


def test_every_metric_of_the_catalogue_is_shown_somewhere() -> None:
    named = {selector.series for query in every_query() for selector in names_in(as_sent(query.expr)).selectors}

    hidden = {metric for metric in catalogue.ALL if not named & set(metric.series)}

    assert sorted(metric.name for metric in hidden) == sorted(metric.name for metric in NOT_SHOWN)


@all_dashboards
def test_variable_lists_values_of_a_label_that_exists(document: Any) -> None:
    for variable in variables_of(document):
        found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
        assert found
        [selector] = names_in(as_sent(found[1])).selectors
        assert found[2] in KNOWN[selector.series]
        assert problems(as_sent(found[1]), KNOWN) == []


@pytest.mark.parametrize("query", [pytest.param(query, id=str(query)) for query in every_query() if "{{" in query.name])
def test_legend_names_only_labels_the_result_has(query: Query) -> None:
    assert set(re.findall(r"\{\{(\w+)\}\}", query.name)) <= names_in(as_sent(query.expr)).grouping


def test_promtool_parses_every_query(tools: Tools, tmp_path: Path) -> None:
    queries = list(every_query())
    recordings = [{"record": f"query:{number}", "expr": as_sent(query.expr)} for number, query in enumerate(queries)]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": recordings}]}))

    done = subprocess.run(
        [tools.promtool, "check", "rules", file], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(queries)} rules found" in done.stdout


@all_dashboards
def test_grafanas_own_schema_reads_the_file_and_loses_nothing(document: Any) -> None:
    register_default_plugins()

    again = json.loads(JSONEncoder().encode(Dashboard.from_json(document)))

    # The SDK knows nothing of an annotation's text and step.
    assert {**again, "annotations": ...} == {**document, "annotations": ...}


@pytest.mark.parametrize("panel", list(panels()))
def test_panel_says_what_it_shows_and_in_which_unit(panel: Any) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["targets"]
    defaults, overrides = panel["fieldConfig"]["defaults"], panel["fieldConfig"]["overrides"]
    shown = [
        defaults.get("unit"),
        *(one["value"] for each in overrides for one in each["properties"] if one["id"] == "unit"),
    ]
    states = panel["type"] == "state-timeline"
    axis = panel.get("options", {}).get("yAxis", {}).get("unit")
    assert states or axis or any(shown)
    assert set(filter(None, [*shown, axis])) <= {value for value in vars(units).values() if isinstance(value, str)}


@all_dashboards
def test_panels_have_their_own_names_and_ids_and_do_not_overlap(document: Any) -> None:
    everything = document["panels"]
    titles = [panel["title"] for panel in everything if panel["type"] != "row"]

    assert len({panel["id"] for panel in everything}) == len(everything)
    assert len(set(titles)) == len(titles)
    for one, other in combinations((panel["gridPos"] for panel in everything), 2):
        apart_across = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_down = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_across or apart_down
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in everything)


@all_dashboards
def test_everything_asks_the_chosen_data_source(document: Any) -> None:
    datasource, *_ = document["templating"]["list"]
    shown = [panel for panel in document["panels"] if panel["type"] != "row"]
    asking = [
        *shown,
        *variables_of(document),
        *document["annotations"]["list"],
        *(target for panel in shown for target in panel["targets"]),
    ]

    assert (datasource["type"], datasource["name"]) == ("datasource", "datasource")
    assert all(one["datasource"] == {"type": "prometheus", "uid": "${datasource}"} for one in asking)


@all_dashboards
def test_quantiles_of_traced_durations_over_time_ask_for_exemplars_and_nothing_else_does(document: Any) -> None:
    buckets = {f"{metric.name}_bucket" for metric in TRACED}
    targets = [(panel, target) for panel in document["panels"] for target in panel.get("targets", ())]
    over_time = [target for panel, target in targets if panel["type"] == "timeseries"]

    asking = [target["expr"] for _, target in targets if target.get("exemplar")]

    quantiles = [target["expr"] for target in over_time if "histogram_quantile" in target["expr"]]
    assert asking == [expr for expr in quantiles if buckets & {one.series for one in names_in(as_sent(expr)).selectors}]
    assert bool(asking) == (document["uid"] in WITH_DURATIONS)


@all_dashboards
def test_dashboards_link_to_each_other_with_variables_and_time(document: Any) -> None:
    link, *_ = document["links"]
    addresses = re.findall(r'"url": "/d/([\w-]+)\?', json.dumps(document))

    assert set(link["tags"]) <= set(document["tags"])
    assert link["includeVars"]
    assert link["keepTime"]
    assert set(addresses) <= {one["uid"] for one in DOCUMENTS}


def test_provisioning_loads_the_data_source_with_our_slowest_scrape() -> None:
    [source] = yaml.safe_load(DATA_SOURCES.read_text())["datasources"]
    [provider] = yaml.safe_load((FOLDER / "provisioning/dashboards/springtide.yaml").read_text())["providers"]

    assert source["type"] == "prometheus"
    assert source["jsonData"]["timeInterval"] == f"{max(DEFAULT.parts_scrape_s, DEFAULT.gateway_scrape_s):g}s"
    assert provider["options"]["path"] in (FOLDER / "README.md").read_text()


def test_exemplars_lead_to_the_data_source_for_traces_once_its_block_is_no_comment() -> None:
    text = DATA_SOURCES.read_text()

    with_traces = yaml.safe_load(text.replace("\n  # - ", "\n  - ").replace("\n  #   ", "\n    "))["datasources"]

    springtide, traces = with_traces
    [destination] = springtide["jsonData"]["exemplarTraceIdDestinations"]
    assert destination == {"name": "trace_id", "datasourceUid": traces["uid"]}
    assert traces["type"] in ("tempo", "jaeger")
