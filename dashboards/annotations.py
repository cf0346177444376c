"""Events marked on the time axis, told from the metrics alone: what happened to a function's replicas, and alerts."""

from __future__ import annotations

from dataclasses import dataclass

from springtide.dashboards.panels import DATASOURCE
from springtide.dashboards.queries import CHOSEN, SCALING_ALERT, grown_about, minimum, now
from springtide.scaler.core import catalogue
from springtide.scaler.core.ownership import refusal
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.vocabulary import Writer

STEP = "5s"
"""Changes that are nearer to each other become one mark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """A mark wherever ``expr`` has a value above 0. ``text`` may name labels of its series.

    The SDK's annotation has no field for text and step, which Grafana's Prometheus data source reads: this is its JSON.
    """

    name: str
    expr: str
    text: str
    colour: str

    def as_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "datasource": DATASOURCE.to_json(),
            "enable": True,
            "hide": False,
            "iconColor": self.colour,
            "expr": self.expr,
            "step": STEP,
            "titleFormat": self.name,
            "textFormat": self.text,
            "tagKeys": "function_name",
        }


_NOW = now("max", catalogue.DESIRED)
_BEFORE = now("max", catalogue.DESIRED, offset="$__interval")
_MINIMUM = minimum(catalogue.DESIRED, "$__interval")
"""A sleep may be shorter than the time between two looks."""

NOT_COUNTED = "not counted (an HPA, kubectl, or the provider was not scraped)"
"""In the place of the writer: the count changed, and no write of it is known."""

WHY = "Why: springtide explain, or its page in the console."
"""No metric has both the function and the reason as labels: those would be too many series."""

_PEOPLE_ALERTS = 'ALERTS{alertstate="firing",service!="gateway"}'
_ALL_ALLOWED = ScalePolicy(zero=True)


def _changed(condition: str, *, before: int, after: int) -> str:
    """1 at the moment of a change, with the labels ``writer`` and ``replicas``, the new count.

    The count is a gauge of the gateway's, and who wrote it a counter of the provider's: time puts them together. Of
    those who wrote at that time only who may take a function from ``before`` to ``after`` is told.
    """
    written = f'{CHOSEN},writer=~"{"|".join(_may_write(before, after))}",outcome="{catalogue.WRITTEN}"'
    wrote = grown_about(catalogue.SCALE_WRITES.name, by="function_name, writer", labels=written)
    by_writer = (
        f"0 * ({wrote} > 0) + on (function_name) group_left () {_NOW} "
        f'or on (function_name) label_replace({_NOW}, "writer", "{NOT_COUNTED}", "", "")'
    )
    return f'count_values by (function_name, writer) ("replicas", {by_writer}) and on (function_name) ({condition})'


def _may_write(before: int, after: int) -> tuple[Writer, ...]:
    """Who may, for a function with the right labels."""
    return tuple(writer for writer in Writer if refusal(writer, _ALL_ALLOWED, before, after, owner=writer) is None)


def _told(replicas: str) -> str:
    return f"{{{{function_name}}}} to {replicas}. Writer: {{{{writer}}}}. {WHY}"


def _about(alerts: str) -> str:
    """With the label ``about``: Grafana shows the bare name of a label that a series does not have."""
    none = f'label_replace({alerts}, "about", "no one function", "", "")'
    return f'label_replace({none}, "about", "$1", "function_name", "(.+)")'


WOKE = Annotation(
    name="Woke",
    expr=_changed(f"{_NOW} > 0 and ({_BEFORE} == 0 or {_MINIMUM} == 0)", before=0, after=1),
    text=_told("{{replicas}}"),
    colour="yellow",
)
FELL_ASLEEP = Annotation(
    name="Fell asleep",
    expr=_changed(f"{_BEFORE} > 0 and ({_NOW} == 0 or {_MINIMUM} == 0)", before=1, after=0),
    text=_told("0"),
    colour="blue",
)
SCALED_UP = Annotation(
    name="Scaled up",
    expr=_changed(f"{_NOW} > {_BEFORE} and {_BEFORE} > 0", before=1, after=2),
    text=_told("{{replicas}}"),
    colour="orange",
)
SCALED_DOWN = Annotation(
    name="Scaled down",
    expr=_changed(f"{_NOW} < {_BEFORE} and {_NOW} > 0", before=2, after=1),
    text=_told("{{replicas}}"),
    colour="green",
)
SCALING_ALERT_FIRES = Annotation(
    name="Scaling alert",
    expr=f'max by (function_name, alertname) (ALERTS{{{SCALING_ALERT},alertstate="firing"}})',
    text="{{alertname}} fires for {{function_name}}: each repeat is a step up",
    colour="rgba(255, 120, 10, 0.4)",
)
PEOPLE_ALERT_FIRES = Annotation(
    name="Alert",
    expr=_about(f"max by (alertname, severity, function_name) ({_PEOPLE_ALERTS})"),
    text="{{alertname}} ({{severity}}) fires for {{about}}",
    colour="red",
)
SCALING = (WOKE, FELL_ASLEEP, SCALED_UP, SCALED_DOWN)
