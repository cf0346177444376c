from __future__ import annotations

import json
import re
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

import dashboards.__main__
from dashboards.model import Panel, Query, Style, placed
from dashboards.overview import OVERVIEW
from rules.promql import known_series, names_in, problems
from suite.tools import Tools

VALUES = {"$__rate_interval": "1m", "$__interval": "15s", "$function": ".+", "$namespace": "[^.]+"}
"""What Grafana puts in the place of its variables."""

PANELS = [pytest.param(panel, id=panel.title) for panel in OVERVIEW.panels]
QUERIES = [
    pytest.param(query, id=f"{panel.title}: {query.legend}") for panel in OVERVIEW.panels for query in panel.queries
]


def as_sent(expr: str) -> str:
    for variable, value in VALUES.items():
        expr = expr.replace(variable, value)
    assert "$" not in expr
    return expr


def committed() -> dict[str, Any]:
    return dict(json.loads((dashboards.__main__.FOLDER / "springtide-overview.json").read_text()))


def test_committed_dashboard_is_what_the_source_gives() -> None:
    result = CliRunner().invoke(dashboards.__main__.main, ["--check"])

    assert result.output == ""
    assert result.exit_code == 0


@pytest.mark.parametrize("query", QUERIES)
def test_query_uses_series_and_labels_of_the_catalogue_only(query: Query) -> None:
    assert problems(as_sent(query.expr), known_series()) == []


@pytest.mark.parametrize("variable", [pytest.param(variable, id=variable.name) for variable in OVERVIEW.variables])
def test_variable_lists_values_of_a_label_that_exists(variable: Any) -> None:
    [selector] = names_in(as_sent(variable.selector)).selectors

    assert variable.of in known_series()[selector.series]
    assert problems(as_sent(variable.selector), known_series()) == []


@pytest.mark.parametrize("query", QUERIES)
def test_legend_names_only_labels_the_result_has(query: Query) -> None:
    named = set(re.findall(r"\{\{(\w+)\}\}", query.legend))

    assert named <= names_in(as_sent(query.expr)).grouping - {"le"}


def test_promtool_parses_every_query(tools: Tools, tmp_path: Path) -> None:
    queries = [query for panel in OVERVIEW.panels for query in panel.queries]
    recordings = [{"record": f"query:{number}", "expr": as_sent(query.expr)} for number, query in enumerate(queries)]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": recordings}]}))

    done = subprocess.run(
        [tools.promtool, "check", "rules", file], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(queries)} rules found" in done.stdout


@pytest.mark.parametrize("panel", PANELS)
def test_panel_says_what_it_shows_and_in_which_unit(panel: Panel) -> None:
    assert panel.title
    assert panel.description.endswith(".")
    assert panel.unit in {"reqps", "percentunit", "short", "s"}
    assert panel.queries


def test_panels_have_their_own_ids_and_do_not_overlap() -> None:
    panels = committed()["panels"]

    assert len({panel["id"] for panel in panels}) == len(panels) == len(OVERVIEW.panels)
    for one, other in combinations((panel["gridPos"] for panel in panels), 2):
        apart_across = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_down = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_across or apart_down
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)


def test_every_panel_query_and_variable_asks_the_chosen_data_source() -> None:
    dashboard = committed()
    datasource, *variables = dashboard["templating"]["list"]

    asking = [
        *dashboard["panels"],
        *variables,
        *(target for panel in dashboard["panels"] for target in panel["targets"]),
    ]
    assert datasource["type"] == "datasource"
    assert {json.dumps(one["datasource"], sort_keys=True) for one in asking} == {
        json.dumps({"type": "prometheus", "uid": "${datasource}"}, sort_keys=True)
    }


@pytest.mark.parametrize(
    ("styles", "places"),
    [
        pytest.param([Style.NUMBER] * 4, [(0, 0), (6, 0), (12, 0), (18, 0)], id="four numbers fill a row"),
        pytest.param(
            [Style.NUMBER, Style.LINES, Style.BARS], [(0, 0), (6, 0), (0, 8)], id="a row is as high as its highest"
        ),
        pytest.param([Style.STEPS] * 3, [(0, 0), (12, 0), (0, 8)], id="two graphs fill a row"),
    ],
)
def test_placed_fills_rows_from_left_to_right(styles: list[Style], places: list[tuple[int, int]]) -> None:
    panels = [Panel(title="", description="", unit="s", queries=(), style=style) for style in styles]

    assert [(place["x"], place["y"]) for _, place in placed(panels)] == places
