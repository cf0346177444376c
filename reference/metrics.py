"""Metrics, from the catalogue by which they are emitted, and the series that recording rules make of them."""

from __future__ import annotations

from reference.markdown import block, code, codes, page, table, text
from springtide.rules.alerts import scaling_group
from springtide.rules.operators import OperatorRules
from springtide.rules.timing import DEFAULT
from springtide.scaler.core.catalogue import ALL, LABELS, VITALS, Metric, Part


def metrics() -> str:
    """Each under the part that tells it; those that several tell come first."""
    shared = [metric for metric in ALL if len(metric.parts) > 1]
    sections = [_section("Of several parts", shared, parts=True)]
    for part in Part:
        own = [metric for metric in ALL if metric.parts == (part,)]
        sections.append(_section(f"Of the {part.value}", own, parts=False) if own else "")
    return page(
        "Metrics",
        "Every part serves `/metrics`. A histogram has the series `NAME_bucket`, `NAME_sum` and `NAME_count`; its unit "
        "is seconds.",
        *sections,
        "## Labels",
        table(("label", "what it says"), ((code(name), text(says)) for name, says in LABELS.items())),
        "## Recorded series",
        "Made by the rules of `rules/generated`, for alerts and boards.",
        *_recordings(),
    )


def _section(title: str, metrics: list[Metric], *, parts: bool) -> str:
    head = ("metric", "type", "labels", "meaning", *(["told by"] if parts else []))
    rows = [
        (
            code(metric.name),
            metric.kind.value,
            codes(metric.labels),
            _meaning(metric),
            *([_parts(metric)] if parts else []),
        )
        for metric in metrics
    ]
    return f"## {title}\n\n" + table(head, rows)


def _meaning(metric: Metric) -> str:
    said = text(metric.help)
    return f"{said}. Buckets: {', '.join(f'{bound:g}' for bound in metric.buckets)}" if metric.buckets else said


def _parts(metric: Metric) -> str:
    return "every part" if metric in VITALS else ", ".join(part.value for part in metric.parts)


def _recordings() -> list[str]:
    groups = (scaling_group(DEFAULT), *OperatorRules().groups(DEFAULT))
    rules = [rule for group in groups for rule in group.recordings]
    return [part for rule in rules for part in (f"### {code(rule.record)}", block("promql", rule.expr))]
