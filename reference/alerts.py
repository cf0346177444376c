"""Alerts, from the rules that Prometheus is given."""

from __future__ import annotations

from collections.abc import Iterator

from reference.markdown import block, code, page, table, text
from springtide.rules.alerts import scaling_group
from springtide.rules.model import AlertRule
from springtide.rules.operators import OperatorRules
from springtide.rules.runbook_index import lasts, plain
from springtide.rules.timing import DEFAULT


def alerts() -> str:
    groups = (scaling_group(DEFAULT), *OperatorRules().groups(DEFAULT))
    rules = [alert for group in groups for alert in group.alerts]
    return page(
        "Alerts",
        "`critical` wants somebody now, `warning` within the day; `major` is no alert for people, it scales. Each "
        "leads to what to do. The expressions are those of the default [thresholds](../runbooks/README.md#thresholds).",
        table(("alert", "severity", "lasts", "what it says"), map(_row, rules)),
        *(part for rule in rules for part in _section(rule)),
    )


def _row(alert: AlertRule) -> tuple[str, str, str, str]:
    return (
        f"[{alert.alert}](#{alert.alert.lower()})",
        alert.labels["severity"],
        lasts(alert),
        text(plain(alert.summary)),
    )


def _section(alert: AlertRule) -> Iterator[str]:
    yield f"## {alert.alert}"
    said = dict.fromkeys(plain(words).rstrip(".") for words in (alert.summary, alert.description))
    yield text(". ".join(said)) + "."
    labels = ", ".join(code(f"{name}: {value}") for name, value in alert.labels.items())
    yield f"Lasts: {lasts(alert)}. Labels: {labels}. [What to do](../runbooks/{alert.alert}.md)."
    yield block("promql", alert.expr)
