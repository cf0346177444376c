from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from springtide.rules.alerts import SCALING_LABELS, scaling_group
from springtide.rules.model import AlertRule, Group
from springtide.rules.operators import OperatorRules
from springtide.rules.promql import known_series, problems
from springtide.rules.timing import DEFAULT, FAST, Timing

CASES = Path(__file__).parents[2] / "rules" / "tests"
GROUPS = (scaling_group(DEFAULT), *OperatorRules().groups(DEFAULT))
ALERTS = [pytest.param(alert, id=alert.alert) for group in GROUPS for alert in group.alerts]


@pytest.mark.parametrize("timing", [pytest.param(DEFAULT, id="default"), pytest.param(FAST, id="fast")])
def test_every_expression_uses_existing_series_and_labels_only(timing: Timing) -> None:
    groups: tuple[Group, ...] = (scaling_group(timing), *OperatorRules().groups(timing))
    known = known_series(recording for group in groups for recording in group.recordings)

    wrong = [(rule, problem) for group in groups for rule in group.rules for problem in problems(rule.expr, known)]

    assert wrong == []


def test_scaling_alerts_carry_the_labels_alertmanager_routes_by_and_keep_the_contracts_name() -> None:
    alerts = scaling_group(DEFAULT).alerts

    assert [alert.alert for alert in alerts] == ["APIHighInvocationRate", "FunctionCallsPilingUp"]
    assert all(dict(alert.labels) == {"service": "gateway", "severity": "major"} for alert in alerts)


def test_operator_alerts_never_look_like_scaling_alerts() -> None:
    alerts = [alert for group in OperatorRules().groups(DEFAULT) for alert in group.alerts]

    assert [alert.alert for alert in alerts if SCALING_LABELS.items() & alert.labels.items()] == []
    assert {alert.labels["severity"] for alert in alerts} == {"critical", "warning"}


def test_names_of_rules_are_unique() -> None:
    names = [rule.alert if isinstance(rule, AlertRule) else rule.record for group in GROUPS for rule in group.rules]

    assert len(names) == len(set(names))


@pytest.mark.parametrize("alert", ALERTS)
def test_alert_labels_hold_no_measured_value(alert: AlertRule) -> None:
    assert not any("$" in value for value in alert.labels.values())
    assert alert.summary
    assert alert.description
    assert alert.as_yaml("docs")["annotations"] == {
        "summary": alert.summary,
        "description": alert.description,
        "runbook_url": f"docs/{alert.alert}.md",
        **({"load": alert.load} if alert.load else {}),
    }


@pytest.mark.parametrize("alert", ALERTS)
def test_alert_has_cases_that_fire_stay_silent_and_lose_a_scrape(alert: AlertRule) -> None:
    groups = [case for file in CASES.glob("*.yml") for case in yaml.safe_load(file.read_text())["tests"]]
    about = [
        (case["name"], bool(expected["exp_alerts"]))
        for case in groups
        for expected in case["alert_rule_test"]
        if expected["alertname"] == alert.alert
    ]

    assert any(fires for _, fires in about)
    assert any(not fires for _, fires in about)
    assert any("lost scrape" in name for name, _ in about)
