"""Reasons of decisions, from the vocabulary, with the sentence that people read."""

from __future__ import annotations

from reference.decisions import examples
from reference.markdown import code, page, table, text
from springtide.scaler.core.explain import REASONS as SENTENCES
from springtide.scaler.core.explain import WRITERS
from springtide.scaler.core.vocabulary import GROUPS, REASONS, Decision, Reason, Writer


def reasons() -> str:
    return page(
        "Reasons of decisions",
        "Every decision about a function's replicas has one of these, and beside it a sentence with the numbers it was "
        "made from. They are what `springtide explain` and the console tell, the values of `reason` in "
        "`/system/scaling/decisions`, and the label `reason` of `springtide_decisions_total`.",
        *(part for title, group in GROUPS.items() for part in (f"## {title}", _table(group))),
        "## As they are told",
        "What the rules themselves say of a function in circumstances made up for this page.",
        table(("writer", "reason", "replicas", "in a sentence"), map(_told, examples())),
        "## Who decides",
        table(("writer", "in a sentence"), ((code(writer.value), text(WRITERS[writer].subject)) for writer in Writer)),
    )


def _told(decision: Decision) -> tuple[str, str, str, str]:
    count = f"{decision.before} → {decision.after}" if decision.changes else f"{decision.after}"
    return code(decision.writer.value), code(decision.reason.value), count, text(decision.detail)


def _table(group: tuple[Reason, ...]) -> str:
    return table(
        ("reason", "what it says", "of"),
        ((code(reason.value), text(SENTENCES[reason]), text(_writers(reason))) for reason in group),
    )


def _writers(reason: Reason) -> str:
    return ", ".join(WRITERS[writer].subject for writer in Writer if reason in REASONS[writer])
