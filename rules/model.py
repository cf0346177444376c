"""Rules and rule groups as values, and the YAML they become."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml

from springtide.rules.timing import prometheus_duration

Yaml = Mapping[str, object]

RUNBOOKS = "docs/runbooks"
"""Folder, or base URL, of the pages that say what to do: one for each alert, by its name."""


@dataclass(frozen=True, slots=True)
class RecordingRule:
    """A named expression. ``labels`` are those its series carry, for checking whoever uses it."""

    record: str
    expr: str
    labels: tuple[str, ...] = ()

    def as_yaml(self, runbooks: str) -> Yaml:  # noqa: ARG002 - an alert's annotation
        return {"record": self.record, "expr": self.expr}


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRule:
    """An alert. Labels never hold a measured value: it would make every evaluation another alert.

    ``load``, of a scaling alert, is a template for what was measured; the alert receiver reads it.
    """

    alert: str
    expr: str
    pending_s: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict)
    summary: str
    description: str
    load: str | None = None

    def as_yaml(self, runbooks: str) -> Yaml:
        pending = {"for": prometheus_duration(self.pending_s)} if self.pending_s else {}
        annotations = {
            "summary": self.summary,
            "description": self.description,
            "runbook_url": f"{runbooks.rstrip('/')}/{self.alert}.md",
            **({"load": self.load} if self.load else {}),
        }
        return {
            "alert": self.alert,
            "expr": self.expr,
            **pending,
            "labels": dict(self.labels),
            "annotations": annotations,
        }


@dataclass(frozen=True, slots=True)
class Group:
    """Rules evaluated one after the other, each seeing what those before it gave."""

    name: str
    interval_s: float
    rules: tuple[RecordingRule | AlertRule, ...]

    @property
    def alerts(self) -> tuple[AlertRule, ...]:
        return tuple(rule for rule in self.rules if isinstance(rule, AlertRule))

    @property
    def recordings(self) -> tuple[RecordingRule, ...]:
        return tuple(rule for rule in self.rules if isinstance(rule, RecordingRule))

    def as_yaml(self, runbooks: str) -> Yaml:
        return {
            "name": self.name,
            "interval": prometheus_duration(self.interval_s),
            "rules": [rule.as_yaml(runbooks) for rule in self.rules],
        }


def rule_file(*groups: Group, runbooks: str = RUNBOOKS) -> str:
    return to_text({"groups": [group.as_yaml(runbooks) for group in groups]})


class _Dumper(yaml.SafeDumper):
    """Keeps expressions of several lines readable and never uses anchors."""

    def ignore_aliases(self, _data: object) -> bool:
        return True


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def to_text(document: Yaml) -> str:
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
