"""Which series and labels an expression names, so that each can be checked against what exists.

Not a parser of PromQL (``promtool`` is that, and the tests run it): it only tells names of series from functions,
keywords and labels, which is enough to find a name nobody emits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from springtide.rules.model import RecordingRule
from springtide.scaler.core import catalogue

_TOKEN = re.compile(
    r"""\s+ | \#[^\n]* | \[[^\[\]]*\]
    | (?P<string>"(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' | `[^`]*`)
    | (?P<name>[A-Za-z_:][A-Za-z0-9_:]*)
    | (?P<number>\d[\w.]*)
    | (?P<other>=~|!~|!=|==|>=|<=|.)""",
    re.VERBOSE,
)
_LABEL_LISTS = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_KEYWORDS = frozenset({"and", "or", "unless", "bool", "offset", "atan2", "inf", "nan"})

TARGET_LABELS = frozenset({"job", "instance"})
"""Labels Prometheus gives to whatever it scrapes."""

PROMETHEUS_SERIES: Mapping[str, frozenset[str]] = {
    "up": TARGET_LABELS,
    "ALERTS": frozenset({"alertname", "alertstate", "function_name", "service", "severity"}),
}
"""Series that Prometheus itself writes."""


@dataclass(frozen=True, slots=True)
class Selector:
    """One series named in an expression, with the labels it is matched by."""

    series: str
    labels: frozenset[str]


@dataclass(frozen=True, slots=True)
class Names:
    """Everything an expression names: its selectors and the labels it groups or joins by."""

    selectors: tuple[Selector, ...]
    grouping: frozenset[str]


def known_series(recordings: Iterable[RecordingRule] = ()) -> dict[str, frozenset[str]]:
    """Every series that can exist and its labels: the catalogue, Prometheus's own and the recorded ones."""
    known = dict(PROMETHEUS_SERIES)
    for metric in catalogue.ALL:
        for series in metric.series:
            le = {"le"} if series.endswith("_bucket") else set()
            known[series] = frozenset(metric.labels) | TARGET_LABELS | le
    known |= {rule.record: frozenset(rule.labels) for rule in recordings}
    return known


def problems(expr: str, known: Mapping[str, frozenset[str]]) -> list[str]:
    """What the expression names that does not exist; empty when all of it does."""
    names = names_in(expr)
    found = [
        f"{selector.series} is in no catalogue" for selector in names.selectors if selector.series not in known
    ] or [
        f"{selector.series} has no label {label}"
        for selector in names.selectors
        for label in sorted(selector.labels - known[selector.series])
    ]
    if found:
        return found
    reachable = frozenset[str]().union(*(known[selector.series] for selector in names.selectors))
    return [f"no series of the expression has the label {label}" for label in sorted(names.grouping - reachable)]


def names_in(expr: str) -> Names:
    tokens = [(kind, token) for kind, token in _tokens(expr) if kind]
    selectors: list[Selector] = []
    grouping: set[str] = set()
    position = 0
    while position < len(tokens):
        kind, token = tokens[position]
        following = tokens[position + 1][1] if position + 1 < len(tokens) else ""
        position += 1
        if kind != "name":
            continue
        if token.lower() in _LABEL_LISTS:
            if following == "(":
                names, position = _names_until(tokens, position + 1, ")")
                grouping |= names
        elif following == "{":
            labels, position = _names_until(tokens, position + 1, "}")
            selectors.append(Selector(token, frozenset(labels)))
        elif following != "(" and token.lower() not in _KEYWORDS and not _opens_aggregation(following):
            selectors.append(Selector(token, frozenset()))
    return Names(tuple(selectors), frozenset(grouping))


def _opens_aggregation(following: str) -> bool:
    """``sum by (…) (…)``: the word before ``by`` is an operator, not a series."""
    return following in ("by", "without")


def _names_until(tokens: list[tuple[str, str]], start: int, end: str) -> tuple[set[str], int]:
    stop = next((at for at in range(start, len(tokens)) if tokens[at][1] == end), len(tokens))
    return {token for kind, token in tokens[start:stop] if kind == "name"}, stop + 1


def _tokens(expr: str) -> Iterator[tuple[str, str]]:
    for found in _TOKEN.finditer(expr):
        yield found.lastgroup or "", found[0]
