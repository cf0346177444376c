"""Marks on the time axis, each evaluated by promtool over series that tell a short story."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from springtide.cli.tools import Tools
from springtide.dashboards.annotations import (
    FELL_ASLEEP,
    NOT_COUNTED,
    PEOPLE_ALERT_FIRES,
    SCALED_DOWN,
    SCALED_UP,
    SCALING,
    WOKE,
    Annotation,
)
from tests.fakes.grafana import substituted

WEB = "web.openfaas-fn"
LOOK_S = 60
CHOSEN = {"function": ".+", "namespace": "[^.]+", "__interval": "15s", "__interval_ms": "15000"}
"""Looks 15 s apart; samples are 5 s apart."""


def count(values: str) -> dict[str, str]:
    """Replicas wanted, as two gateways know them."""
    return {f'gateway_service_count{{function_name="{WEB}",instance="{instance}"}}': values for instance in "ab"}


def writes(writer: str, values: str, outcome: str = "written") -> dict[str, str]:
    labels = f'function_name="{WEB}",writer="{writer}",outcome="{outcome}"'
    return {f"provider_scale_writes_total{{{labels}}}": values}


def marked(writer: str, replicas: int) -> str:
    return f'{{function_name="{WEB}", replicas="{replicas}", writer="{writer}"}}'


@pytest.mark.parametrize(
    ("series", "told"),
    [
        pytest.param(count("0x9 1x20") | writes("wake", "_x9 1x20"), {WOKE: [marked("wake", 1)]}, id="a call wakes it"),
        pytest.param(
            count("0x9 3x20") | writes("person", "2x9 3x20"), {WOKE: [marked("person", 3)]}, id="a person wakes it"
        ),
        pytest.param(
            count("0x9 1x20") | writes("wake", "1x13 2x20"),
            {WOKE: [marked("wake", 1)]},
            id="the provider is scraped after the gateway",
        ),
        pytest.param(
            count("0x11 1x20") | writes("wake", "1x6 2x20"),
            {WOKE: [marked("wake", 1)]},
            id="the provider was scraped before the gateway",
        ),
        pytest.param(
            count("1x9 0x20") | writes("idler", "3x9 4x20") | writes("wake", "3x9 4x20"),
            {FELL_ASLEEP: [marked("idler", 0)]},
            id="only who may take it to zero is told of its sleep",
        ),
        pytest.param(
            count("1x9 2x20") | writes("alert", "7x9 8x20") | writes("idler", "1x30"),
            {SCALED_UP: [marked("alert", 2)]},
            id="an alert fires",
        ),
        pytest.param(
            count("6x9 2x20") | writes("alert", "7x9 8x20"), {SCALED_DOWN: [marked("alert", 2)]}, id="it resolves"
        ),
        pytest.param(
            count("1x9 4x20") | writes("alert", "7x9 8x20") | writes("person", "_x9 1x20"),
            {SCALED_UP: [marked("alert", 4), marked("person", 4)]},
            id="two wrote at that time",
        ),
        pytest.param(
            count("1x9 4x20") | writes("alert", "7x1 8x30"),
            {SCALED_UP: [marked(NOT_COUNTED, 4)]},
            id="one wrote before",
        ),
        pytest.param(
            count("1x9 4x20") | writes("alert", "7x9 8x20", "conflict"),
            {SCALED_UP: [marked(NOT_COUNTED, 4)]},
            id="a write in conflict is none",
        ),
        pytest.param(count("1x9 4x20"), {SCALED_UP: [marked(NOT_COUNTED, 4)]}, id="nobody wrote"),
        pytest.param(count("2x30") | writes("person", "1x9 2x20"), {}, id="a write that changes nothing is no mark"),
    ],
)
def test_change_of_replicas_is_marked_with_its_writer(
    series: Mapping[str, str], told: Mapping[Annotation, list[str]], tools: Tools, tmp_path: Path
) -> None:
    expected = {annotation: told.get(annotation, []) for annotation in SCALING}

    assert differences(series, expected, tools, tmp_path) == ""


def test_alert_is_marked_with_its_severity_and_function(tools: Tools, tmp_path: Path) -> None:
    firing = 'alertstate="firing",severity="warning"'
    series = {
        f'ALERTS{{alertname="FunctionFlapping",function_name="{WEB}",{firing}}}': "1x30",
        f'ALERTS{{alertname="IdlerStalled",{firing}}}': "1x30",
        f'ALERTS{{alertname="FunctionHighRate",function_name="{WEB}",service="gateway",{firing}}}': "1x30",
    }
    expected = [
        f'{{about="{WEB}", alertname="FunctionFlapping", function_name="{WEB}", severity="warning"}}',
        '{about="no one function", alertname="IdlerStalled", severity="warning"}',
    ]

    assert differences(series, {PEOPLE_ALERT_FIRES: expected}, tools, tmp_path) == ""


def differences(
    series: Mapping[str, str], expected: Mapping[Annotation, list[str]], tools: Tools, tmp_path: Path
) -> str:
    """What promtool says against ``expected``: each annotation's series at the one look."""
    tests: list[Any] = [
        {
            # promtool knows no sample from after eval_time: it is asked later, what it would have answered at the look.
            "expr": f"last_over_time(({substituted(annotation.expr, CHOSEN)})[1ms:1ms] @ {LOOK_S})",
            "eval_time": f"{LOOK_S + 60}s",
            "exp_samples": [{"labels": labels, "value": 1} for labels in marks],
        }
        for annotation, marks in expected.items()
    ]
    story = [{"series": name, "values": values} for name, values in series.items()]
    file = tmp_path / "marks.yml"
    file.write_text(yaml.safe_dump({"tests": [{"interval": "5s", "input_series": story, "promql_expr_test": tests}]}))
    done = subprocess.run(
        [tools.promtool, "test", "rules", file], capture_output=True, text=True, timeout=60, check=False
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr
