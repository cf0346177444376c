"""One dashboard: rows of panels under the same variables, with links to its siblings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from springtide.dashboards.annotations import Annotation
from springtide.dashboards.panels import PanelBuilder

TAG = "springtide"


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading that folds them away."""

    title: str
    panels: tuple[PanelBuilder, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """``uid`` is the file's name and the end of the dashboard's address; others link to it."""

    uid: str
    title: str
    description: str
    variables: tuple[builders.QueryVariable | builders.TextBoxVariable, ...]
    rows: tuple[Row, ...]
    links: tuple[builders.DashboardLink, ...] = ()
    annotations: tuple[Annotation, ...] = ()

    def as_json(self) -> str:
        document = json.loads(JSONEncoder().encode(self._built()))
        document["annotations"] = {"list": [annotation.as_json() for annotation in self.annotations]}
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"

    def _built(self) -> models.Dashboard:
        board = (
            builders.Dashboard(self.title)
            .uid(self.uid)
            .description(self.description)
            .tags([TAG, "openfaas"])
            .tooltip(models.DashboardCursorSync.CROSSHAIR)
            .refresh("5s")
            .time("now-30m", "now")
            .version(1)
            .link(_siblings())
            .with_variable(_datasource())
        )
        for link in self.links:
            board = board.link(link)
        for variable in self.variables:
            board = board.with_variable(variable)
        for row in self.rows:
            board = board.with_row(builders.Row(row.title))
            for panel in row.panels:
                board = board.with_panel(panel)
        built = board.build()
        _number(built.panels or ())
        return built


def _datasource() -> builders.DatasourceVariable:
    return builders.DatasourceVariable("datasource").id("datasource").label("Data source").type("prometheus")


def _siblings() -> builders.DashboardLink:
    """A link to every dashboard with our tag, with the same variables and time."""
    return (
        builders.DashboardLink("Springtide")
        .type(models.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .include_vars(True)  # noqa: FBT003 - the SDK's signature
        .keep_time(True)  # noqa: FBT003 - the SDK's signature
    )


def _number(panels: Sequence[models.Panel | models.RowPanel]) -> None:
    """Ids as they stand in the file: without them Grafana gives new ones at each load, and links to a panel break."""
    for number, panel in enumerate(panels, 1):
        panel.id_val = number
