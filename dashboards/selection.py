"""The variables above the panels."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import QueryVariable
from grafana_foundation_sdk.models.dashboard import VariableOption, VariableRefresh, VariableSort

from dashboards.panels import DATASOURCE
from dashboards.queries import IN_NAMESPACES
from scaler.core import catalogue

ALL = VariableOption(text=["All"], value=["$__all"])


def _labels(name: str, selector: str) -> QueryVariable:
    """Values of ``function_name``, looked up again whenever the time range changes."""
    query = f"label_values({selector}, function_name)"
    return (
        QueryVariable(name)
        .id(name)
        .label(name.capitalize())
        .datasource(DATASOURCE)
        .query({"query": query, "refId": name})
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )


def _several(variable: QueryVariable, *, all_value: str) -> QueryVariable:
    return variable.multi(True).include_all(True).all_value(all_value).current(ALL)  # noqa: FBT003 - the SDK's signature


_OF_NAMESPACES = f"{catalogue.DESIRED.name}{{{IN_NAMESPACES}}}"

NAMESPACES = _several(_labels("namespace", catalogue.DESIRED.name).regex(r"/.+\.([^.]+)$/"), all_value="[^.]+")
FUNCTIONS = _several(_labels("function", _OF_NAMESPACES), all_value=".+")
ONE_FUNCTION = _labels("function", _OF_NAMESPACES)
