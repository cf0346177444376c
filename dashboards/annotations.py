"""Events marked on the time axis, told from the metrics alone: what happened to a function's replicas, and alerts."""

from __future__ import annotations

from dataclasses import dataclass

from dashboards.panels import DATASOURCE
from dashboards.queries import SCALING_ALERT, least, now
from scaler.core import catalogue

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
_LEAST = least(catalogue.DESIRED, "$__interval")
"""A sleep may be shorter than the time between two looks."""


def _changed(condition: str) -> str:
    """1 at the moment of a change, with the new count as the label ``replicas``."""
    return f'count_values by (function_name) ("replicas", {_NOW}) and on (function_name) ({condition})'


WOKE = Annotation(
    name="Woke",
    expr=_changed(f"{_NOW} > 0 and ({_BEFORE} == 0 or {_LEAST} == 0)"),
    text="{{function_name}} to {{replicas}}: a call came, or a person asked for it",
    colour="yellow",
)
FELL_ASLEEP = Annotation(
    name="Fell asleep",
    expr=_changed(f"{_BEFORE} > 0 and ({_NOW} == 0 or {_LEAST} == 0)"),
    text="{{function_name}} to 0: nobody called it for its idle time, or a person asked for it",
    colour="blue",
)
SCALED_UP = Annotation(
    name="Scaled up",
    expr=_changed(f"{_NOW} > {_BEFORE} and {_BEFORE} > 0"),
    text="{{function_name}} to {{replicas}}",
    colour="orange",
)
SCALED_DOWN = Annotation(
    name="Scaled down",
    expr=_changed(f"{_NOW} < {_BEFORE} and {_NOW} > 0"),
    text="{{function_name}} to {{replicas}}",
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
    expr='max by (alertname) (ALERTS{alertstate="firing",service!="gateway"})',
    text="{{alertname}} fires",
    colour="red",
)
SCALING = (WOKE, FELL_ASLEEP, SCALED_UP, SCALED_DOWN)
