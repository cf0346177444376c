"""The variables above the panels, and where they lead to."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import DashboardLink, QueryVariable, TextBoxVariable
from grafana_foundation_sdk.models.dashboard import DashboardLinkType, VariableOption, VariableRefresh, VariableSort

from springtide.dashboards.panels import DATASOURCE
from springtide.dashboards.queries import IN_NAMESPACES
from springtide.scaler.core import catalogue

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

_LOCAL_GATEWAY = "http://127.0.0.1:8080"
"""Where ``springtide up`` listens, for a browser on the same machine."""

GATEWAY = (
    TextBoxVariable("gateway")
    .id("gateway")
    .label("Gateway")
    .description("Where a browser reaches the gateway: the link to the console leads there.")
    .default_value(_LOCAL_GATEWAY)
    .current(VariableOption(text=_LOCAL_GATEWAY, value=_LOCAL_GATEWAY))
)


IN_CONSOLE = (
    DashboardLink("Why, in the console")
    .type(DashboardLinkType.LINK)
    .icon("external link")
    .tooltip("Each change of its replicas, with the reason. The address is the gateway's, beside it.")
    .url("${gateway:raw}/ui/functions/${function:raw}")
    .target_blank(True)  # noqa: FBT003 - the SDK's signature
)
"""To the page of the one function."""
